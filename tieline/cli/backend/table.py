"""Tables for a terminal, and the same as JSON for programs. Control characters are in no name."""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Final, TextIO

import msgspec

from tieline.cli.exits import printable

_DIM: Final = "\x1b[2m"
_GREEN: Final = "\x1b[32m"
_YELLOW: Final = "\x1b[33m"
_PLAIN: Final = "\x1b[0m"
_COLOURS: Final = {"online": _GREEN, "away": _YELLOW, "offline": _DIM}


def has_colours(out: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether colours are shown: on a terminal, unless NO_COLOR says otherwise."""
    return out.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], coloured: bool) -> str:
    """Lay out a table; a cell that is a status has its colour."""
    cells = [[printable(cell) for cell in row] for row in (heads, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    lines = []
    for number, row in enumerate(cells):
        shown = [_shown(cell, width, coloured, number == 0) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join(shown).rstrip())
    return "\n".join(lines) + "\n"


def _shown(cell: str, width: int, coloured: bool, is_head: bool) -> str:
    colour = _DIM if is_head else _COLOURS.get(cell, "")
    padded = cell.ljust(width)
    return f"{colour}{padded}{_PLAIN}" if coloured and colour else padded


def show(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table on standard output."""
    sys.stdout.write(table(heads, rows, has_colours(sys.stdout, os.environ)))


def show_json(found: object) -> None:
    """Print one JSON value on standard output."""
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
