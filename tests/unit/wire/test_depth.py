"""How deep a frame nests is judged many brackets at a time as it would be one by one."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.wire.depth import MAX_DEPTH, is_too_deep


def plain_depth(frame: bytes) -> int:
    """Count how deep the brackets of a frame nest, outside its strings, bracket by bracket."""
    deepest = depth = 0
    for bracket in re.finditer(rb'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', frame, re.DOTALL):
        match bracket[0]:
            case b"[" | b"{":
                depth += 1
                deepest = max(deepest, depth)
            case b"]" | b"}":
                depth -= 1
    return deepest


def nest(depth: int, inside: str, opening: str) -> str:
    closing = "]" if opening == "[" else "}"
    return opening * depth + inside + closing * depth


VALUES = st.recursive(
    st.sampled_from(["1", '"x"', '"["', r'"\""', r'"\\"', r'"\"[["', '"}"', '""', "[]", "{}"]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda values: "[{}]".format(",".join(values))),
        st.lists(inner, max_size=3).map(
            lambda values: "{{{}}}".format(",".join(f'"[{i}":{value}' for i, value in enumerate(values)))
        ),
        st.tuples(st.integers(1, 300), inner).map(lambda found: nest(*found, "[")),
    ),
    max_leaves=30,
)


@given(VALUES, st.integers(0, 520), st.integers(1, 4))
def test_depth_is_judged_as_bracket_by_bracket(value: str, more: int, times: int) -> None:
    frame = nest(more + 1, ",".join([value] * times), "[").encode()

    assert is_too_deep(frame) == (plain_depth(frame) > MAX_DEPTH)


def test_depth_is_judged_to_the_very_bracket_whatever_stands_before() -> None:
    for before in (b"", b"[],", b"[[]],[],", b'"[",', b"[[[[]]],[]],"):
        for times in (0, 1, 5, 700):
            for depth in (510, 511, 512, 513):
                frame = b"[" + before * times + b"[" * (depth - 1) + b"]" * depth
                assert is_too_deep(frame) == (plain_depth(frame) > MAX_DEPTH)


@pytest.mark.parametrize("deep", [12, 200, MAX_DEPTH])
def test_many_that_nest_a_little_are_not_deep(deep: int) -> None:
    one = b"[" * deep + b"]" * deep
    many = b"[" + b",".join([one] * (60_000 // len(one))) + b"]"
    assert is_too_deep(many) == (deep == MAX_DEPTH)


@pytest.mark.parametrize(("below", "is_deep"), [(400, False), (MAX_DEPTH - 1, False), (MAX_DEPTH, True)])
def test_many_pairs_deep_within_others_are_counted(below: int, is_deep: bool) -> None:
    many = b"[" * below + b"[]," * 20_000 + b"1" + b"]" * below
    assert is_too_deep(many) == is_deep
