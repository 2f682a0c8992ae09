"""What a caller may do."""

import pytest

from tieline.api.scopes import SCOPES, allows, unknown_scopes


def test_a_scope_allows_itself_and_nothing_else() -> None:
    assert [wanted for wanted in SCOPES if allows(("rooms:read",), wanted)] == ["rooms:read"]
    assert not allows((), "rooms:read")


def test_a_star_allows_everything() -> None:
    assert all(allows(("*",), wanted) for wanted in SCOPES)


def test_a_word_that_is_no_scope_is_found() -> None:
    assert unknown_scopes(["*", "rooms:read", "room:read", "**"]) == ["room:read", "**"]


def test_the_letters_of_a_word_are_no_scopes() -> None:
    with pytest.raises(TypeError, match=r"^scopes: a list of texts is wanted"):
        allows("rooms:*", "rooms:read")
    with pytest.raises(TypeError, match=r"^scopes: a list of texts is wanted"):
        unknown_scopes("*")
