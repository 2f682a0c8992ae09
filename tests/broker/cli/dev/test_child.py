"""How the end of a child process is put into words. tests/system/test_dev.py starts and ends real ones."""

import signal

import pytest

from tieline.cli.dev.child import how_it_ended


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, "exit status 0"),
        (78, "exit status 78"),
        (-signal.SIGKILL, "killed by SIGKILL"),
        (-(signal.SIGRTMIN + 1), f"killed by signal {signal.SIGRTMIN + 1}"),
    ],
)
def test_an_end_is_put_into_words(status: int, words: str) -> None:
    assert how_it_ended(status) == words
