"""How deep the brackets of a frame nest. Pure.

It is asked of every long frame that a client sends (`envelope`), and costs less than to read that.
"""

import itertools
import operator
import sys
from typing import Final

MAX_DEPTH: Final = 512
"""The deepest nesting of a message: more would exhaust the stack of receivers that parse recursively."""

_OPEN, _SHUT = b"10"
_AS_BITS: Final = bytes(_OPEN if byte in b"[{" else _SHUT if byte in b"]}" else byte for byte in range(256))
_NEITHER: Final = bytes(byte for byte in range(256) if byte not in b'[]{}"')


def _rise_and_peak(byte: int) -> tuple[int, int]:
    """Tell of eight brackets, 1 for one that opens, how much deeper they end, and how deep they go."""
    depth = peak = 0
    for bit in range(7, -1, -1):
        depth += 1 if byte >> bit & 1 else -1
        peak = max(peak, depth)
    return depth, peak


_BLOCK: Final = 256
"""Brackets of which it is only counted how many open: half of what may nest."""

_RISES, _PEAKS = zip(*map(_rise_and_peak, range(256)), strict=True)
_RISES_OF_16: Final = tuple(one + other for one in _RISES for other in _RISES)
_PEAKS_OF_16: Final = tuple(
    max(_PEAKS[one], _RISES[one] + _PEAKS[other]) for one in range(256) for other in range(256)
)


def _is_shallow(bits: bytes, most: int) -> bool:
    """Whether it is seen at a glance that brackets nest no deeper than that: by what opens in each block."""
    depth = 0
    for at in range(0, len(bits), _BLOCK):
        opens = bits.count(b"1", at, at + _BLOCK)
        if depth + opens > most:
            return False
        depth += 2 * opens - min(_BLOCK, len(bits) - at)
    return True


def is_too_deep(frame: bytes) -> bool:
    """Whether the brackets of a frame nest deeper than `MAX_DEPTH`, outside its strings.

    Of a frame that is no JSON it may say either. Sixteen brackets at a time: one by one they would take ten
    times as long, and a client may send frames of nothing else.
    """
    # Without escapes and all that is neither a quote nor a bracket, two quotes side by side enclose nothing.
    if b'\\"' in frame:
        frame = frame.replace(b"\\\\", b"").replace(b'\\"', b"")
    text = frame.translate(_AS_BITS, _NEITHER).replace(b'""', b"")
    bits = b"".join(text.split(b'"')[::2])
    if _is_shallow(bits, MAX_DEPTH):
        return False
    if b"1" * (MAX_DEPTH + 1) in bits:
        return True
    most = MAX_DEPTH
    while bits.count(b"1") > most and bits.count(b"10") > len(bits) // 4:  # many pairs: one level less
        bits = bits.replace(b"10", b"")
        most -= 1
    if bits.count(b"1") <= most:
        return False
    size = -(-len(bits) // 16)
    words = memoryview(int(bits.ljust(size * 16, b"0"), 2).to_bytes(size * 2, sys.byteorder)).cast("H")
    words = words if sys.byteorder == "big" else words[::-1]
    levels = itertools.accumulate(map(_RISES_OF_16.__getitem__, words), initial=0)
    deepest: int = max(map(operator.add, levels, map(_PEAKS_OF_16.__getitem__, words)))
    return deepest > most
