"""The curves as SVG: some panels beside each other, each with the curves of one unit."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from bench.curves import points
from bench.curves.results import Found, Measured
from tieline.cli.bench.picture import HEIGHT_IN, save, write_plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL_WIDTH_IN: Final = 4.2

PROCESSES: Final = ("gateways", "routers", "presences")


class Line(NamedTuple):
    """One curve in a panel."""

    word: str
    figure: str
    label: str = ""


class Panel(NamedTuple):
    """Axes, and the curves in them."""

    y: str
    lines: Sequence[Line]
    is_log: bool = False
    """Both axes have powers of ten, so that what grows with the size is a straight line."""


class Picture(NamedTuple):
    """One file."""

    name: str
    x: str
    panels: Sequence[Panel]
    is_log: bool = True
    """The horizontal axis has powers of ten."""


def _of(word: str, *figures: str) -> list[Line]:
    return [Line(word, figure, figure if len(figures) > 1 else "") for figure in figures]


PICTURES: Final = (
    Picture(
        "processes",
        "processes of the kind",
        [
            Panel(figure, [Line(word, figure, word) for word in PROCESSES])
            for figure in (points.SIGNALS, points.SETUPS, points.AT_REST)
        ],
        is_log=False,
    ),
    Picture(
        "connections",
        "idle connections",
        [
            Panel("KiB a connection", _of("connections", points.KIB, points.GATEWAY_KIB)),
            Panel(f"{points.SIGNALS} beside them", _of("connections", points.SIGNALS)),
            Panel(points.AT_REST, _of("connections", points.AT_REST)),
        ],
    ),
    Picture(
        "rooms",
        "members of the room",
        [Panel(figure, _of("rooms", figure)) for figure in (points.JOINS, points.LISTS)],
    ),
    Picture(
        "bucket",
        "records in the bucket",
        [
            Panel(points.SETUPS, _of("bucket", points.SETUPS)),
            Panel(points.BROKER_MIB, _of("bucket", points.BROKER_MIB), is_log=True),
            Panel("seconds after kill -9", _of("bucket", points.HAS_RECORDS, points.LETS_IN), is_log=True),
        ],
    ),
    Picture(
        "partitions",
        "partitions of mailbox and bucket",
        [
            Panel(figure, _of("partitions", figure))
            for figure in (points.SIGNALS, points.SETUPS, points.SETUP_MS, points.AT_REST)
        ],
        is_log=False,
    ),
    Picture(
        "nodes",
        "NATS nodes",
        [Panel(figure, _of("nodes", figure)) for figure in (points.SIGNALS, points.SETUPS, points.SETUP_MS)],
        is_log=False,
    ),
)


def draw_all(measured: Measured, folder: Path) -> list[Path]:
    """Draw what was measured; returns the files.

    Raises:
        OSError: one cannot be written.
    """
    files = []
    for picture in PICTURES:
        if any(measured.points.get(line.word) for panel in picture.panels for line in panel.lines):
            file = folder / f"{picture.name}.svg"
            _draw(picture, measured.points, file)
            files.append(file)
    return files


def _draw(picture: Picture, found: Mapping[str, Mapping[int, Found]], file: Path) -> None:
    def fill(figure: "Figure") -> None:
        places = figure.subplots(1, len(picture.panels), squeeze=False)[0]
        for axes, panel in zip(places, picture.panels, strict=True):
            _draw_panel(axes, picture, panel, found)

    save(file, PANEL_WIDTH_IN * len(picture.panels), HEIGHT_IN, fill)


def _draw_panel(
    axes: "Axes", picture: Picture, panel: Panel, found: Mapping[str, Mapping[int, Found]]
) -> None:
    for line in panel.lines:
        of_line = sorted(found.get(line.word, {}).items())
        places = [place for place, figures in of_line if line.figure in figures]
        values = [figures[line.figure] for _, figures in of_line if line.figure in figures]
        axes.plot(places, values, marker=".", label=line.label)
    axes.set_title(panel.y)
    axes.set_xlabel(picture.x)
    if picture.is_log:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:,.0f}")
    else:
        axes.set_xticks(sorted({place for line in panel.lines for place in found.get(line.word, {})}))
    if panel.is_log:
        axes.set_yscale("log")
        write_plain(axes.yaxis)
    else:
        axes.set_ylim(bottom=0)
    if any(line.label for line in panel.lines):
        axes.legend(loc="best")
