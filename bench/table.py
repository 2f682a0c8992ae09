"""The results as Markdown. Pure."""

from collections.abc import Callable, Sequence
from statistics import median

from bench.rounds import Plan, Results
from tieline.load.figures import GENERATOR, RelayFigures

NOTHING = "-"


def render(results: Results, plan: Plan, compared: tuple[str, str] | None) -> str:
    """Render every table. `compared` names the two systems whose ratio, first to second, is shown."""
    tables = [relay_table(results, plan, compared), cost_table(results, plan)]
    if results.calls or results.idle_kib:
        tables.append(other_table(results, plan))
    return "\n\n".join(tables)


def relay_table(results: Results, plan: Plan, compared: tuple[str, str] | None) -> str:
    """Signals a second and milliseconds, for each number of pairs: medians of the rounds."""
    head = ["closed-loop relay: signals/s, p50 ms, p99 ms", *(_pairs(count) for count in plan.pairs)]
    rows = [
        [name, *(_relay_cell(figures[count]) for count in plan.pairs)]
        for name, figures in results.relay.items()
    ]
    if compared is not None:
        first, second = (results.relay[name] for name in compared)
        cells = [_ratio_cell(first[count], second[count]) for count in plan.pairs]
        rows.append([f"{compared[0]} / {compared[1]}, signals/s", *cells])
    return markdown(head, rows)


def cost_table(results: Results, plan: Plan) -> str:
    """CPU seconds a part of each system used for 100,000 signals, at the number of pairs nearest to 50."""
    count = min(plan.pairs, key=lambda pairs: abs(pairs - 50))
    costs = {name: _costs(figures[count]) for name, figures in results.relay.items()}
    parts = [
        part for part in dict.fromkeys(part for cost in costs.values() for part in cost) if part != GENERATOR
    ]
    head = [f"CPU s per 100,000 signals, {_pairs(count)}", *parts, "in all", f"({GENERATOR})"]
    rows = []
    for name, cost in costs.items():
        generator = cost.pop(GENERATOR)
        cells = [f"{cost[part]:.1f}" if part in cost else NOTHING for part in parts]
        rows.append([name, *cells, f"{sum(cost.values()):.1f}", f"{generator:.1f}"])
    return markdown(head, rows)


def other_table(results: Results, plan: Plan) -> str:
    """Call set-ups a second, and the memory of idle connections."""
    head = ["", f"call set-ups/s, {plan.calls_at_once} at once", "p50 ms", "KiB an idle connection"]
    rows = []
    for name in results.relay:
        calls = results.calls.get(name, [])
        kib = results.idle_kib.get(name)
        rows.append(
            [
                name,
                f"{median(call.calls_per_second for call in calls):,.0f}" if calls else NOTHING,
                f"{median(call.p50_ms for call in calls):.1f}" if calls else NOTHING,
                NOTHING if kib is None else f"{kib:.1f}",
            ]
        )
    return markdown(head, rows)


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Render one table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def ratios(ours: Sequence[RelayFigures], theirs: Sequence[RelayFigures]) -> list[float]:
    """The ratios of the signals a second within each round, ascending."""
    return sorted(
        mine.signals_per_second / other.signals_per_second
        for mine, other in zip(ours, theirs, strict=True)
        if other.signals_per_second
    )


def _relay_cell(rounds: Sequence[RelayFigures]) -> str:
    def middle(of: Callable[[RelayFigures], float]) -> float:
        return median(map(of, rounds))

    rate = middle(lambda figures: figures.signals_per_second)
    p50, p99 = middle(lambda figures: figures.p50_ms), middle(lambda figures: figures.p99_ms)
    return f"{rate:,.0f}, {p50:.2f}, {p99:.2f}"


def _ratio_cell(ours: Sequence[RelayFigures], theirs: Sequence[RelayFigures]) -> str:
    found = ratios(ours, theirs)
    if not found:
        return NOTHING
    return f"{median(found):.2f} ({found[0]:.2f} to {found[-1]:.2f})"


def _costs(rounds: Sequence[RelayFigures]) -> dict[str, float]:
    return {part: median(figures.cpu[part] for figures in rounds) for part in rounds[0].cpu}


def _pairs(count: int) -> str:
    return "1 pair" if count == 1 else f"{count} pairs"
