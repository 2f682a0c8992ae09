"""`tieline.cli.bench.report`: lines and tables."""

from tests.unit.load.some_figures import figures
from tieline.cli.bench.report import aligned, line, notes, table
from tieline.load.latencies import Spread

SPREAD = Spread(2.126, 3, 4.5, 1234.5, 1300)


def test_a_measurement_is_one_line() -> None:
    found = figures(SPREAD, per_second=21_300.4, cpu={"gateway": 5.04, "load generator": 3.0})
    assert line("50 pairs", found) == (
        " 50 pairs:  21,300 signals/s, p50 2.13 ms, p99 4.50 ms;"
        " CPU s per 100,000 signals: gateway 5.0, load generator 3.0"
    )
    assert line("1 pair", found).startswith("   1 pair: ")


def test_what_only_one_mode_finds_is_in_its_line() -> None:
    found = figures(SPREAD, more={"all back, s": 1.23456, "failed attempts": 0.0})
    assert "; all back, s: 1.235; failed attempts: 0;" in line("storm", found)


def test_idle_connections_are_counted_and_weighed() -> None:
    found = figures(count=2000, kib={"gateway": 11.04}, unit="connections")
    assert line("idle", found).startswith("     idle:        2,000 open; KiB a connection: gateway 11.0;")


def test_one_that_was_interrupted_says_so() -> None:
    assert line("1 pair", figures(SPREAD, is_whole=False)).endswith(" (interrupted)")


def test_a_table_has_percentiles_and_the_own_share() -> None:
    assert table([("1 pair", figures(SPREAD)), ("2 pairs", figures(is_whole=False, own_share=1))]) == (
        "                       signals/s  p50 ms   p90   p99     p99.9       max  the bench's own CPU\n"
        "1 pair                        10    2.13  3.00  4.50  1,234.50  1,300.00   25% of a processor\n"
        "2 pairs (interrupted)         10       -     -     -         -         -  100% of a processor\n"
    )


def test_a_table_of_idle_connections_has_their_memory() -> None:
    assert table([("9 connections", figures(kib={"gateway": 11.04, "nats": 1.0}))]) == (
        "               gateway, KiB each  nats, KiB each  the bench's own CPU\n"
        "9 connections               11.0             1.0   25% of a processor\n"
    )


def test_nothing_has_no_table() -> None:
    assert table([]) == ""


def test_the_first_column_is_to_the_left_and_no_line_ends_with_blanks() -> None:
    assert aligned([["a", "bb"], ["ccc", ""]]) == "a    bb\nccc\n"


def test_notes_say_which_measurement_they_are_of() -> None:
    assert notes([("one", figures()), ("two", figures(notes=["late"]))]) == ["two: late"]
