"""Whether a run of pytest is one of all tests of a folder, so that it may be asked what they all have done.

A part of them, a run that was interrupted, and one in which a test has failed already are none.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

_HAS_LEFT_OUT: Final = pytest.StashKey[bool]()


def note_left_out(items: Sequence[pytest.Item]) -> None:
    """Take note of tests that were chosen by their folder and left out by their names or the like."""
    for item in items:
        item.config.stash[_HAS_LEFT_OUT] = True


def is_whole(session: pytest.Session, folder: Path) -> bool:
    """Whether all tests of the folder, and not only those, have run in this session, and passed."""
    config = session.config
    if session.testsfailed or session.shouldstop or session.exitstatus != pytest.ExitCode.OK:
        return False
    if config.stash.get(_HAS_LEFT_OUT, False):
        return False
    chosen = {item.path for item in session.items}
    return names_all_of(folder, config.args, config.invocation_params.dir) and chosen >= set(
        folder.glob("test_*.py")
    )


def names_all_of(folder: Path, arguments: Sequence[str], here: Path) -> bool:
    """Whether one of the arguments of pytest is the folder, or one around it."""
    named = [(here / argument).resolve() for argument in arguments if "::" not in argument]
    return any(folder.is_relative_to(path) for path in named)
