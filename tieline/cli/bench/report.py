"""What `tieline bench` prints: a line when a measurement is done, and a table of all at the end. Pure."""

from collections.abc import Sequence
from typing import Final

from tieline.load.figures import Figures

UNFINISHED: Final = " (interrupted)"
NOTHING: Final = "-"
OWN: Final = "the bench's own CPU"


def line(name: str, figures: Figures) -> str:
    """Describe one measurement in one line."""
    rate = f"{figures.per_second:,.0f} {figures.unit}/s" if figures.latency_ms else f"{figures.count:,} open"
    parts = [f"{name:>9}: {rate:>17}"]
    if figures.latency_ms is not None:
        parts.append(f", p50 {figures.p50_ms:.2f} ms, p99 {figures.p99_ms:.2f} ms")
    parts += [f"; {what}: {value:,.4g}" for what, value in figures.more.items()]
    if figures.kib:
        sizes = ", ".join(f"{part} {kib:.1f}" for part, kib in figures.kib.items())
        parts.append(f"; KiB a connection: {sizes}")
    costs = ", ".join(f"{part} {used:.1f}" for part, used in figures.cpu.items())
    parts.append(f"; CPU s per {figures.cpu_per}: {costs}")
    return "".join(parts) + ("" if figures.is_whole else UNFINISHED)


def table(rows: Sequence[tuple[str, Figures]]) -> str:
    """Render all measurements: rates and percentiles, and the bench's own share of the processors."""
    if not rows:
        return ""
    first = rows[0][1]
    if first.latency_ms is None:
        parts = list(first.kib)
        head = ["", *(f"{part}, KiB each" for part in parts), OWN]
        return aligned([head, *(_memory_row(name, figures, parts) for name, figures in rows)])
    head = ["", f"{first.unit}/s", "p50 ms", "p90", "p99", "p99.9", "max", OWN]
    return aligned([head, *(_row(name, figures) for name, figures in rows)])


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Set columns below each other: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "".join(
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(one, widths, strict=True))
        ).rstrip()
        + "\n"
        for one in lines
    )


def _row(name: str, figures: Figures) -> list[str]:
    spread = figures.latency_ms
    latencies = (
        [NOTHING] * 5
        if spread is None
        else [f"{ms:,.2f}" for ms in (spread.p50, spread.p90, spread.p99, spread.p999, spread.max)]
    )
    return [_named(name, figures), f"{figures.per_second:,.0f}", *latencies, _own(figures)]


def _memory_row(name: str, figures: Figures, parts: Sequence[str]) -> list[str]:
    sizes = [f"{figures.kib[part]:.1f}" for part in parts]
    return [_named(name, figures), *sizes, _own(figures)]


def _named(name: str, figures: Figures) -> str:
    return f"{name}{'' if figures.is_whole else UNFINISHED}"


def _own(figures: Figures) -> str:
    return f"{figures.own_share:.0%} of a processor"


def notes(rows: Sequence[tuple[str, Figures]]) -> list[str]:
    """List what is to be known before the figures are believed."""
    return [f"{name}: {note}" for name, figures in rows for note in figures.notes]
