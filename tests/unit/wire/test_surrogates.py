"""Lone surrogates are found, and nothing else is taken for one."""

import msgspec
from hypothesis import given

from tests.unit.wire.test_envelope_speedups import TEXTS, has_lone_surrogate, is_text, read
from tieline.wire import surrogates


@given(TEXTS)
def test_lone_surrogates_are_what_makes_a_text_none(text: str) -> None:
    assert is_text(text) == (not has_lone_surrogate(text))


@given(TEXTS)
def test_a_text_is_read_unless_it_holds_a_lone_surrogate(text: str) -> None:
    written = msgspec.Raw(f'"{text}"'.encode())

    assert surrogates.are_in(written) == has_lone_surrogate(text)
    assert surrogates.text_in(written) == ("" if has_lone_surrogate(text) else read(text))


@given(TEXTS)
def test_a_masked_text_is_as_long_and_can_be_read(text: str) -> None:
    written = f'"{text}"'.encode()
    masked = surrogates.masked(written)

    assert len(masked) == len(written)
    assert isinstance(msgspec.json.decode(masked), str)
    assert b"\\ud" in written or b"\\uD" in written or masked == written


def test_what_is_no_text_is_read_as_none() -> None:
    assert surrogates.text_in(msgspec.Raw(b"7")) == ""
    assert surrogates.text_in(msgspec.Raw()) == ""
