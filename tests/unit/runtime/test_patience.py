"""How long the asker of a request says that it waits."""

import pytest

from tieline.runtime.message import Message, block
from tieline.runtime.patience import PATIENCE_S, patience_of, waiting_for


def saying(value: str) -> Message:
    return Message("subject", "reply", b"", block({"Tieline-Patience": value}))


def test_what_the_asker_says_counts_from_now_on() -> None:
    assert patience_of(saying("2500")) == 2.5
    assert patience_of(saying("0")) == 0


@pytest.mark.parametrize("odd", ["", "-1", "1.5", "soon", "9" * 30, "9" * 5_000])
def test_nothing_and_nonsense_is_the_usual_patience(odd: str) -> None:
    assert patience_of(saying(odd)) == PATIENCE_S


def test_an_older_process_says_nothing() -> None:
    assert patience_of(Message("subject", "reply", b"", b""), 3.0) == 3.0


def test_an_asker_is_understood_to_the_millisecond_and_never_below_0() -> None:
    assert patience_of(Message("subject", "reply", b"", waiting_for(1.2345))) == 1.234
    assert patience_of(Message("subject", "reply", b"", waiting_for(-1))) == 0
