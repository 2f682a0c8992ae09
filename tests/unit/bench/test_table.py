"""`bench.table`: the Markdown that is printed."""

from typing import Any

from bench.rounds import CONNECT, IDLE, LOAD, STORM, Plan, Results, relay_name
from bench.table import ratios, render
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
    calls=(Kind(8),),
    arrivals_at_once=16,
    idle=100,
    storm=2000,
)
EDGES = {"Tieline": "gateways", "other": "server"}


def rounds(*rates: float, p50: float = 0.5) -> list[Figures]:
    cpu: dict[str, Any] = {"gateways": 3.0, "broker": 1.0, GENERATOR: 1.5}
    return [figures(Spread(p50, 0.75, 1.25, 2, 3), per_second=rate, cpu=dict(cpu)) for rate in rates]


def returns(all_back: float, resumed: int) -> Figures:
    more = {"all back, s": all_back, "failed attempts": 3.0, "resumed": float(resumed)}
    return figures(Spread(20, 30, 40, 50, 60), more=more, cpu={"gateways": 1.0, GENERATOR: 0.5})


RESULTS = Results(
    {
        relay_name(1): {"Tieline": rounds(3000, 1000, 2000), "other": rounds(3000, 2000, 1000)},
        relay_name(50): {"Tieline": rounds(20_000, 24_000, 22_000), "other": rounds(20_000, 20_000, 20_000)},
        Kind(8).name: {"Tieline": rounds(90, 110, 100, p50=10), "other": rounds(200, 200, 200)},
        LOAD: {"Tieline": rounds(2000, 2000, 2000, p50=0.9), "other": [figures()]},
        CONNECT: {"Tieline": rounds(50, 70, 60)},
        IDLE: {
            "Tieline": [figures(kib={"gateways": 11.04, "broker": 3})],
            "other": [figures(kib={"server": 2})],
        },
        STORM: {
            "Tieline": [returns(2.0, 2000), returns(4.0, 2000), returns(3.0, 2000)],
            "other": [returns(1.0, 0)],
        },
    }
)


def test_every_figure_is_the_median_of_its_rounds() -> None:
    printed = render(RESULTS, PLAN, "Tieline", EDGES).splitlines()
    assert "| Tieline | 2,000, 0.50, 1.25 | 22,000, 0.50, 1.25 |" in printed
    assert "| other | 2,000, 0.50, 1.25 | 20,000, 0.50, 1.25 |" in printed
    assert "| Tieline | 100, 10.00, 1.25 |" in printed
    assert "| Tieline | 0.90 | 0.75 | 1.25 | 2.00 | 3.00 |" in printed
    assert "| other | - | - | - | - | - |" in printed
    assert "| Tieline | 60, 0.50, 1.25 |" in printed


def test_ratios_are_taken_within_each_round_to_each_other_system() -> None:
    assert ratios(rounds(3000, 1000, 2000), rounds(3000, 2000, 1000)) == [0.5, 1.0, 2.0]
    printed = render(RESULTS, PLAN, "Tieline", EDGES)
    assert "| Tieline / other | 1.00 (0.50 to 2.00) | 1.10 (1.00 to 1.20) |" in printed
    assert "| Tieline / other | 0.50 (0.45 to 0.55) |" in printed
    assert "other / other" not in printed


def test_without_the_compared_system_there_are_no_ratios() -> None:
    assert " / other" not in render(RESULTS, PLAN, "nobody", EDGES)


def test_the_load_generator_is_no_part_of_the_cost() -> None:
    printed = render(RESULTS, PLAN, "Tieline", EDGES)
    assert (
        "| CPU s per 100,000 signals, 50 pairs | gateways | broker | in all | (load generator) |" in printed
    )
    assert "| Tieline | 3.0 | 1.0 | 4.0 | 1.5 |" in printed
    assert "| Tieline | 4.0 (1.5) |" in printed


def test_memory_is_that_of_the_part_that_serves_clients() -> None:
    printed = render(RESULTS, PLAN, "Tieline", EDGES)
    assert "| Tieline | 11.0 |" in printed
    assert "| other | 2.0 |" in printed


def test_a_storm_tells_how_soon_all_are_back_and_whether_they_resume() -> None:
    printed = render(RESULTS, PLAN, "Tieline", EDGES)
    assert "| 2,000 clients whose gateway dies |" in printed
    assert "| Tieline | 3.00 | 20 | 40 | 3 | 2,000 |" in printed
    assert "| other | 1.00 | 20 | 40 | 3 | - |" in printed
    assert "| Tieline | 1.0 (0.5) |" in printed


def test_what_was_not_measured_has_no_table() -> None:
    assert render(Results(), Plan(1, 1), "Tieline", {}) == ""
    only = Results({relay_name(1): RESULTS.found[relay_name(1)]})
    assert "idle" not in render(only, PLAN, "Tieline", EDGES)


def test_a_system_that_cannot_do_it_has_a_dash() -> None:
    some = Results(
        {
            Kind(1).name: {"Tieline": rounds(1), "other": rounds(1)},
            Kind(8).name: {"Tieline": rounds(2)},
        }
    )
    printed = render(some, Plan(1, 1, calls=(Kind(1), Kind(8))), "Tieline", {})
    assert "| other | 1, 0.50, 1.25 | - |" in printed
    assert "| Tieline / other | 1.00 (1.00 to 1.00) | - |" in printed


def test_every_row_has_as_many_cells_as_its_head() -> None:
    for table in render(RESULTS, PLAN, "Tieline", EDGES).split("\n\n"):
        assert len({row.count("|") for row in table.splitlines()}) == 1
