"""How far a connection has got, by the sequences that the mailbox puts on what it pushes."""

from gateway.client.deliveries import NOTHING, Missed
from gateway.delivery.feed import Feed
from tests.unit.gateway.client.stage import Stage, connected, event
from tieline.runtime.message import Message, block


class Listener:
    """The feed of a client that is let in, and how often it found a gap."""

    def __init__(self) -> None:
        self.stage: Stage = connected()
        self.gaps = 0
        self.feed = Feed(self.stage.deliveries, "t.user.alice.s-1", self._on_gap, self.stage.connection.close)
        self.feed.release(NOTHING)

    def _on_gap(self) -> None:
        self.gaps += 1
        self.feed.hold()

    def push(self, name: str, sequence: int, previous: int) -> None:
        """Let a frame come as JetStream pushes it."""
        headers = {
            "Nats-Stream": "MAILBOX_t",
            "Nats-Subject": "t.user.alice.s-1",
            "Nats-Sequence": str(sequence),
            "Nats-Last-Sequence": str(previous),
        }
        self.feed.on_message(Message("t.live.user.alice.s-1", "", event(name), block(headers)))

    def read(self, *names: str, newest: int) -> None:
        """Bring what is missing."""
        self.feed.release(Missed([], [event(name) for name in names], is_whole=True, newest=newest))


def test_what_follows_what_came_before_is_delivered() -> None:
    listener = Listener()
    listener.push("a", 3, 0)
    listener.push("b", 9, 3)

    assert listener.stage.names() == ["a", "b"]
    assert (listener.gaps, listener.feed.last_sequence) == (0, 9)


def test_nothing_is_missing_when_what_came_before_is_stored_no_more() -> None:
    listener = Listener()
    listener.push("a", 3, 0)
    listener.push("b", 900, 0)

    assert (listener.gaps, listener.stage.names()) == (0, ["a", "b"])


def test_a_gap_holds_everything_back_until_what_is_missing_is_read() -> None:
    listener = Listener()
    listener.push("a", 3, 0)
    listener.push("c", 9, 6)
    listener.push("d", 12, 9)
    assert listener.stage.names() == ["a"]
    assert (listener.gaps, listener.feed.last_sequence) == (1, 3)

    listener.read("b", newest=6)

    assert listener.stage.names() == ["b", "c", "d"]
    assert (listener.gaps, listener.feed.last_sequence) == (1, 12)


def test_what_was_read_and_pushed_too_is_delivered_once() -> None:
    listener = Listener()
    listener.push("b", 9, 6)
    listener.push("c", 12, 9)

    listener.read("a", "b", "c", newest=12)
    listener.push("d", 14, 12)

    assert listener.stage.names() == ["a", "b", "c", "d"]
    assert (listener.gaps, listener.feed.last_sequence) == (1, 14)


def test_a_second_gap_among_what_was_held_back_is_a_gap_again() -> None:
    listener = Listener()
    listener.push("b", 9, 6)
    listener.push("d", 20, 15)

    listener.read("a", newest=6)

    assert (listener.gaps, listener.feed.last_sequence) == (2, 9)


def test_what_comes_while_held_for_another_reason_is_looked_at_later() -> None:
    listener = Listener()
    listener.feed.hold()
    listener.push("a", 3, 0)
    listener.push("b", 5, 3)
    assert (listener.gaps, listener.stage.names()) == (0, [])

    listener.feed.release(NOTHING)

    assert listener.stage.names() == ["a", "b"]
    assert (listener.gaps, listener.feed.last_sequence) == (0, 5)


def test_a_feed_is_live_from_its_first_release_on() -> None:
    stage = connected()
    feed = Feed(stage.deliveries, "t.user.alice.s-1", lambda: None, stage.connection.close)
    assert not feed.is_live

    feed.release(NOTHING)
    feed.hold()

    assert feed.is_live
