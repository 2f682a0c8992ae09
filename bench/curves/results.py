"""What was measured of the curves, kept after each point, and as Markdown. Pure, but for the file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from bench.table import NOTHING, markdown

FILE: Final = "measured.json"

Found = dict[str, float]
"""What one point has, by the figure's name."""


class How(msgspec.Struct, frozen=True):
    """How a point was measured: points that were measured otherwise do not belong to the same curve."""

    machine: str
    tree: str
    """The commit, and whether there were changes."""
    seconds: float
    rate: float


class Measured(msgspec.Struct):
    """All points so far."""

    how: How
    points: dict[str, dict[int, Found]] = {}
    """By the curve's word, and by where the point is on it."""


class Curve(NamedTuple):
    """One curve as it is listed: its points are measured by `bench.curves.points`."""

    word: str
    title: str
    places: tuple[int, ...]
    small: tuple[int, ...]
    """Those of `--small`."""


CURVES: Final = (
    Curve("gateways", "gateways", (1, 2, 3, 4), (1, 2)),
    Curve("routers", "routers", (1, 2, 3, 4), (1, 2)),
    Curve("presences", "presence processes", (1, 2, 3, 4), (1, 2)),
    Curve("connections", "idle connections", (100, 1000, 5000, 20_000), (100, 1000)),
    Curve("rooms", "members of a room", (2, 10, 30, 100, 300, 1000), (2, 10, 100)),
    Curve("bucket", "records in the bucket", (1000, 10_000, 100_000, 1_000_000), (1000, 10_000, 100_000)),
    Curve("nodes", "NATS nodes", (1, 3), (1, 3)),
    Curve("partitions", "partitions", (1, 2, 4), (1, 4)),
)


def read(file: Path, how: How | None) -> Measured | None:
    """Read what was measured in the same way before, or in any; None: nothing was.

    Raises:
        ValueError: the file is not one of these.
    """
    if not file.exists():
        return None
    found = msgspec.json.decode(file.read_bytes(), type=Measured)
    return found if how is None or found.how == how else None


def keep(file: Path, measured: Measured) -> None:
    """Write all points, so that whoever reads finds the file whole."""
    unfinished = file.with_suffix(".unfinished")
    unfinished.write_bytes(msgspec.json.format(msgspec.json.encode(measured), indent=1) + b"\n")
    unfinished.replace(file)


def missing(measured: Measured, words: Sequence[str], *, small: bool) -> list[tuple[str, int]]:
    """List the points of these curves that were not measured yet, in the order in which they are to be."""
    return [
        (curve.word, place)
        for curve in CURVES
        if curve.word in words
        for place in (curve.small if small else curve.places)
        if place not in measured.points.get(curve.word, {})
    ]


def tables(measured: Measured) -> str:
    """Render a table of each curve that has points."""
    return "\n\n".join(
        _table(curve.title, measured.points[curve.word])
        for curve in CURVES
        if measured.points.get(curve.word)
    )


def _table(title: str, points: Mapping[int, Found]) -> str:
    names = list(dict.fromkeys(name for found in points.values() for name in found))
    rows = [
        [f"{place:,}", *(f"{found[name]:,.4g}" if name in found else NOTHING for name in names)]
        for place, found in sorted(points.items())
    ]
    return markdown([title, *names], rows)
