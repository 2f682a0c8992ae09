import sys
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tieline.wire.ids import MAX_ID_BYTES, is_valid_id


@pytest.mark.parametrize(
    "text", ["a", "user_123", "用户 一", "*", ">", "a.b", "a b", "$JS.API.>", "=41", "😀", "❤️", "e\u0301"]
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


@pytest.mark.parametrize("number", [0x21, 0x7E, 0xA1, 0x2010, 0x2027, 0x2070, 0xFE00, 0xFFFD, 0xE0100])
def test_the_neighbours_of_what_is_not_seen_are_allowed(number: int) -> None:
    assert is_valid_id(f"a{chr(number)}b")


@pytest.mark.parametrize(
    "number",
    [
        *(0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)),  # the order of text
        *(0x00AD, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF, 0x180E, 0xE0041),  # of no width
        *(0x2028, 0x2029),  # ends of lines and paragraphs
        *(0x2065, 0xFFF0, 0xE0FFF),  # kept free for more of these
        *(0x115F, 0x1160, 0x3164, 0xFFA0),  # letters that show nothing
        *(0xFFFE, 0xFFFF, 0xFDD0, 0x1FFFF, 0x10FFFE),  # no characters
    ],
    ids=hex,
)
def test_what_a_screen_does_not_show_makes_a_text_no_id(number: int) -> None:
    sign = chr(number)

    for text in (sign, f"{sign}a", f"a{sign}", f"a{sign}b", f"界{sign}界"):
        assert not is_valid_id(text)


@pytest.mark.parametrize(
    "number", [0x20, 0xA0, 0x1680, 0x2000, 0x2007, 0x200A, 0x202F, 0x205F, 0x3000], ids=hex
)
def test_a_blank_is_allowed_inside_and_at_neither_end(number: int) -> None:
    blank = chr(number)

    assert is_valid_id(f"a{blank}b")
    for text in (blank, f"{blank}a", f"a{blank}", f"{blank}界", f"界{blank}"):
        assert not is_valid_id(text)


def test_what_unicode_calls_control_format_or_separator_is_refused() -> None:
    kinds = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    refused = {number for number in range(sys.maxunicode + 1) if not is_valid_id(f"界{chr(number)}界")}
    shown = {chr(number) for number in refused if unicodedata.category(chr(number)) not in kinds | {"Cn"}}

    assert all(
        number in refused
        for number in range(sys.maxunicode + 1)
        if unicodedata.category(chr(number)) in kinds
    )
    assert shown == {"\u115f", "\u1160", "\u3164", "\uffa0"}


def test_ids_that_look_alike_are_two() -> None:
    composed, decomposed = "\u00e9", "e\u0301"

    assert unicodedata.normalize("NFC", decomposed) == composed
    assert is_valid_id(composed)
    assert is_valid_id(decomposed)


@pytest.mark.parametrize("number", [0xD800, 0xDBFF, 0xDC00, 0xDFFF])
def test_a_surrogate_is_no_utf_8_and_so_no_id(number: int) -> None:
    assert not is_valid_id(chr(number))
    assert not is_valid_id(f"a{chr(number)}b")


def test_two_surrogates_in_a_row_are_no_character_either() -> None:
    assert not is_valid_id("\ud83d\ude00")


@given(st.text(st.characters(exclude_categories=["Cn"])))
@example("\ud800")
@example("\x9f")
@example("a ")
def test_an_id_is_1_to_128_bytes_of_what_is_seen(text: str) -> None:
    try:
        fits = 1 <= len(text.encode()) <= 128
    except UnicodeEncodeError:
        fits = False
    unseen = {"Cc", "Cf", "Zl", "Zp"}
    is_seen = all(unicodedata.category(sign) not in unseen for sign in text)
    fillers = any(sign in "\u115f\u1160\u3164\uffa0" for sign in text)

    assert is_valid_id(text) == (fits and is_seen and not fillers and text == text.strip())
