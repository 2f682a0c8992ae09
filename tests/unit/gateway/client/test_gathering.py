from collections.abc import Callable

import pytest

from gateway.client.gathering import Gathering


class Line:
    """A client that is written what was gathered."""

    def __init__(self, *, is_open: bool = True) -> None:
        self._is_open = is_open
        self._kept: list[bytes] = []
        self.written: list[list[bytes]] = []

    def gather(self, frame: bytes) -> bool:
        if self._is_open:
            self._kept.append(frame)
        return self._is_open

    def write_gathered(self) -> None:
        self.written.append(self._kept)
        self._kept = []


class Broken(Line):
    """A client that a bug meets."""

    def write_gathered(self) -> None:
        raise LookupError("a bug")


class Turns:
    """A loop whose turns end when the test says so."""

    def __init__(self) -> None:
        self.callbacks: list[Callable[[], None]] = []
        self.gathering = Gathering(self.callbacks.append)

    def end(self) -> None:
        callbacks, self.callbacks[:] = list(self.callbacks), []
        for callback in callbacks:
            callback()


@pytest.fixture
def turns() -> Turns:
    return Turns()


def test_what_one_turn_brings_is_written_in_one_go(turns: Turns) -> None:
    alice, bob = Line(), Line()

    for number in (b"1", b"2", b"3"):
        assert turns.gathering.say(alice, number)
    assert turns.gathering.say(bob, b"4")
    assert (alice.written, bob.written) == ([], [])
    assert len(turns.callbacks) == 1
    turns.end()

    assert alice.written == [[b"1", b"2", b"3"]]
    assert bob.written == [[b"4"]]


def test_each_turn_is_written_when_it_ends(turns: Turns) -> None:
    alice = Line()

    turns.gathering.say(alice, b"1")
    turns.end()
    turns.gathering.say(alice, b"2")
    turns.end()

    assert alice.written == [[b"1"], [b"2"]]


def test_nothing_is_promised_to_a_client_that_closes(turns: Turns) -> None:
    gone = Line(is_open=False)

    assert not turns.gathering.say(gone, b"1")

    assert turns.callbacks == []


def test_a_bug_that_one_client_meets_keeps_no_other_waiting(turns: Turns) -> None:
    broken, bob = Broken(), Line()

    turns.gathering.say(broken, b"1")
    turns.gathering.say(bob, b"2")
    turns.end()

    assert bob.written == [[b"2"]]
