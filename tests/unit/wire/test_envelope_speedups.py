"""What is done many bytes at a time is done as it would be one by one."""

import re
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from tieline.wire.envelope import (
    MAX_DEPTH,
    Ping,
    _data_was_replaced,
    _decoder,
    _without_lone_surrogates,
    decode,
    is_too_deep,
)

ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair of surrogates
    rb"|(u[dD][89a-fA-F][0-9a-fA-F]{2})"  # a lone one
    rb"|.)",
    re.DOTALL,
)


BESIDE: Final = (
    rb'(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u(?![dD][89a-fA-F])[0-9a-fA-F]{4}'
    rb"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})*?"
)


def plainly_without(frame: bytes, replacement: bytes) -> bytes:
    """Find lone surrogates escape by escape, and replace them with what stands between them."""
    marked = ESCAPE.sub(lambda escape: b"\xfe" if escape[1] else escape[0], frame)
    return re.sub(rb"\xfe(?:%b\xfe)*" % BESIDE, lambda _: replacement, marked)


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


PIECES = st.sampled_from(
    [
        r"\ud800",
        r"\uDBFF",
        r"\udc00",
        r"\uDfFf",
        r"\u0041",
        r"\u0001",
        r"\uE000",
        "\\\\",
        r"\"",
        r"\n",
        "x",
        "u",
        "d800",
    ]
)


@given(st.lists(PIECES, max_size=40))
def test_lone_surrogates_are_replaced_as_escape_by_escape(pieces: list[str]) -> None:
    frame = '"{}"'.format("".join(pieces)).encode()

    assert _without_lone_surrogates(frame) == plainly_without(frame, b"\\u0001")


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


def test_data_that_holds_the_stand_in_itself_is_compared() -> None:
    def ping(extra: str, data: str) -> bytes:
        return f'{{"requestId":"r","module":"ROOM","cmd":"PING","extra":"{extra}","data":"{data}"}}'.encode()

    tries = ((r"\ud800", "x", True), ("x", r"\ud800", False), (r"\ud800", r"\ud800", False))
    for extra, data, is_good in tries:
        assert isinstance(decode(ping(extra, data)), Ping) == is_good
    # A frame that knows its own stand-in: the checksum of its bytes is among them.
    alike = ping(r"\ud800", r"\u0001")
    assert isinstance(_decoder.decode(_without_lone_surrogates(alike)), Ping)
    message = _decoder.decode(_without_lone_surrogates(alike))
    assert isinstance(message, Ping)
    assert not _data_was_replaced(alike, message, rb"\u0001")
    other = ping("x", r"\ud800\u0001")
    message = _decoder.decode(_without_lone_surrogates(other))
    assert isinstance(message, Ping)
    assert _data_was_replaced(other, message, rb"\u0001")
