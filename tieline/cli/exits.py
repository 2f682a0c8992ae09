"""Exit statuses of the commands, and the line that a command prints before it ends with one.

The statuses of the services themselves are in `tieline.runtime.process`.
"""

import sys
from typing import Final

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
"""The command ran, and what it was asked for did not succeed."""
EXIT_UNUSABLE: Final = 2
"""The options or the environment do not say what to do, as argparse itself ends."""
EXIT_INTERRUPTED: Final = 130
"""Ctrl-C, as shells count it: 128 + SIGINT."""


def note(command: str, text: str) -> None:
    """Print one line on standard error, which is no reason to end."""
    sys.stderr.write(f"tieline {command}: {text}\n")


def fail(command: str, problem: str, status: int = EXIT_FAILED) -> int:
    """Print one line on standard error; returns `status`, for the command to end with."""
    note(command, problem)
    return status


def refuse(command: str, problem: str) -> int:
    """Print why the command cannot do what its options ask for; returns the exit status for that."""
    return fail(command, problem, EXIT_UNUSABLE)


def fail_without_package(command: str, missing: ModuleNotFoundError) -> int:
    """Print which package has to be installed; returns the exit status for that."""
    sys.stderr.write(
        f"tieline {command} needs the package {missing.name!r}, which is not installed:"
        " pip install 'tieline[tools]'\n"
    )
    return EXIT_FAILED
