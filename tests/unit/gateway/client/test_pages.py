"""Where a page of a room's members begins, as a client is told and says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.pages import Standing, cursor, read_cursor
from tests.unit.wire.samples import VALID_IDS
from tieline.wire.ids import UserId


@given(st.integers(0, 2**53), VALID_IDS)
def test_what_a_client_was_told_is_understood(joined_at: int, user: str) -> None:
    standing = Standing(joined_at, UserId(user))
    assert read_cursor(cursor(standing)) == standing


@pytest.mark.parametrize("text", ["", ".", "5", "5.", "x.bob", "-5.bob", "٣.bob", "5.b ob", "9" * 20 + ".b"])
def test_anything_else_is_not(text: str) -> None:
    assert read_cursor(text) is None
