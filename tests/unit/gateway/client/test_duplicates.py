from hypothesis import given
from hypothesis import strategies as st

from gateway.client.duplicates import MAX_FRAMES, Duplicates
from tieline.wire.limits import RETRY_WINDOW_S


def test_the_very_same_frame_is_new_once_within_a_minute() -> None:
    duplicates = Duplicates()

    assert duplicates.is_new(b"frame", 100)
    assert not duplicates.is_new(b"frame", 100)
    assert not duplicates.is_new(b"frame", 100 + RETRY_WINDOW_S - 0.001)


def test_a_frame_is_new_again_after_a_minute_and_then_once_more() -> None:
    duplicates = Duplicates()
    duplicates.is_new(b"frame", 100)

    assert duplicates.is_new(b"frame", 100 + RETRY_WINDOW_S)
    assert not duplicates.is_new(b"frame", 100 + 2 * RETRY_WINDOW_S - 0.001)


def test_a_frame_that_keeps_coming_is_new_a_minute_after_the_first() -> None:
    duplicates = Duplicates()

    news = [second for second in range(0, 180, 10) if duplicates.is_new(b"frame", second)]

    assert news == [0, 60, 120]


def test_a_single_byte_makes_another_frame() -> None:
    duplicates = Duplicates()

    assert all(duplicates.is_new(frame, 100) for frame in (b"", b" ", b"frame", b"frame ", b"Frame"))


def test_what_is_remembered_can_be_asked_without_remembering_it() -> None:
    duplicates = Duplicates()

    assert not duplicates.has(b"frame")
    assert duplicates.is_new(b"frame", 100)
    assert duplicates.has(b"frame")


def test_what_is_too_old_is_forgotten_faster_than_others_come() -> None:
    duplicates = Duplicates()
    for number in range(10):
        duplicates.is_new(b"old %d" % number, 100)

    for number in range(5):
        duplicates.is_new(b"new %d" % number, 100 + RETRY_WINDOW_S)

    assert not any(duplicates.has(b"old %d" % number) for number in range(10))
    assert all(duplicates.has(b"new %d" % number) for number in range(5))


def test_a_frame_that_is_new_again_is_forgotten_after_the_others() -> None:
    duplicates = Duplicates()
    duplicates.is_new(b"a", 100)
    duplicates.is_new(b"b", 101)

    assert duplicates.is_new(b"a", 100 + RETRY_WINDOW_S)
    duplicates.is_new(b"c", 101 + RETRY_WINDOW_S)

    assert [duplicates.has(frame) for frame in (b"a", b"b", b"c")] == [True, False, True]


def test_past_the_most_remembered_the_oldest_are_forgotten_first() -> None:
    duplicates = Duplicates()

    for number in range(MAX_FRAMES + 3):
        assert duplicates.is_new(b"%d" % number, 100)

    assert [duplicates.has(b"%d" % number) for number in range(5)] == [False, False, False, True, True]
    assert duplicates.is_new(b"0", 100)
    assert not duplicates.is_new(b"5", 100)


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.floats(0, 30)), max_size=60))
def test_a_frame_is_new_exactly_if_it_did_not_come_within_a_minute(
    arrivals: list[tuple[str, float]],
) -> None:
    duplicates, now, last_new = Duplicates(), 0.0, dict[str, float]()

    for name, pause in arrivals:
        now += pause
        expected = name not in last_new or now - last_new[name] >= RETRY_WINDOW_S
        assert duplicates.is_new(name.encode(), now) == expected
        if expected:
            last_new[name] = now
