"""How deep a message may nest, and which brackets count."""

import pytest

from tests.unit.wire.samples import inner_of, offer_with
from tieline.wire.codes import ErrorCode
from tieline.wire.depth import MAX_DEPTH
from tieline.wire.envelope import Malformed, Offer, Ping, decode

UNREADABLE = Malformed(ErrorCode.BAD_MESSAGE)


def nested(depth: int, opening: bytes, closing: bytes) -> bytes:
    """An offer whose deepest bracket is the `depth`th; two of them are the offer's own."""
    return offer_with(opening * (depth - 2) + b"1" + closing * (depth - 2))


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'{"a":[', b"]}")])
def test_nesting_is_allowed_to_a_depth_and_no_deeper(opening: bytes, closing: bytes) -> None:
    brackets = opening.count(b"[") + opening.count(b"{")
    deepest = 2 + (MAX_DEPTH - 2) // brackets

    assert MAX_DEPTH == 512
    assert isinstance(decode(nested(deepest, opening, closing)), Offer)
    assert decode(nested(deepest + 1, opening, closing)) == UNREADABLE


def test_brackets_beside_the_deepest_ones_do_not_make_it_deeper() -> None:
    value = b"[[],{}," + b"[" * (MAX_DEPTH - 3) + b"]" * (MAX_DEPTH - 3) + b",[],{}]"

    assert inner_of(offer_with(value)) == value
    assert decode(offer_with(b"[" + value + b"]")) == UNREADABLE


@pytest.mark.parametrize("depth", [513, 600, 1000, 5000, 30_000])
def test_nesting_beyond_every_stack_is_refused(depth: int) -> None:
    assert decode(nested(depth, b"[", b"]")) == UNREADABLE
    assert decode(b"[" * depth) == UNREADABLE
    assert decode(b'{"a":' * depth) == UNREADABLE


@pytest.mark.parametrize("field", [b"extra", b"code", b"data"])
def test_nesting_counts_in_fields_that_nobody_reads(field: bytes) -> None:
    head = b'{"requestId":"r-1","module":"ROOM","cmd":"PING","' + field + b'":'

    assert isinstance(decode(head + b"[" * 511 + b"]" * 511 + b"}"), Ping)
    assert decode(head + b"[" * 512 + b"]" * 512 + b"}") == UNREADABLE


def test_many_brackets_side_by_side_are_no_nesting() -> None:
    value = b"[" + b"[],{}," * 5000 + b"[]]"

    assert inner_of(offer_with(value)) == value


@pytest.mark.parametrize(
    "text",
    [b"[" * 5000, b"{" * 5000, b'\\"[' * 5000, b"\\\\[" * 5000, b"[" * 600 + b"]" * 700, b"[\\\\"],
    ids=[
        "square",
        "curly",
        "behind quotes",
        "behind backslashes",
        "unbalanced",
        "before an escaped backslash",
    ],
)
def test_brackets_inside_strings_do_not_count(text: bytes) -> None:
    value = b'["' + text + b'",{"' + text + b'":"' + text + b'"}]'

    assert inner_of(offer_with(value)) == value


def test_brackets_after_a_string_that_ends_in_a_backslash_count() -> None:
    value = b'["\\\\",' + b"[" * 600 + b"]" * 600 + b"]"

    assert decode(offer_with(value)) == UNREADABLE
