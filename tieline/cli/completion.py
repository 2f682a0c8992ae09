"""`tieline completion SHELL`: print what completes commands and options in a shell.

The script is made of the parsers themselves, once, by shtab: completing starts no Python. Users and rooms are
not completed: nobody is asked who there is.
"""

import argparse
import sys
from pathlib import Path

import shtab

from tieline.cli.__main__ import parser_of_all
from tieline.cli.exits import EXIT_OK


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare for which shell."""
    parser.add_argument("shell", choices=shtab.SUPPORTED_SHELLS, help="the shell that is to complete")


def run(options: argparse.Namespace) -> int:
    """Print the script; returns the exit status."""
    parser = parser_of_all()
    _complete_files(parser)
    sys.stdout.write(shtab.complete(parser, shell=options.shell))
    return EXIT_OK


def _complete_files(parser: argparse.ArgumentParser) -> None:
    """Have files completed wherever an option, or one of a command below, is one."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                _complete_files(each)
        elif action.type is Path:
            vars(action)["complete"] = shtab.FILE  # where shtab looks
