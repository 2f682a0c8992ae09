"""Exit statuses of the commands, and the line that a command prints before it ends with one.

The statuses of the services themselves are in `tieline.runtime.process`.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
"""The command ran, and what it was asked for did not succeed."""
EXIT_UNUSABLE: Final = 2
"""The options or the environment do not say what to do, as argparse itself ends."""
EXIT_INTERRUPTED: Final = 130
"""Ctrl-C, as shells count it: 128 + SIGINT."""
EXIT_NOT_READ: Final = 141
"""Nobody reads the output any more, as shells count it: 128 + SIGPIPE."""
EXIT_TERMINATED: Final = 143
"""SIGTERM, as shells count it."""


def until_told_to_end(do: Callable[[], int]) -> int:
    """Do it, and let SIGTERM end it as Ctrl-C does: all that it has started is ended first.

    Returns the exit status. For commands that start processes: those would go on without the command.
    """
    is_terminated = False

    def interrupt(_number: int, frame: FrameType | None) -> None:
        nonlocal is_terminated
        is_terminated = True
        handler = signal.getsignal(signal.SIGINT)
        if callable(handler):  # within an event loop, its way to cancel the main task
            handler(signal.SIGINT, frame)
        else:
            raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    try:
        return do()
    except KeyboardInterrupt:
        return EXIT_TERMINATED if is_terminated else EXIT_INTERRUPTED


@contextmanager
def interrupted_at_once() -> Iterator[None]:
    """Let Ctrl-C end the process without a word: during an import nothing is there to be ended first.

    Python raises KeyboardInterrupt between any two steps of an import. It shows where, and within a callback
    of the import system's own it only says so and goes on.
    """
    handler = signal.getsignal(signal.SIGINT)
    if handler is not signal.default_int_handler:  # a caller's own, or ignored, as behind `nohup`
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def while_it_is_read(do: Callable[[], int]) -> int:
    """Do it, and end without a word when nobody reads the output any more, as behind `| head`.

    Returns the exit status.
    """
    try:
        status = do()
        sys.stdout.flush()
    except BrokenPipeError:
        # What has not been written goes nowhere, when the interpreter ends, too.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        return EXIT_NOT_READ
    return status


def printable(text: str) -> str:
    """Escape what a terminal takes for a command, or does not show: servers say what they like."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def note(command: str, text: str) -> None:
    """Print one line on standard error, which is no reason to end."""
    sys.stderr.write(f"tieline {command}: {printable(text)}\n")


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
