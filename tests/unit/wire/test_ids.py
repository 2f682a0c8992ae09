import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tieline.wire.ids import MAX_ID_BYTES, is_valid_id


@pytest.mark.parametrize(
    "text", ["a", "user_123", "用户 一", "*", ">", "a.b", "a b", "$JS.API.>", "=41", "😀", " "]
)
def test_printable_text_of_any_script_is_an_id(text: str) -> None:
    assert is_valid_id(text)


def test_an_empty_text_is_no_id() -> None:
    assert not is_valid_id("")


@pytest.mark.parametrize("sign", ["a", "é", "界", "😀"])
def test_an_id_is_measured_in_bytes_of_utf_8(sign: str) -> None:
    width = len(sign.encode())
    fitting = sign * (MAX_ID_BYTES // width)
    filled = fitting + "a" * (MAX_ID_BYTES - len(fitting.encode()))

    assert MAX_ID_BYTES == 128
    assert len(filled.encode()) == MAX_ID_BYTES
    assert is_valid_id(filled)
    assert not is_valid_id(filled + "a")


def test_an_id_of_128_wide_characters_is_too_long() -> None:
    assert not is_valid_id("界" * 128)


@pytest.mark.parametrize("number", [*range(0x20), 0x7F, *range(0x80, 0xA0)])
def test_a_control_character_anywhere_makes_a_text_no_id(number: int) -> None:
    control = chr(number)

    for text in (control, f"{control}a", f"a{control}", f"a{control}b", f"界{control}"):
        assert not is_valid_id(text)


@pytest.mark.parametrize("number", [0x20, 0x7E, 0xA0, 0x2028, 0xFEFF])
def test_the_neighbours_of_the_control_characters_are_allowed(number: int) -> None:
    assert is_valid_id(chr(number))


@pytest.mark.parametrize("number", [0xD800, 0xDBFF, 0xDC00, 0xDFFF])
def test_a_surrogate_is_no_utf_8_and_so_no_id(number: int) -> None:
    assert not is_valid_id(chr(number))
    assert not is_valid_id(f"a{chr(number)}b")


def test_two_surrogates_in_a_row_are_no_character_either() -> None:
    assert not is_valid_id("\ud83d\ude00")


@given(st.text(st.characters(exclude_categories=())))
@example("\ud800")
@example("\x9f")
def test_an_id_is_1_to_128_bytes_without_control_characters(text: str) -> None:
    try:
        fits = 1 <= len(text.encode()) <= 128
    except UnicodeEncodeError:
        fits = False
    controls = any(unicodedata.category(sign) == "Cc" for sign in text)

    assert is_valid_id(text) == (fits and not controls)
