"""How bytes that nobody meant are made: from good ones, by a few changes each."""

from collections.abc import Callable, Sequence
from typing import Final

from hypothesis import strategies as st

LONGEST: Final = 70_000
"""More than any reader takes."""

MOST_CHANGES: Final = 5

PARTS: Final = (
    b"\x00",
    b"\xff",
    b"\xed\xa0\x80",
    b"\\ud800",
    b"\\u0000",
    b'"',
    b"[",
    b"{",
    b"]}",
    b"null",
    b"1e999",
    b"-",
    b"\r\n",
    b"\r\n\r\n",
    b": ",
    b"=",
    b".",
    b"\x81\x80",
    b"\x01\x80",
    b"\x80\x80",
    b"\x89\x80\x00\x00\x00\x00",
    b"\x88\x80\x00\x00\x00\x00",
    b"\x81\xfe\xff\xff",
    b"\x81\xff" + b"\xff" * 8,
    b"\xdd\xff\xff\xff\xff",
    b"\xc1",
    b"\xd9\xff",
    b"\x90",
    b"HMSG a 1 9999999999 1\r\n",
    b"99999999999999999999",
)
"""What means something to one reader or another."""

Change = Callable[[bytes, int, int, bytes], bytes]


def _cut(data: bytes, at: int, end: int, _: bytes) -> bytes:
    return data[:at] + data[end:]


def _insert(data: bytes, at: int, _: int, part: bytes) -> bytes:
    return data[:at] + part + data[at:]


def _replace(data: bytes, at: int, end: int, part: bytes) -> bytes:
    return data[:at] + part + data[end:]


def _overwrite(data: bytes, at: int, _: int, part: bytes) -> bytes:
    return data[:at] + part + data[at + len(part) :]


def _repeat(data: bytes, at: int, end: int, part: bytes) -> bytes:
    return data[:at] + data[at:end] * (2 + len(part) % 60) + data[end:]


def _flip(data: bytes, at: int, end: int, _: bytes) -> bytes:
    return data[:at] + bytes([data[at] ^ (1 << end % 8)]) + data[at + 1 :] if at < len(data) else data


def _begin(data: bytes, at: int, _end: int, _: bytes) -> bytes:
    return data[:at]


CHANGES: Final[Sequence[Change]] = (_cut, _insert, _replace, _overwrite, _repeat, _flip, _begin)


@st.composite
def changed(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """Take bytes to begin from, and change them in a few places."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, MOST_CHANGES))):
        change = draw(st.sampled_from(CHANGES))
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.integers(0, 64)))
        part = draw(st.one_of(st.sampled_from(PARTS), st.binary(max_size=8), st.sampled_from(seeds)))
        data = change(data, at, end, part)[:LONGEST]
    return data
