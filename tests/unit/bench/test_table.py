"""`bench.table`: the Markdown that is printed."""

from bench.rounds import Plan, Results
from bench.table import ratios, render
from tieline.load.figures import GENERATOR, CallFigures, RelayFigures

PLAN = Plan(rounds=3, seconds=1, pairs=(1, 50), calls_at_once=8, idle=100)


def relay(pairs: int, *rates: float) -> list[RelayFigures]:
    cpu = {"gateways": 3.0, "broker": 1.0, GENERATOR: 1.5}
    return [RelayFigures(pairs, rate, 0.5, 1.25, dict(cpu)) for rate in rates]


RESULTS = Results(
    relay={
        "Tieline": {1: relay(1, 3000, 1000, 2000), 50: relay(50, 20_000, 24_000, 22_000)},
        "other": {1: relay(1, 3000, 2000, 1000), 50: relay(50, 20_000, 20_000, 20_000)},
    },
    calls={"Tieline": [CallFigures(90, 8), CallFigures(110, 12), CallFigures(100, 10)]},
    idle_kib={"Tieline": 11.04},
)


def test_every_figure_is_the_median_of_its_rounds() -> None:
    printed = render(RESULTS, PLAN, ("Tieline", "other")).splitlines()
    assert "| Tieline | 2,000, 0.50, 1.25 | 22,000, 0.50, 1.25 |" in printed
    assert "| other | 2,000, 0.50, 1.25 | 20,000, 0.50, 1.25 |" in printed
    assert "| Tieline | 100 | 10.0 | 11.0 |" in printed
    assert "| other | - | - | - |" in printed


def test_ratios_are_taken_within_each_round() -> None:
    assert ratios(relay(1, 3000, 1000, 2000), relay(1, 3000, 2000, 1000)) == [0.5, 1.0, 2.0]
    printed = render(RESULTS, PLAN, ("Tieline", "other"))
    assert "| Tieline / other, signals/s | 1.00 (0.50 to 2.00) | 1.10 (1.00 to 1.20) |" in printed


def test_the_load_generator_is_no_part_of_the_cost() -> None:
    printed = render(RESULTS, PLAN, None)
    assert (
        "| CPU s per 100,000 signals, 50 pairs | gateways | broker | in all | (load generator) |" in printed
    )
    assert "| Tieline | 3.0 | 1.0 | 4.0 | 1.5 |" in printed


def test_what_was_not_measured_has_no_table() -> None:
    assert "idle" not in render(Results(relay=RESULTS.relay), PLAN, None)


def test_every_row_has_as_many_cells_as_its_head() -> None:
    for table in render(RESULTS, PLAN, ("Tieline", "other")).split("\n\n"):
        assert len({row.count("|") for row in table.splitlines()}) == 1
