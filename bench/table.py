"""The results as Markdown. Pure."""

from collections.abc import Callable, Sequence
from statistics import median

from bench.rounds import CONNECT, IDLE, LOAD, STORM, Plan, Results, relay_name
from tieline.load.figures import GENERATOR, Figures

NOTHING = "-"


def render(results: Results, plan: Plan, compared: str, edges: dict[str, str]) -> str:
    """Render every table.

    The ratios are those of the system `compared` to each other one. `edges` names, for each system, the part
    that serves clients: whose memory a connection is.
    """
    relay = [relay_name(pairs) for pairs in plan.pairs]
    calls = [kind.name for kind in plan.calls]
    title = f"open loop, {plan.rate:,.0f} signals/s over {plan.load_pairs} pairs"
    tables = [
        rate_table("closed-loop relay: signals/s, p50 ms, p99 ms", relay, results, compared),
        cost_table(plan, results),
        rate_table("call set-ups/s, p50 ms, p99 ms", calls, results, compared),
        whole_cost_table("CPU s per 1,000 set-ups", calls, results),
        load_table(title, results),
        rate_table("arrivals/s, p50 ms, p99 ms", [CONNECT], results, compared),
        whole_cost_table("CPU s per 1,000 arrivals", [CONNECT], results),
        storm_table(f"{plan.storm:,} clients whose gateway dies", results),
        whole_cost_table("CPU s per 1,000 returns", [STORM], results),
        memory_table(results, edges),
    ]
    return "\n\n".join(table for table in tables if table)


def rate_table(title: str, names: Sequence[str], results: Results, compared: str) -> str:
    """Units a second and milliseconds: medians of the rounds; below, the ratios within each round."""
    names = [name for name in names if name in results.found]
    systems = _systems(names, results)
    rows = [
        [system, *(_rate_cell(results.found[name].get(system, [])) for name in names)] for system in systems
    ]
    for other in systems:
        if compared in systems and other != compared:
            found = [results.found[name] for name in names]
            cells = [_ratio_cell(one.get(compared, []), one.get(other, [])) for one in found]
            rows.append([f"{compared} / {other}", *cells])
    return markdown([title, *names], rows) if rows else ""


def cost_table(plan: Plan, results: Results) -> str:
    """CPU seconds a part of each system used for 100,000 signals, at the number of pairs nearest to 50."""
    if not plan.pairs:
        return ""
    name = relay_name(min(plan.pairs, key=lambda pairs: abs(pairs - 50)))
    costs = {system: _costs(figures) for system, figures in results.found.get(name, {}).items()}
    parts = [
        part for part in dict.fromkeys(part for cost in costs.values() for part in cost) if part != GENERATOR
    ]
    head = [f"CPU s per 100,000 signals, {name}", *parts, "in all", f"({GENERATOR})"]
    rows = []
    for system, cost in costs.items():
        generator = cost.pop(GENERATOR)
        cells = [f"{cost[part]:.1f}" if part in cost else NOTHING for part in parts]
        rows.append([system, *cells, f"{sum(cost.values()):.1f}", f"{generator:.1f}"])
    return markdown(head, rows)


def whole_cost_table(title: str, names: Sequence[str], results: Results) -> str:
    """CPU seconds of all parts of each system together; the generator's in brackets."""
    names = [name for name in names if name in results.found]
    rows = [
        [system, *(_whole_cost_cell(results.found[name].get(system, [])) for name in names)]
        for system in _systems(names, results)
    ]
    return markdown([f"{title} ({GENERATOR})", *names], rows) if rows else ""


def load_table(title: str, results: Results) -> str:
    """Latencies of the open loop, counted from when a message was due."""
    rows = []
    for system, rounds in results.found.get(LOAD, {}).items():
        spreads = [figures.latency_ms for figures in rounds if figures.latency_ms is not None]
        cells = [
            f"{median(getattr(spread, name) for spread in spreads):.2f}" if spreads else NOTHING
            for name in ("p50", "p90", "p99", "p999", "max")
        ]
        rows.append([system, *cells])
    return markdown([title, "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms"], rows) if rows else ""


def storm_table(title: str, results: Results) -> str:
    """How soon clients are back, counted from the death and from each one's first attempt."""
    rows = []
    for system, rounds in results.found.get(STORM, {}).items():
        p50, p99 = (median(getattr(figures, name) for figures in rounds) for name in ("p50_ms", "p99_ms"))
        more = {name: median(figures.more[name] for figures in rounds) for name in rounds[0].more}
        resumed = f"{more['resumed']:,.0f}" if more["resumed"] else NOTHING
        cells = [f"{p50:.0f}", f"{p99:.0f}", f"{more['failed attempts']:,.0f}", resumed]
        rows.append([system, f"{more['all back, s']:.2f}", *cells])
    head = [title, "all back after s", "p50 ms", "p99 ms", "attempts that failed", "sessions resumed"]
    return markdown(head, rows) if rows else ""


def memory_table(results: Results, edges: dict[str, str]) -> str:
    """The memory of idle connections."""
    rows = [
        [system, f"{median(figures.kib[edges[system]] for figures in rounds):.1f}"]
        for system, rounds in results.found.get(IDLE, {}).items()
    ]
    return markdown(["", "KiB an idle connection"], rows) if rows else ""


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Render one table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def ratios(ours: Sequence[Figures], theirs: Sequence[Figures]) -> list[float]:
    """The ratios of the units a second within each round, ascending."""
    return sorted(
        mine.per_second / other.per_second
        for mine, other in zip(ours, theirs, strict=False)
        if other.per_second
    )


def _systems(names: Sequence[str], results: Results) -> list[str]:
    return list(dict.fromkeys(system for name in names for system in results.found[name]))


def _rate_cell(rounds: Sequence[Figures]) -> str:
    if not rounds:
        return NOTHING

    def middle(of: Callable[[Figures], float]) -> float:
        return median(map(of, rounds))

    rate = middle(lambda figures: figures.per_second)
    p50, p99 = middle(lambda figures: figures.p50_ms), middle(lambda figures: figures.p99_ms)
    return f"{rate:,.0f}, {p50:.2f}, {p99:.2f}"


def _ratio_cell(ours: Sequence[Figures], theirs: Sequence[Figures]) -> str:
    found = ratios(ours, theirs)
    if not found:
        return NOTHING
    return f"{median(found):.2f} ({found[0]:.2f} to {found[-1]:.2f})"


def _whole_cost_cell(rounds: Sequence[Figures]) -> str:
    if not rounds:
        return NOTHING
    cost = _costs(rounds)
    generator = cost.pop(GENERATOR)
    return f"{sum(cost.values()):.1f} ({generator:.1f})"


def _costs(rounds: Sequence[Figures]) -> dict[str, float]:
    return {part: median(figures.cpu[part] for figures in rounds) for part in rounds[0].cpu}
