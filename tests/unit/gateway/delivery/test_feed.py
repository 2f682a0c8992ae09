"""How far a connection has got, by the sequences that the mailbox puts on what it pushes."""

from gateway.client.deliveries import NOTHING, Deliveries, Missed
from gateway.client.mail import Mail, mail
from gateway.delivery.feed import Feed
from tests.unit.gateway.client.harness import WELCOME, Harness, connected, event, ping
from tieline.runtime.message import Message, block
from tieline.wire import jetstream


class Listener:
    """The feed of a client that is let in, unless a test says otherwise, and how often it found a gap."""

    def __init__(self, harness: Harness | None = None, *, names_calls: bool = False) -> None:
        self.harness: Harness = harness or connected()
        self.gaps = 0
        self.told: list[tuple[bytes, str]] = []
        """Of frames that are written with their call, if that is asked for: the frames, and the calls."""
        deliveries = (
            Deliveries(self._take, self.harness.clock.loop) if names_calls else self.harness.deliveries
        )
        self.feed = Feed(deliveries, "t.user.alice.s-1", self._on_gap, names_calls=names_calls)
        if harness is None:
            self.feed.release(NOTHING)

    def _on_gap(self) -> None:
        self.gaps += 1
        self.feed.hold()

    def _take(self, frame: bytes) -> bool:
        self.told.append((frame, frame.call if isinstance(frame, Mail) else ""))
        return True

    def push(self, name: str, sequence: int, previous: int, call: str = "") -> None:
        """Let a frame come as JetStream pushes it."""
        headers = ({"Tieline-Call": call} if call else {}) | {
            "Nats-Stream": "MAILBOX_t",
            "Nats-Subject": "t.user.alice.s-1",
            "Nats-Sequence": str(sequence),
            "Nats-Last-Sequence": str(previous),
        }
        self.feed.on_message(Message("t.live.user.alice.s-1", "", event(name), block(headers)))

    def read(self, *names: str, newest: int, older: int = 0) -> bool:
        """Bring what is missing; returns whether something stays missing."""
        frames = [event(name) for name in names]
        return self.feed.release(Missed([], frames, newest), older)


def test_what_follows_what_came_before_is_delivered() -> None:
    listener = Listener()
    listener.push("a", 3, 0)
    listener.push("b", 9, 3)

    assert listener.harness.names() == ["a", "b"]
    assert (listener.gaps, listener.feed.last_sequence) == (0, 9)


def test_each_frame_is_written_with_the_call_that_it_was_stored_with() -> None:
    listener = Listener(names_calls=True)
    listener.feed.release(NOTHING)
    listener.push("a", 3, 0, call="0123")
    listener.push("b", 9, 3)
    listener.push("d", 15, 12, call="4567")
    listener.push("a", 18, 15, call="0123")
    missed = mail(event("c"), jetstream.named("7f.alice", "0123"))
    listener.feed.release(Missed([], [missed], 12))

    named = [("a", "0123"), ("b", ""), ("c", "0123"), ("d", "4567")]
    assert listener.told == [(event(name), call) for name, call in named]


def test_nothing_is_missing_when_what_came_before_is_stored_no_more() -> None:
    listener = Listener()
    listener.push("a", 3, 0)
    listener.push("b", 900, 0)

    assert (listener.gaps, listener.harness.names()) == (0, ["a", "b"])


def test_a_gap_holds_everything_back_until_what_is_missing_is_read() -> None:
    listener = Listener()
    listener.push("a", 3, 0)
    listener.push("c", 9, 6)
    listener.push("d", 12, 9)
    assert listener.harness.names() == ["a"]
    assert (listener.gaps, listener.feed.last_sequence) == (1, 3)

    listener.read("b", newest=6)

    assert listener.harness.names() == ["b", "c", "d"]
    assert (listener.gaps, listener.feed.last_sequence) == (1, 12)


def test_what_was_read_and_pushed_too_is_delivered_once() -> None:
    listener = Listener()
    listener.push("b", 9, 6)
    listener.push("c", 12, 9)

    listener.read("a", "b", "c", newest=12)
    listener.push("d", 14, 12)

    assert listener.harness.names() == ["a", "b", "c", "d"]
    assert (listener.gaps, listener.feed.last_sequence) == (1, 14)


def test_a_second_gap_among_what_was_held_back_is_a_gap_again() -> None:
    listener = Listener()
    listener.push("b", 9, 6)
    listener.push("d", 20, 15)

    listener.read("a", newest=6)
    assert listener.harness.names() == ["a", "b"]
    assert (listener.gaps, listener.feed.last_sequence) == (2, 9)
    listener.push("e", 23, 20)
    listener.read("c", newest=15)

    assert listener.harness.names() == ["c", "d", "e"]
    assert (listener.gaps, listener.feed.last_sequence) == (2, 23)


def test_what_comes_while_held_for_another_reason_is_looked_at_later() -> None:
    listener = Listener()
    listener.feed.hold()
    listener.push("a", 3, 0)
    listener.push("b", 5, 3)
    assert (listener.gaps, listener.harness.names()) == (0, [])

    listener.feed.release(NOTHING)

    assert listener.harness.names() == ["a", "b"]
    assert (listener.gaps, listener.feed.last_sequence) == (0, 5)


def test_a_welcome_and_what_was_missed_precede_what_came_meanwhile() -> None:
    harness = Harness()
    harness.put(harness.request())
    listener = Listener(harness)
    listener.push("d", 9, 6)

    harness.welcome()
    listener.read("b", "c", newest=6)

    assert harness.texts() == [WELCOME, event("b"), event("c"), event("d")]


def test_a_replay_comes_before_what_came_early_and_all_comes_once() -> None:
    listener = Listener(connected())
    for name, sequence in (("c", 3), ("b", 4), ("d", 5), ("d", 6)):
        listener.push(name, sequence, sequence - 1)

    listener.read("a", "b", "c", newest=4)

    assert listener.harness.names() == ["a", "b", "c", "d"]


def test_what_is_held_twice_is_released_once() -> None:
    listener = Listener()
    listener.push("a", 1, 0)
    listener.feed.hold()
    listener.push("d", 4, 3)
    listener.feed.hold()
    listener.push("e", 5, 4)
    assert listener.harness.names() == ["a"]

    listener.read("a", "b", "c", newest=3)
    listener.push("f", 6, 5)

    assert listener.harness.names() == ["b", "c", "d", "e", "f"]
    assert listener.gaps == 0


def test_what_is_released_though_nothing_was_held_is_delivered_once() -> None:
    listener = Listener()
    listener.push("a", 1, 0)

    listener.read("a", "b", newest=2)

    assert listener.harness.names() == ["a", "b"]


def test_a_stream_that_begins_anew_while_held_loses_nothing() -> None:
    listener = Listener()
    listener.push("a", 900, 0)
    listener.feed.hold()
    listener.push("b", 1, 0)

    listener.read(newest=900)
    listener.push("c", 2, 1)

    assert listener.harness.names() == ["a", "b", "c"]
    assert listener.gaps == 0


def test_answers_are_not_held() -> None:
    listener = Listener()

    listener.feed.hold()
    listener.harness.send(ping("p-1"))

    assert listener.harness.names() == ["p-1"]


def test_a_client_that_left_while_held_is_no_trouble() -> None:
    listener = Listener()
    listener.feed.hold()
    listener.push("b", 2, 1)
    listener.harness.say_goodbye()
    listener.harness.look()

    listener.read("a", newest=1)

    assert listener.harness.texts() == []


def test_a_feed_is_live_from_its_first_release_on() -> None:
    harness = connected()
    feed = Feed(harness.deliveries, "t.user.alice.s-1", lambda: None)
    assert not feed.is_live

    feed.release(NOTHING)
    feed.hold()

    assert feed.is_live


def test_what_is_stored_no_more_holds_nothing_back() -> None:
    listener = Listener()
    listener.push("a", 3, 0)
    listener.push("c", 9, 6)
    listener.push("d", 12, 9)

    assert listener.read(newest=3, older=listener.feed.held_count)

    assert listener.harness.names() == ["a", "c", "d"]
    assert (listener.gaps, listener.feed.last_sequence) == (1, 12)
    listener.push("e", 13, 12)
    assert listener.harness.names() == ["e"]


def test_a_gap_behind_the_barrier_is_read_before_what_follows() -> None:
    listener = Listener()
    listener.push("b", 9, 6)
    older = listener.feed.held_count
    listener.push("d", 15, 12)

    assert listener.read(newest=0, older=older)

    assert listener.harness.names() == ["b"]
    assert (listener.gaps, listener.feed.held_count) == (2, 1)
    assert not listener.read("c", newest=12, older=1)
    assert listener.harness.names() == ["c", "d"]
