"""Several texts, and not the letters of one."""

from typing import Any

import pytest

from tieline.wire.several import several


@pytest.mark.parametrize("given", [["a", "bc"], ("a", "bc"), {"a": 1, "bc": 2}, iter(("a", "bc"))])
def test_all_that_is_given_is_taken_in_its_order(given: Any) -> None:  # whatever yields texts
    assert several("rooms", given) == ("a", "bc")


@pytest.mark.parametrize("given", ["", "abc", b"abc", bytearray(b"abc"), memoryview(b"abc")])
def test_one_text_is_not_taken_letter_by_letter(given: Any) -> None:  # what types would not let pass
    with pytest.raises(TypeError, match=f"^rooms: a list of texts .* one {type(given).__name__}$"):
        several("rooms", given)


@pytest.mark.parametrize("given", [[b"abc"], ["abc", None], [1]])
def test_what_is_no_text_is_not_taken(given: Any) -> None:  # what types would not let pass
    with pytest.raises(TypeError, match=r"^secrets: a list of texts .* one of them is (bytes|NoneType|int)$"):
        several("secrets", given)
