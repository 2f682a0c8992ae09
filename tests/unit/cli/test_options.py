"""Numbers that make no sense, in the options of every command: one line, and exit status 2.

Of modules that are run by `python -m`: tests/broker/test_commands.py.
"""

import re

import pytest

from tieline.cli.__main__ import main
from tieline.cli.options import number, option_parser, seconds, seconds_or_none, whole

OF_TIELINE = (
    "dev --gateways 0",
    "dev --routers -1",
    "dev --presences x",
    "dev --port -1",
    "dev --port 65536",
    "token alice --room demo --ttl 0",
    "token alice --room demo --ttl nan",
    "token alice --room demo --ttl 1e12",
    "call --url ws://h/ws --listen 0",
    "call --url ws://h/ws --timeout inf",
    "call --url ws://h/ws --room r --answer --hang-up-after -1",
    "bench --url ws://h/ws --pairs 0",
    "bench --url ws://h/ws --pairs 1 -5",
    "bench --url ws://h/ws --seconds 0",
    "top http://h --every 0",
    "top http://h --count -1",
    "top http://h --count 2.5",
)


@pytest.mark.parametrize("words", OF_TIELINE)
def test_tieline_refuses_what_makes_no_sense(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words.split())
    assert ended.value.code == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert re.match(rf"tieline {words.split()[0]}( relay)?: argument --", told.err)


def test_numbers_that_make_sense_are_taken() -> None:
    parser = option_parser("p", None)
    parser.add_argument("--count", type=whole(0, 5))
    parser.add_argument("--time", type=seconds)
    parser.add_argument("--pause", type=seconds_or_none)
    options = parser.parse_args(["--count", "5", "--time", "0.5", "--pause", "0"])
    assert (options.count, options.time, options.pause) == (5, 0.5, 0)


def test_the_bounds_of_a_number_are_told_in_figures(capsys: pytest.CaptureFixture[str]) -> None:
    parser = option_parser("p", None)
    parser.add_argument("--for", type=number(0.5, 315_360_000.0))
    with pytest.raises(SystemExit):
        parser.parse_args(["--for", "0"])
    assert "0 is not within 0.5 to 315360000" in capsys.readouterr().err


def test_a_description_keeps_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        option_parser("p", "One.\n\n    an example\n").parse_args(["--help"])
    assert "One.\n\n    an example\n" in capsys.readouterr().out
