"""Draw measurements as SVG, by matplotlib: latency over time on the left, how often each was on the right.

It is an extra of its own (`pip install 'tieline[pictures]'`), imported only when a picture is asked for.
"""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tieline.load.figures import Figures
from tieline.load.latencies import BIN_GROWTH

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

PACKAGE: Final = "matplotlib"
EXTRA: Final = "tieline[pictures]"

WIDTH_IN: Final = 11.0
HEIGHT_IN: Final = 3.2
"""Of one measurement."""

MOST_LABELLED: Final = 20.0
"""An axis whose end is more times its beginning has labels at powers of ten alone."""


def why_not() -> str:
    """Say why nothing can be drawn; "": it can."""
    if find_spec(PACKAGE) is None:
        return f"the package {PACKAGE!r} is not installed: pip install '{EXTRA}'"
    return ""


def draw(rows: Sequence[tuple[str, Figures]], file: Path) -> None:
    """Draw all measurements below each other.

    Raises:
        OSError: the file cannot be written.
    """

    def fill(figure: "Figure") -> None:
        places = figure.subplots(len(rows), 2, squeeze=False)
        for (name, figures), (left, right) in zip(rows, places, strict=True):
            _draw_course(left, f"{figures.mode}: {name}", figures)
            _draw_histogram(right, figures)

    save(file, WIDTH_IN, HEIGHT_IN * len(rows), fill)


def save(file: Path, width_in: float, height_in: float, fill: Callable[["Figure"], None]) -> None:
    """Let a picture be filled, and write it as SVG.

    Raises:
        OSError: the file cannot be written.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(
        {
            "svg.fonttype": "none",  # text stays text: it can be searched, and the file is small
            "svg.hashsalt": "tieline",  # the same figures make the same file
            "font.size": 9.0,
            "axes.grid": True,
            "grid.alpha": 0.3,
            "axes.spines.top": False,
            "axes.spines.right": False,
        }
    ):
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        fill(figure)
        figure.savefig(file, format="svg", metadata={"Date": None})


def _draw_course(axes: "Axes", title: str, figures: Figures) -> None:
    moments = [window.from_s for window in figures.over_time]
    for label, values in (
        ("max", [window.max for window in figures.over_time]),
        ("p99", [window.p99 for window in figures.over_time]),
        ("p50", [window.p50 for window in figures.over_time]),
    ):
        axes.plot(moments, values, label=label, marker="." if len(moments) == 1 else None)
    axes.set_title(title)
    axes.set_xlabel("seconds since the start")
    axes.set_ylabel("latency, ms")
    axes.set_yscale("log")
    write_plain(axes.yaxis)
    axes.legend(loc="upper right")


def _draw_histogram(axes: "Axes", figures: Figures) -> None:
    ends = [one.to_ms for one in figures.histogram]
    starts = [end / BIN_GROWTH for end in ends]
    axes.bar(
        starts,
        [one.count for one in figures.histogram],
        [end - start for start, end in zip(starts, ends, strict=True)],
        align="edge",
    )
    axes.set_title(f"{figures.count:,} {figures.unit}, {figures.per_second:,.0f} a second")
    axes.set_xlabel("latency, ms")
    axes.set_ylabel(f"{figures.unit}")
    axes.set_xscale("log")
    write_plain(axes.xaxis)
    if figures.latency_ms is not None:
        for label, at in (("p50", figures.latency_ms.p50), ("p99", figures.latency_ms.p99)):
            axes.axvline(at, color="black", linewidth=0.8, linestyle=":")
            axes.annotate(
                f"{label} {at:.2f}", (at, 1), xycoords=("data", "axes fraction"), rotation=90, va="top"
            )


def write_plain(axis: "Axis") -> None:
    """Write 0.5 and 20 on a logarithmic axis, not powers; between the powers only where there are few."""
    axis.set_major_formatter("{x:g}")
    low, high = axis.get_view_interval()
    axis.set_minor_formatter("{x:g}" if high < MOST_LABELLED * low else "")
