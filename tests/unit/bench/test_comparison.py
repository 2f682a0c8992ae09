"""`bench.comparison`: what has become slower, by ratios within a run."""

import pytest

from bench.comparison import (
    AS_BEFORE,
    FASTER,
    PERHAPS_FASTER,
    PERHAPS_SLOWER,
    SLOWER,
    Compared,
    Figure,
    all_ratios,
    compare_trees,
    compare_with_kept,
    figures_of,
    judge,
    ratios,
    summary,
    table,
)
from bench.rounds import CONNECT, IDLE, STORM, Plan, Results, relay_name
from tests.unit.load.some_figures import figures
from tieline.load.calls import Kind
from tieline.load.figures import GENERATOR, Figures
from tieline.load.latencies import Spread

PLAN = Plan(
    rounds=3,
    seconds=1,
    pairs=(1, 50),
    load_pairs=50,
    rate=2000,
    calls=(Kind(1), Kind(8), Kind(8, in_a_room=True)),
    arrivals_at_once=16,
    idle=100,
    storm=500,
)
RELAY = relay_name(50)


def rounds(*rates: float, p50: float = 1.0, cpu: float = 4.0) -> list[Figures]:
    used = {"gateways": cpu - 1, "broker": 1.0, GENERATOR: 50.0}
    return [figures(Spread(p50, 1, 1, 1, 1), per_second=rate, cpu=dict(used)) for rate in rates]


RESULTS = Results(
    {
        RELAY: {
            "this tree": rounds(100, 220, 150, cpu=5.0),
            "0.1.0": rounds(200, 200, 200),
            "relay": rounds(400, 400, 400, cpu=2.0),
        },
        STORM: {
            name: [figures(Spread(p50, 1, 1, 1, 1), more={"all back, s": all_back}, cpu={"broker": 1.0})] * 2
            for name, all_back, p50 in (("this tree", 3.0, 0.5), ("0.1.0", 1.5, 0.5), ("relay", 1.0, 1.0))
        },
        IDLE: {
            name: [figures(kib={"gateways": kib, "broker": 9.0})]
            for name, kib in (("this tree", 10.0), ("0.1.0", 15.0), ("relay", 20.0))
        },
    }
)


def test_every_figure_of_a_plan_has_a_name_of_its_own() -> None:
    names = [figure.name for figure in figures_of(PLAN)]
    assert len(set(names)) == len(names)
    assert "1 pair: p50 ms" in names
    assert "1 pair: signals/s" not in names
    assert "50 pairs: signals/s" in names
    assert "set-ups, 1 at once, new pairs: set-ups/s" not in names
    assert "set-ups, 8 at once, new pairs, in a room already: set-ups/s" in names
    assert {figure.measurement for figure in figures_of(PLAN)} >= {CONNECT, IDLE}
    assert figures_of(Plan(rounds=1, seconds=1)) == []


def test_ratios_are_taken_round_by_round_without_the_generator() -> None:
    found = all_ratios(PLAN, RESULTS, "0.1.0", "relay")
    assert found == {
        "50 pairs: signals/s": [0.5, 0.5, 0.5],
        "50 pairs: CPU a signal": [2.0, 2.0, 2.0],
        "KiB an idle connection": [0.75],
        "500 returns: all back, s": [1.5, 1.5],
        "500 returns: p50 ms": [0.5, 0.5],
        "500 returns: CPU a return": [1.0, 1.0],
    }


def test_a_figure_of_nothing_has_no_ratio() -> None:
    rate = Figure("x", RELAY, lambda figures: figures.per_second)
    for ours, theirs in ((0, 1), (1, 0)):
        assert ratios(rate, Results({RELAY: {"a": rounds(ours), "b": rounds(theirs)}}), "a", "b") == []
    assert ratios(rate, Results(), "a", "b") == []


def test_two_trees_of_the_same_rounds_are_compared_directly() -> None:
    rate, cpu, memory, all_back, *_ = compare_trees(PLAN, RESULTS, "this tree", "0.1.0", "relay")
    assert rate == Compared("50 pairs: signals/s", 0.5, 0.375, [0.5, 0.75, 1.1], PERHAPS_SLOWER)
    assert cpu == Compared("50 pairs: CPU a signal", 2.0, 2.5, [1.25, 1.25, 1.25], SLOWER)
    assert memory.verdict == FASTER
    assert all_back == Compared("500 returns: all back, s", 1.5, 3.0, [2.0, 2.0, 2.0], SLOWER)
    assert compare_trees(PLAN, RESULTS, "this tree", "nobody", "relay") == []


def test_without_the_release_its_kept_ratios_are_compared() -> None:
    kept = {"50 pairs: signals/s": [0.5, 0.6, 0.75], "arrivals/s": [1.0]}
    (rate,) = compare_with_kept(PLAN, RESULTS, "this tree", kept, "relay")
    assert (rate.then, rate.now) == (0.6, 0.375)
    assert rate.changes == pytest.approx([0.25 / 0.75, 0.375 / 0.6, 0.55 / 0.5])
    assert rate.verdict == PERHAPS_SLOWER


@pytest.mark.parametrize(
    ("changes", "more_is_better", "rounds", "verdict"),
    [
        ([1.05, 1.2, 1.3], False, 3, SLOWER),
        ([0.95, 1.2, 1.3], False, 3, PERHAPS_SLOWER),
        ([1.2, 1.2, 1.2], False, 1, PERHAPS_SLOWER),
        ([0.5, 1.09, 2.0], False, 3, AS_BEFORE),
        ([0.7, 0.8, 0.9], False, 3, FASTER),
        ([0.7, 0.8, 1.1], False, 3, PERHAPS_FASTER),
        ([0.8, 0.8, 0.8], False, 1, PERHAPS_FASTER),
        ([0.7, 0.8, 0.9], True, 3, SLOWER),
        ([1.1, 1.2, 1.3], True, 3, FASTER),
    ],
)
def test_a_verdict_is_certain_if_all_of_several_rounds_agree(
    changes: list[float], more_is_better: bool, rounds: int, verdict: str
) -> None:
    figure = Figure("x", "x", lambda figures: figures.p50_ms, more_is_better)
    assert judge(figure, changes, rounds) == verdict


def test_what_is_the_same_in_every_round_needs_one() -> None:
    memory = Figure("x", "x", lambda figures: figures.p50_ms, is_steady=True)
    assert judge(memory, [1.2, 1.2, 1.2], 1) == SLOWER
    assert judge(memory, [0.8, 0.8, 0.8], 1) == FASTER


def test_the_table_names_both_ratios_the_change_and_the_verdict() -> None:
    printed = table(compare_trees(PLAN, RESULTS, "this tree", "0.1.0", "relay"), "0.1.0", "relay")
    assert printed.splitlines()[0] == "|  | 0.1.0 / relay | this tree / relay | this tree / 0.1.0 |  |"
    assert "| 50 pairs: signals/s | 0.50 | 0.38 | 0.75 (0.50 to 1.10) | perhaps slower |" in printed
    assert len({line.count("|") for line in table([], "0.1.0", "relay").splitlines()}) == 1


def test_what_became_slower_is_named_below_and_what_may_have() -> None:
    found = compare_trees(PLAN, RESULTS, "this tree", "0.1.0", "relay")
    slower, perhaps = summary(found)
    assert slower == "Slower by more than 10%: 50 pairs: CPU a signal; 500 returns: all back, s."
    assert perhaps.startswith("Perhaps slower")
    assert perhaps.endswith("(--rounds): 50 pairs: signals/s.")
    assert summary([found[2]]) == ["Nothing became slower by more than 10%."]
