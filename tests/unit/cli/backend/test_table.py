"""Tables for a terminal."""

import io

import pytest

from tieline.cli.backend.table import has_colours, table


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environ", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_colours_are_for_terminals_that_want_them(environ: dict[str, str], coloured: bool) -> None:
    assert has_colours(Terminal(), environ) is coloured
    assert not has_colours(io.StringIO(), environ)


def test_a_status_has_its_colour_and_columns_stay_in_line() -> None:
    shown = table(("user", "status"), [("alice", "online"), ("b", "away")], coloured=True)
    assert shown.splitlines()[1] == "alice  \x1b[32monline\x1b[0m"
    assert table(("user", "status"), [("b", "away")], coloured=False).splitlines()[1] == "b     away"


def test_what_a_terminal_takes_for_a_command_is_escaped() -> None:
    assert "\x1b" not in table(("user",), [("\x1b[2J",)], coloured=False)
