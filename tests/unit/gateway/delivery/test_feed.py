"""How far a connection has got, by the sequences that the mailbox puts on what it pushes."""

from gateway.client.deliveries import NOTHING, Deliveries, Missed
from gateway.client.mail import Mail, Telling, mail
from gateway.delivery.feed import Feed
from tests.support.metrics import value_of
from tests.unit.gateway.client.harness import WELCOME, Harness, connected, event, ping
from tests.unit.wire import samples
from tieline import metrics
from tieline.runtime.message import Message, block
from tieline.wire import jetstream_headers
from tieline.wire.limits import RETRY_WINDOW_S

CALL, OTHER_CALL = "0123456789abcdef", "fedcba9876543210"


class Listener:
    """The feed of a client that is let in, unless a test says otherwise, and how often it found a gap."""

    def __init__(
        self, harness: Harness | None = None, *, places: bool = False, names_calls: bool = False
    ) -> None:
        self.harness: Harness = harness or connected()
        self.gaps = 0
        self.told: list[tuple[bytes, str]] = []
        """Of frames that are written with their call, if that is asked for: the frames, and the calls."""
        connection, loop = self.harness.connection, self.harness.clock.loop
        deliveries = self.harness.deliveries
        if places:
            deliveries = Deliveries(Telling(connection.say).say, loop)
        elif names_calls:
            deliveries = Deliveries(self._take, loop)
        self.feed = Feed(
            deliveries,
            "t.user.alice.s-1",
            self._on_gap,
            names_places=places,
            names_calls=names_calls,
        )
        if harness is None:
            self.feed.release(NOTHING)

    def _on_gap(self) -> None:
        self.gaps += 1
        self.feed.hold()

    def _take(self, frame: bytes) -> bool:
        self.told.append((frame, frame.call if isinstance(frame, Mail) else ""))
        return True

    def push(
        self, name: str, sequence: int, previous: int, call: str = "", frame: bytes | None = None
    ) -> None:
        """Let a frame come as JetStream pushes it."""
        headers = ({"Tieline-Call": call} if call else {}) | {
            "Nats-Stream": "MAILBOX_t",
            "Nats-Subject": "t.user.alice.s-1",
            "Nats-Sequence": str(sequence),
            "Nats-Time-Stamp": "2026-01-01T00:00:00Z",
            "Nats-Last-Sequence": str(previous),
        }
        self.feed.on_message(Message("t.live.user.alice.s-1", "", frame or event(name), block(headers)))

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
    missed = mail(event("c"), jetstream_headers.named("7f.alice", "0123"))
    listener.feed.release(Missed([], [missed], 12))

    named = [("a", "0123"), ("b", ""), ("c", "0123"), ("d", "4567")]
    assert listener.told == [(event(name), call) for name, call in named]


def test_two_connections_are_each_told_what_they_asked_for() -> None:
    placed, named = Listener(places=True), Listener(names_calls=True)
    frame = mail(event("a"), jetstream_headers.named("7f.alice", "0123"))
    missed = Missed([], [frame], 12, (12,))
    placed.feed.release(missed)
    named.feed.release(missed)

    assert [message.get("place") for message in placed.harness.messages()] == ["12"]
    ((told, call),) = named.told
    assert (told, call, getattr(told, "number", None)) == (event("a"), "0123", None)


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


def test_what_was_replaced_while_held_never_comes_after_that() -> None:
    listener = Listener()
    listener.feed.hold()
    listener.push("older offer", 3, 0)
    listener.push("newer offer", 5, 3)

    listener.feed.release(Missed([], [event("newer offer")], 5, (5,)))
    listener.push("a", 7, 5)

    assert listener.harness.names() == ["newer offer", "a"]
    assert listener.gaps == 0


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


class Owing:
    """Rooms of which the client is told nothing beyond a number. See `gateway.delivery.feed.Beside`."""

    def __init__(self, most: int) -> None:
        self.most = most

    def tell(self, before: int | None = None) -> None:
        """Tell nothing."""

    def reached(self, number: int) -> int:
        """Say how far."""
        return min(number, self.most)

    def weave(self, frames: list[bytes], _numbers: list[int], _has_had: int) -> list[bytes]:
        """Put nothing before any."""
        return frames


def places(listener: Listener) -> list[tuple[str, str]]:
    """The place and the name of each frame that a client was sent."""
    return [(message["place"], message["requestId"]) for message in listener.harness.messages()]


def test_each_frame_has_its_place_for_who_asks() -> None:
    listener = Listener(places=True)
    listener.push("a", 3, 0)
    listener.push("c", 9, 6)
    listener.feed.release(Missed([], [event("b")], 6, (6,)))
    listener.push("d", 12, 9)

    assert places(listener) == [("3", "a"), ("6", "b"), ("9", "c"), ("12", "d")]


def test_a_frame_that_is_stored_twice_has_its_first_place() -> None:
    listener = Listener(places=True)
    for sequence in (3, 4):
        listener.push("a", sequence, sequence - 1 if sequence > 3 else 0)

    assert places(listener) == [("3", "a")]


def test_no_place_is_beyond_what_the_rooms_have_told() -> None:
    listener = Listener(places=True)
    listener.feed.attach(Owing(5), ())
    listener.push("a", 3, 0)
    listener.push("b", 9, 3)
    listener.feed.hold()
    listener.push("d", 12, 11)
    listener.feed.release(Missed([], [event("c")], 11, (11,)))

    assert places(listener) == [("3", "a"), ("9-5", "b"), ("11-5", "c"), ("12-5", "d")]


async def test_what_no_stream_has_pushed_is_dropped_and_holds_nobody() -> None:
    listener, dropped = Listener(), metrics.UNREADABLE_MESSAGES.labels("frame")
    before = value_of(dropped)
    listener.push("a", 3, 0)
    forged = {"Nats-Sequence": "9999", "Nats-Time-Stamp": "x", "Nats-Last-Sequence": "9998"}
    got = {"Nats-Sequence": "9999", "Nats-Time": "", "Nats-Num-Pending": "0", "Nats-Last-Sequence": "8"}
    for headers in (b"", block({}), block({**forged, "Nats-Sequence": "x"}), block(got)):
        listener.feed.on_message(Message("t.live.user.alice.s-1", "", event("forged"), headers))
    listener.push("b", 9, 3)

    assert listener.harness.names() == ["a", "b"]
    assert (listener.gaps, listener.feed.last_sequence) == (0, 9)
    assert value_of(dropped) == before + 4


async def test_headers_that_a_publisher_has_forged_are_not_believed() -> None:
    listener = Listener()
    listener.push("a", 3, 0)
    forged = {"Nats-Sequence": "9999", "Nats-Last-Sequence": "9998"}
    stored = {"Nats-Sequence": "9", "Nats-Time-Stamp": "2026-01-01T00:00:00Z", "Nats-Last-Sequence": "3"}
    headers = block(forged).removesuffix(b"\r\n") + block(stored).removeprefix(b"NATS/1.0\r\n")
    listener.feed.on_message(Message("t.live.user.alice.s-1", "", event("b"), headers))

    assert listener.harness.names() == ["a", "b"]
    assert (listener.gaps, listener.feed.last_sequence) == (0, 9)


async def test_what_would_end_the_connection_is_not_sent() -> None:
    listener, dropped = Listener(), metrics.UNREADABLE_MESSAGES.labels("frame")
    before = value_of(dropped)
    for sequence, frame in ((3, b'{"cmd":"\xff"}'), (4, b" " * 65_537)):
        place = {"Nats-Sequence": str(sequence), "Nats-Time-Stamp": "x", "Nats-Last-Sequence": "0"}
        listener.feed.on_message(Message("t.live.user.alice.s-1", "", frame, block(place)))
    listener.push("b", 9, 4)

    assert listener.harness.names() == ["b"]
    assert (listener.gaps, listener.feed.last_sequence) == (0, 9)
    assert value_of(dropped) == before + 2


def signal(cmd: str, name: str) -> bytes:
    return samples.frame(samples.signal_message(cmd) | {"requestId": name})


def stored(cmd: str, name: str, call: str) -> bytes:
    return mail(signal(cmd, name), block({"Tieline-Call": call}))


def test_an_offer_stored_after_the_end_of_its_call_stays_away() -> None:
    listener, late = Listener(), metrics.DELIVERED_LATE.count
    listener.push("end", 2, 0, CALL, signal("WEBRTC_HANGUP", "end"))
    listener.push("offer", 3, 2, CALL, signal("WEBRTC_OFFER", "offer"))
    listener.push("candidate", 4, 3, CALL, signal("WEBRTC_ICE_CANDIDATE", "candidate"))
    listener.push("another", 5, 4, OTHER_CALL, signal("WEBRTC_OFFER", "another"))
    assert listener.harness.names() == ["end", "candidate", "another"]
    assert (listener.feed.last_sequence, listener.gaps) == (5, 0)
    assert metrics.DELIVERED_LATE.count == late + 1


def test_an_end_stored_once_more_does_not_come_amid_the_next_call() -> None:
    listener, late = Listener(), metrics.DELIVERED_LATE.count
    listener.push("end", 2, 0, CALL, signal("WEBRTC_HANGUP", "end"))
    listener.push("next", 3, 2, OTHER_CALL, signal("WEBRTC_OFFER", "next"))
    listener.harness.clock.advance(RETRY_WINDOW_S)
    listener.push("answer", 4, 3, CALL, signal("WEBRTC_ANSWER", "answer"))
    listener.push("end", 5, 4, CALL, signal("WEBRTC_HANGUP", "end"))
    assert listener.harness.names() == ["end", "next"]
    assert metrics.DELIVERED_LATE.count == late + 2


def test_an_offer_of_a_call_that_the_client_has_ended_stays_away() -> None:
    listener = Listener()
    listener.feed.note_over(CALL)
    listener.push("offer", 3, 2, CALL, signal("WEBRTC_OFFER", "offer"))
    assert listener.harness.names() == []


def test_an_offer_that_is_late_is_not_read_either() -> None:
    listener = Listener()
    listener.push("end", 2, 0, CALL, signal("WEBRTC_HANGUP", "end"))
    listener.push("last", 6, 5)
    offer, another = stored("WEBRTC_OFFER", "offer", CALL), stored("WEBRTC_OFFER", "another", OTHER_CALL)
    end = stored("WEBRTC_HANGUP", "its end", OTHER_CALL)
    listener.feed.release(Missed([], [offer, another, end], 5, (3, 4, 5)))
    assert listener.harness.names() == ["end", "another", "its end", "last"]


def test_an_offer_kept_back_is_late_after_an_end_that_is_read() -> None:
    listener = Listener()
    listener.push("offer", 4, 3, CALL, signal("WEBRTC_OFFER", "offer"))
    assert listener.gaps == 1
    listener.feed.release(Missed([], [stored("WEBRTC_HANGUP", "end", CALL)], 3, (3,)), older=1)
    assert listener.harness.names() == ["end"]


def test_who_comes_back_is_not_rung_for_a_call_that_has_ended() -> None:
    listener = Listener(connected())
    late = stored("WEBRTC_OFFER", "offer", CALL)
    listener.feed.release(Missed([], [late], 3, (3,), over=(CALL,)))
    listener.push("renewed", 4, 3, CALL, signal("WEBRTC_OFFER", "renewed"))
    assert listener.harness.names() == []
