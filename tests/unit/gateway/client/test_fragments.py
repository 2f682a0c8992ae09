import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.client.fragments import Fragments, NotUtf8


def test_a_message_in_one_frame_is_whole() -> None:
    assert Fragments().add("用户".encode(), fin=True) == "用户".encode()


def test_an_empty_message_is_a_message() -> None:
    fragments = Fragments()

    assert fragments.add(b"", fin=True) == b""
    assert fragments.add(b"", fin=False) is None
    assert fragments.add(b"", fin=True) == b""


@given(st.text(), st.lists(st.integers(0, 40), max_size=6))
@example("😀", [1, 2, 3])
def test_a_message_comes_back_whole_wherever_it_was_cut(text: str, cuts: list[int]) -> None:
    data, fragments = text.encode(), Fragments()
    places = [0, *sorted(min(cut, len(data)) for cut in cuts)]
    pieces = [data[start:end] for start, end in zip(places, [*places[1:], len(data)], strict=True)]

    for _ in range(2):  # and so does the next one
        assert [fragments.add(piece, fin=False) for piece in pieces[:-1]] == [None] * (len(pieces) - 1)
        whole = fragments.add(pieces[-1], fin=True)
        assert whole == data
        assert type(whole) is bytes


@given(st.binary())
@example(b"\xed\xa0\x80")
@example(b"\xf4\x90\x80\x80")
@example(b"\xc0\x80")
def test_bytes_are_a_message_exactly_if_they_are_utf_8(data: bytes) -> None:
    try:
        data.decode()
    except UnicodeDecodeError:
        with pytest.raises(NotUtf8):
            Fragments().add(data, fin=True)
    else:
        assert Fragments().add(data, fin=True) == data


def test_a_message_that_is_cut_short_inside_a_character_is_not_utf_8() -> None:
    fragments = Fragments()
    fragments.add("用".encode()[:1], fin=False)

    with pytest.raises(NotUtf8):
        fragments.add("用".encode()[1:2], fin=True)


def test_a_hundred_thousand_empty_fragments_are_as_good_as_none() -> None:
    fragments = Fragments()

    for _ in range(100_000):  # half a minute and more, if each one copied those before it
        fragments.add(b"", fin=False)

    assert fragments.add(b"x", fin=True) == b"x"
