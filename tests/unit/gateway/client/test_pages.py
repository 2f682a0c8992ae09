"""Where a page of a room's members begins, as a client is told and says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.pages import LONGEST_LOOKED_AT, Standing, cursor, read_cursor, wrong_argument
from tests.support.kept import kept_bytes
from tests.unit.wire.samples import VALID_IDS
from tieline.wire.ids import UserId


@given(st.integers(0, 2**53), VALID_IDS)
def test_what_a_client_was_told_is_understood(joined_at: int, user: str) -> None:
    standing = Standing(joined_at, UserId(user))
    assert read_cursor(cursor(standing)) == standing


@pytest.mark.parametrize("text", ["", ".", "5", "5.", "x.bob", "-5.bob", "٣.bob", "5.b ob", "9" * 20 + ".b"])
def test_anything_else_is_not(text: str) -> None:
    assert read_cursor(text) is None


def test_of_one_that_is_long_nothing_is_kept() -> None:
    assert read_cursor("5." + "x" * 403) is None
    assert kept_bytes(lambda number: read_cursor(f"5.{number}{'x' * 60_000}")) < 120_000


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        ('"limit":0', "limit"),
        ('"limit":1001', "limit"),
        ('"limit":"5"', "limit"),
        ('"limit":1.5', "limit"),
        ('"after":5', "after"),
        ('"after":null,"limit":0', "after"),
        ('"after":"x","limit":1000', ""),
        ("", ""),
        ("]", ""),
    ],
)
def test_what_cannot_be_is_named(arguments: str, wrong: str) -> None:
    assert wrong_argument(f'{{"cmd":"MEMBERS","data":{{{arguments}}}}}'.encode()) == wrong


def test_what_is_too_long_for_any_page_is_not_looked_at() -> None:
    frame = b'{"data":{"limit":0}}'
    assert wrong_argument(frame.ljust(LONGEST_LOOKED_AT)) == "limit"
    assert wrong_argument(frame.ljust(LONGEST_LOOKED_AT + 1)) == ""
