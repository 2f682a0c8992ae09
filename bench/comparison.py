"""Whether a tree has become slower than a release: figure by figure, by ratios within a run. Pure.

Absolute figures of two runs cannot be compared, so each figure of Tieline is divided by the same figure of a
reference that was measured in the same round. Where the release's tree was measured in the same rounds too,
the two trees are compared directly, round by round; else by the ratios that were kept of the release.
"""

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Final, NamedTuple

import msgspec

from bench.parts import GATEWAYS
from bench.rounds import CONNECT, IDLE, LOAD, STORM, Plan, Results, relay_name
from bench.table import NOTHING, markdown
from tieline.load.figures import Figures

TOLERATED: Final = 1.10
"""A figure that is worse by more than this is named."""

SLOWER: Final = "SLOWER"
PERHAPS_SLOWER: Final = "perhaps slower"
AS_BEFORE: Final = "as before"
PERHAPS_FASTER: Final = "perhaps faster"
FASTER: Final = "faster"


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a release, in `bench/releases.json`."""

    version: str
    commit: str
    at: str
    """The day on which it was measured."""
    machine: str
    command: str
    reference: str
    """The system whose figures its own were divided by."""
    seconds: float
    """For so long each measurement lasted."""
    ratios: dict[str, list[float]]
    """By the figure's name, one of each round."""


class Figure(NamedTuple):
    """One figure of a measurement."""

    name: str
    measurement: str
    of: Callable[[Figures], float]
    more_is_better: bool = False
    is_steady: bool = False
    """Whether it is the same in every round, so that one is enough."""


class Compared(NamedTuple):
    """One figure of two trees."""

    name: str
    then: float
    """The release's, as a ratio to the reference's; the median."""
    now: float
    """This tree's."""
    changes: list[float]
    """This tree's by the release's: lowest, median, highest."""
    verdict: str


def figures_of(plan: Plan) -> list[Figure]:
    """List what is compared of a plan's measurements: no 99th percentiles, which no few rounds can tell."""
    listed = []
    for pairs in plan.pairs:
        name = relay_name(pairs)
        if pairs == 1:  # of one pair the signals a second say the same as the median
            listed.append(Figure(f"{name}: p50 ms", name, _p50))
        else:
            listed.append(Figure(f"{name}: signals/s", name, _rate, more_is_better=True))
        listed.append(Figure(f"{name}: CPU a signal", name, _cpu))
    if plan.load_pairs:
        listed.append(Figure(f"open loop, {plan.rate:,.0f} signals/s: p50 ms", LOAD, _p50))
        listed.append(Figure(f"open loop, {plan.rate:,.0f} signals/s: CPU a signal", LOAD, _cpu))
    for kind in plan.calls:
        name = kind.name
        if kind.at_once > 1:
            listed.append(Figure(f"set-ups, {name}: set-ups/s", name, _rate, more_is_better=True))
        listed.append(Figure(f"set-ups, {name}: p50 ms", name, _p50))
        listed.append(Figure(f"set-ups, {name}: CPU a set-up", name, _cpu))
    if plan.arrivals_at_once:
        listed.append(Figure("arrivals/s", CONNECT, _rate, more_is_better=True))
        listed.append(Figure("arrivals: CPU an arrival", CONNECT, _cpu))
    if plan.idle:
        listed.append(Figure("KiB an idle connection", IDLE, _kib, is_steady=True))
    if plan.storm:
        listed.append(Figure(f"{plan.storm:,} returns: all back, s", STORM, _all_back))
        listed.append(Figure(f"{plan.storm:,} returns: p50 ms", STORM, _p50))
        listed.append(Figure(f"{plan.storm:,} returns: CPU a return", STORM, _cpu))
    return listed


def _rate(figures: Figures) -> float:
    return figures.per_second


def _p50(figures: Figures) -> float:
    return figures.p50_ms


def _all_back(figures: Figures) -> float:
    return figures.more["all back, s"]


def _kib(figures: Figures) -> float:
    return figures.kib[GATEWAYS]


def _cpu(figures: Figures) -> float:
    return figures.system_cpu


def ratios(figure: Figure, results: Results, ours: str, theirs: str) -> list[float]:
    """Divide one system's figure by another's, round by round; empty: it was not measured of both."""
    found = results.found.get(figure.measurement, {})
    both = zip(found.get(ours, ()), found.get(theirs, ()), strict=False)
    values = [(figure.of(mine), figure.of(other)) for mine, other in both]
    return [mine / other for mine, other in values if other > 0 and mine > 0]


def all_ratios(plan: Plan, results: Results, ours: str, theirs: str) -> dict[str, list[float]]:
    """Divide all of one system's figures by another's."""
    found = {figure.name: ratios(figure, results, ours, theirs) for figure in figures_of(plan)}
    return {name: values for name, values in found.items() if values}


def compare_trees(plan: Plan, results: Results, tree: str, release: str, reference: str) -> list[Compared]:
    """Compare two trees that were measured in the same rounds."""
    compared = []
    for figure in figures_of(plan):
        changes = ratios(figure, results, tree, release)
        then = ratios(figure, results, release, reference)
        now = ratios(figure, results, tree, reference)
        if changes and then and now:
            spread = [min(changes), median(changes), max(changes)]
            verdict = judge(figure, spread, len(changes))
            compared.append(Compared(figure.name, median(then), median(now), spread, verdict))
    return compared


def compare_with_kept(
    plan: Plan, results: Results, tree: str, kept: Mapping[str, Sequence[float]], reference: str
) -> list[Compared]:
    """Compare a tree with what was kept of a release: the spread is that of both runs together."""
    compared = []
    for figure in figures_of(plan):
        now, then = ratios(figure, results, tree, reference), kept.get(figure.name, ())
        if now and then:
            spread = [min(now) / max(then), median(now) / median(then), max(now) / min(then)]
            verdict = judge(figure, spread, min(len(now), len(then)))
            compared.append(Compared(figure.name, median(then), median(now), spread, verdict))
    return compared


def judge(figure: Figure, changes: Sequence[float], rounds: int) -> str:
    """Say what a change is, by its lowest, its median and its highest value in so many rounds.

    It is certain if there were several, and the lowest and the highest agree with the median about the
    direction.
    """
    low, middle, high = changes
    if figure.more_is_better:
        low, middle, high = 1 / high, 1 / middle, 1 / low
    has_several = rounds > 1 or figure.is_steady
    if middle > TOLERATED:
        return SLOWER if low > 1 and has_several else PERHAPS_SLOWER
    if middle < 1 / TOLERATED:
        return FASTER if high < 1 and has_several else PERHAPS_FASTER
    return AS_BEFORE


def table(compared: Sequence[Compared], release: str, reference: str) -> str:
    """Render the comparison."""
    head = ["", f"{release} / {reference}", f"this tree / {reference}", f"this tree / {release}", ""]
    rows = [
        [
            one.name,
            f"{one.then:.2f}",
            f"{one.now:.2f}",
            f"{one.changes[1]:.2f} ({one.changes[0]:.2f} to {one.changes[2]:.2f})",
            one.verdict,
        ]
        for one in compared
    ]
    return markdown(head, rows or [["nothing was measured of both", *[NOTHING] * 4]])


def summary(compared: Sequence[Compared]) -> list[str]:
    """Name what became slower, and what may have."""
    lines = []
    for verdict, words in (
        (SLOWER, f"Slower by more than {TOLERATED - 1:.0%}"),
        (PERHAPS_SLOWER, "Perhaps slower, for not each round says so; more of them will tell (--rounds)"),
    ):
        named = [one.name for one in compared if one.verdict == verdict]
        if named:
            lines.append(f"{words}: {'; '.join(named)}.")
    return lines or [f"Nothing became slower by more than {TOLERATED - 1:.0%}."]
