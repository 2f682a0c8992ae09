"""How far a connection has heard, by the sequences that the mailbox puts on what it pushes."""

from gateway.delivery.connections import Ear
from gateway.delivery.mailbox import Missed
from tests.unit.gateway.client.stage import NOTHING_MISSED, Stage, connected, event
from tieline.runtime.message import Message, block


class Listener:
    """An ear on a connection that has been welcomed, and how often it found something amiss."""

    def __init__(self) -> None:
        self.stage: Stage = connected()
        self.amiss = 0
        self.ear = Ear(self.stage.connection, "t.user.alice.s-1", self._amiss)

    def _amiss(self) -> None:
        self.amiss += 1
        self.stage.connection.deliveries.hold()

    def push(self, name: str, sequence: int, previous: int) -> None:
        """Let a frame come as JetStream pushes it."""
        headers = {
            "Nats-Stream": "MAILBOX_t",
            "Nats-Subject": "t.user.alice.s-1",
            "Nats-Sequence": str(sequence),
            "Nats-Last-Sequence": str(previous),
        }
        self.ear.hear(Message("t.live.user.alice.s-1", "", event(name), block(headers)))

    def read(self, *names: str, newest: int) -> None:
        """Bring what is missing."""
        self.stage.connection.deliveries.release(Missed([], [event(name) for name in names], is_whole=True))
        self.ear.has_read(newest)


def test_what_follows_what_came_before_is_delivered() -> None:
    listener = Listener()
    listener.push("a", 3, 0)
    listener.push("b", 9, 3)

    assert listener.stage.names() == ["a", "b"]
    assert (listener.amiss, listener.ear.heard) == (0, 9)


def test_nothing_is_missing_when_what_came_before_is_kept_no_more() -> None:
    listener = Listener()
    listener.push("a", 3, 0)
    listener.push("b", 900, 0)

    assert (listener.amiss, listener.stage.names()) == (0, ["a", "b"])


def test_a_gap_holds_everything_back_until_what_is_missing_has_been_read() -> None:
    listener = Listener()
    listener.push("a", 3, 0)
    listener.push("c", 9, 6)
    listener.push("d", 12, 9)
    assert listener.stage.names() == ["a"]
    assert (listener.amiss, listener.ear.heard) == (1, 3)

    listener.read("b", newest=6)

    assert listener.stage.names() == ["b", "c", "d"]
    assert (listener.amiss, listener.ear.heard) == (1, 12)


def test_what_was_read_and_pushed_too_is_delivered_once() -> None:
    listener = Listener()
    listener.push("b", 9, 6)
    listener.push("c", 12, 9)

    listener.read("a", "b", "c", newest=12)
    listener.push("d", 14, 12)

    assert listener.stage.names() == ["a", "b", "c", "d"]
    assert (listener.amiss, listener.ear.heard) == (1, 14)


def test_a_second_gap_among_what_was_held_back_is_amiss_again() -> None:
    listener = Listener()
    listener.push("b", 9, 6)
    listener.push("d", 20, 15)

    listener.read("a", newest=6)

    assert (listener.amiss, listener.ear.heard) == (2, 9)


def test_what_comes_while_held_for_another_reason_is_looked_at_afterwards() -> None:
    listener = Listener()
    listener.stage.connection.deliveries.hold()
    listener.push("a", 3, 0)
    listener.push("b", 5, 3)
    assert (listener.amiss, listener.stage.names()) == (0, [])

    listener.stage.connection.deliveries.release(NOTHING_MISSED)
    listener.ear.has_read(0)

    assert listener.stage.names() == ["a", "b"]
    assert (listener.amiss, listener.ear.heard) == (0, 5)
