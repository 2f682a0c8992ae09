"""Options of commands: numbers that make sense, and one line about those that do not.

For `tieline`, the benchmarks in `bench/` and what else is run by `python -m`. Settings of the services, which
stand in the environment, are read by `tieline.runtime.settings`.
"""

import argparse
from collections.abc import Callable
from typing import Final, NoReturn

from tieline.cli.exits import EXIT_UNUSABLE
from tieline.wire.ids import ID_RULE, is_valid_id

LONGEST_S: Final = 86_400.0
"""A day: a longer time is a slip, and `inf` never ends."""


class OptionParser(argparse.ArgumentParser):
    """A parser that says in one line what is wrong with the options."""

    def error(self, message: str) -> NoReturn:
        """End with the status of unusable options."""
        self.exit(EXIT_UNUSABLE, f"{self.prog}: {message} (--help says what there is)\n")


def option_parser(prog: str, description: str | None) -> OptionParser:
    """Make the parser of a command; its description, a docstring mostly, is shown in its own lines."""
    return OptionParser(
        prog=prog, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def whole(least: int = 1, most: int | None = None) -> Callable[[str], int]:
    """Make the type of an option that is a whole number within bounds."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None
        if number < least:
            raise argparse.ArgumentTypeError(f"{text} is less than {least}")
        if most is not None and number > most:
            raise argparse.ArgumentTypeError(f"{text} is more than {most}")
        return number

    return read


def number(least: float, most: float) -> Callable[[str], float]:
    """Make the type of an option that is a number within bounds."""

    def read(text: str) -> float:
        found = _float(text)
        if not least <= found <= most:
            raise argparse.ArgumentTypeError(f"{text} is not within {least:.12g} to {most:.12g}")
        return found

    return read


def seconds(text: str) -> float:
    """Read a time, of more than no seconds."""
    found = _float(text)
    if not 0 < found <= LONGEST_S:
        raise argparse.ArgumentTypeError(f"{text} is no time: more than 0 s, and at most a day")
    return found


def seconds_or_none(text: str) -> float:
    """Read a time that may be 0."""
    return 0.0 if _float(text) == 0 else seconds(text)


def identifier(text: str) -> str:
    """Read the id of a user or a room."""
    if not is_valid_id(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no id: {ID_RULE}")
    return text


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None
