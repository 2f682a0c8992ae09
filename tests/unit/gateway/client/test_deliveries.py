"""What others send to a client: in order, each once, and not for ever. What waits is `test_feed`'s."""

import pytest
from websockets.frames import Frame, Opcode

from gateway.client.deliveries import (
    LOW_WATER_BYTES,
    MAX_BACKLOG_BYTES,
    NOTHING,
    PART_BYTES,
    PART_FRAMES,
    REPLAY_S,
    Backlogs,
    Deliveries,
    Missed,
)
from gateway.client.duplicates import name_of
from gateway.client.events import expiring
from gateway.client.frames import Framed, text_head
from gateway.client.keepalive import WARNING_S
from gateway.client.outbox import MAX_WAITING_BYTES
from tests.unit.gateway.client.harness import (
    WELCOME,
    Harness,
    connected,
    event,
    ping,
    session,
    signal,
)
from tieline import metrics
from tieline.wire.limits import RETRY_WINDOW_S


def missed(*fresh: str, known: tuple[str, ...] = ()) -> Missed:
    """What the mailbox had."""
    return Missed([name_of(event(name)) for name in known], [event(name) for name in fresh])


def welcomed(what: Missed) -> Harness:
    """Make a harness with a client that missed something, and has read its welcome and all that followed."""
    harness = Harness()
    harness.put(harness.request())
    harness.welcome(missed=what)
    harness.look()
    return harness


def names(harness: Harness) -> list[str]:
    """Return what has come, without the welcome."""
    return [name for name in harness.names() if name]


# Delivered once.


def test_what_others_send_is_delivered_byte_for_byte_in_order() -> None:
    harness = connected()
    frames = [b"1", "用户".encode(), b"\x00", b"x" * 65_536, b""]

    for frame in frames:
        harness.deliveries.deliver(frame)

    assert harness.texts() == frames


def test_the_very_same_frame_is_delivered_once_a_minute() -> None:
    harness = connected()
    for _ in range(3):
        harness.deliveries.deliver(event("e-1"))
    harness.live_on(RETRY_WINDOW_S - 1)
    harness.deliveries.deliver(event("e-1"))
    assert names(harness) == ["e-1"]

    harness.live_on(1)
    harness.deliveries.deliver(event("e-1"))

    assert names(harness) == ["e-1"]


def test_what_the_client_was_sent_can_be_asked() -> None:
    harness = connected()
    assert not harness.deliveries.has_had(event("e-1"))

    harness.deliveries.deliver(event("e-1"))

    assert harness.deliveries.has_had(event("e-1"))
    assert not harness.deliveries.has_had(event("e-2"))


def test_two_frames_of_one_name_are_two() -> None:
    harness = connected()

    harness.deliveries.deliver(signal("s-1"))
    harness.deliveries.deliver(signal("s-1", size=1))

    assert names(harness) == ["s-1", "s-1"]


def test_what_the_gateway_itself_says_is_never_taken_for_a_duplicate() -> None:
    harness = connected()

    harness.send(ping("p-1"), ping("p-1"))

    assert names(harness) == ["p-1", "p-1"]


def test_deliveries_are_counted_by_what_became_of_them() -> None:
    counters = (metrics.DELIVERED, metrics.DELIVERED_AGAIN, metrics.DELIVERED_TO_NOBODY)
    before = [counter.count for counter in counters]
    harness = connected()

    for name in ("e-1", "e-1", "e-2", "e-1"):
        harness.deliveries.deliver(event(name))
    harness.say_goodbye()
    harness.deliveries.deliver(event("e-3"))

    assert [counter.count - was for counter, was in zip(counters, before, strict=True)] == [2, 2, 1]


# A replay.


def test_what_the_client_has_had_is_only_remembered() -> None:
    harness = welcomed(missed("e-3", known=("e-1", "e-2")))
    harness.deliveries.deliver(event("e-2"))
    harness.deliveries.deliver(event("e-1"))
    harness.deliveries.deliver(event("e-4"))

    assert names(harness) == ["e-3", "e-4"]


def test_a_minute_after_the_replay_what_was_known_may_come_again() -> None:
    harness = welcomed(missed(known=("e-1",)))

    harness.live_on(RETRY_WINDOW_S)
    harness.deliveries.deliver(event("e-1"))

    assert names(harness) == ["e-1"]


def test_a_missed_message_that_equals_a_known_one_is_not_sent() -> None:
    harness = welcomed(missed("e-1", "e-2", known=("e-1",)))

    assert names(harness) == ["e-2"]


def test_a_client_that_missed_nothing_is_sent_nothing() -> None:
    assert names(welcomed(NOTHING)) == []


def test_a_frame_delivered_long_ago_is_not_read_from_the_mailbox() -> None:
    harness = connected()
    harness.deliveries.deliver(event("e-1"))
    harness.live_on(RETRY_WINDOW_S + 15)
    assert names(harness) == ["e-1"]

    harness.deliveries.replay(missed("e-1", "e-2"))

    assert names(harness) == ["e-2"]


# Events of the gateway's own.


def test_an_event_of_the_gateway_s_own_goes_like_those_of_others() -> None:
    alice = session(token_lasts_s=WARNING_S - 1)
    harness = connected(alice)

    harness.clock.advance(0)
    own = expiring(alice)
    assert harness.host.told == [("s-1", own)]
    assert harness.texts() == []

    harness.deliveries.deliver(event("older"))
    for _ in range(2):  # as it comes back, and as a replay may bring it once more
        harness.deliveries.deliver(own)
    assert harness.texts() == [event("older"), own]


# A client that does not read.


def test_a_client_that_does_not_read_is_closed_and_costs_no_more() -> None:
    harness = connected()

    harness.socket.waiting_bytes = MAX_WAITING_BYTES
    harness.deliveries.deliver(event("e-1"))
    assert harness.close_code is None
    harness.socket.waiting_bytes += 1
    harness.deliveries.deliver(event("e-2"))
    harness.deliveries.deliver(event("e-3"))

    assert harness.close_code == 4000
    assert names(harness) == ["e-1", "e-2"]


def test_a_client_that_does_not_read_its_answers_is_closed_too() -> None:
    harness = connected()
    harness.socket.waiting_bytes = MAX_WAITING_BYTES + 1

    harness.send(ping("p-1"), ping("p-2"), signal("s-1"))

    assert harness.close_code == 4000
    assert names(harness) == ["p-1"]
    assert harness.host.asked == []


def test_a_client_that_does_not_read_its_pongs_is_closed_too() -> None:
    harness = connected()
    harness.socket.waiting_bytes = MAX_WAITING_BYTES + 1

    harness.send_frames(Frame(Opcode.PING, b"hello?"))

    assert harness.close_code == 4000


# A long replay.


LONG = [f"e-{number}" for number in range(3 * PART_FRAMES)]


class Waiting:
    """A client that has missed much, and how much waits for it and for all."""

    def __init__(self, *names: str, size: int = 0, most: int = MAX_BACKLOG_BYTES) -> None:
        self.harness = connected()
        self.backlogs = Backlogs(most)
        self.slow = 0
        self.deliveries = Deliveries(
            self.harness.connection.say,
            self.harness.clock.loop,
            lambda: self.harness.socket.waiting_bytes,
            self._on_slow,
            self.backlogs,
            self.harness.connection.write,
        )
        self.deliveries.replay(Missed([], [signal(name, size=size) for name in names or LONG]))

    def _on_slow(self) -> None:
        self.slow += 1

    def turn(self) -> list[str]:
        """Let one turn of the loop pass; returns what was written in it."""
        self.harness.clock.turn()
        return self.harness.names()


def test_a_long_replay_is_written_a_part_a_turn() -> None:
    waiting = Waiting()
    assert waiting.harness.names() == []
    parts = [waiting.turn() for _ in range(4)]
    assert parts == [LONG[at : at + PART_FRAMES] for at in (0, PART_FRAMES, 2 * PART_FRAMES)] + [[]]
    assert (waiting.backlogs.bytes, waiting.slow) == (0, 0)


def test_a_part_has_no_more_bytes_than_a_turn_may_take() -> None:
    waiting = Waiting("1", "2", "3", "4", size=PART_BYTES // 2)
    assert [waiting.turn() for _ in range(3)] == [["1", "2"], ["3", "4"], []]


def test_what_comes_meanwhile_waits_behind_the_replay_and_comes_once() -> None:
    waiting = Waiting()
    waiting.turn()
    for name in ("late", LONG[0], LONG[-1]):
        waiting.deliveries.deliver(signal(name))
    waiting.deliveries.replay(Missed([], [signal("missed too")]))

    assert waiting.turn() + waiting.turn() + waiting.turn() == [*LONG[PART_FRAMES:], "late", "missed too"]
    assert waiting.backlogs.bytes == 0
    waiting.deliveries.deliver(signal("later"))
    assert waiting.harness.names() == ["later"]


def framed(*names: str) -> Framed:
    """What is written for many clients alike."""
    frames = [event(name) for name in names]
    return Framed(b"".join(text_head(len(frame)) + frame for frame in frames))


def test_what_has_its_heads_is_written_in_its_place_and_each_time() -> None:
    waiting = Waiting("1")
    waiting.harness.names()
    for _ in range(2):
        waiting.deliveries.replay(Missed([], [framed("r-1", "r-2"), signal("1"), signal("2")]))
    waiting.deliveries.write(framed("r-3"))
    assert waiting.harness.names() == ["r-1", "r-2", "2", "r-1", "r-2", "r-3"]


def test_what_has_its_heads_waits_behind_a_long_replay_too() -> None:
    waiting = Waiting()
    waiting.deliveries.write(framed("r-1", "r-2"))
    waiting.deliveries.deliver(signal("late"))
    waiting.deliveries.replay(Missed([], [framed("r-3")]))

    assert [name for _ in range(4) for name in waiting.turn()] == [*LONG, "r-1", "r-2", "late", "r-3"]
    assert waiting.backlogs.bytes == 0
    waiting.deliveries.write(framed("r-4"))
    assert waiting.harness.names() == ["r-4"]


def test_a_client_that_does_not_read_its_replay_is_not_written_to() -> None:
    waiting = Waiting()
    waiting.harness.socket.waiting_bytes = LOW_WATER_BYTES + 1
    assert waiting.turn() == []
    waiting.harness.clock.advance(REPLAY_S - 1)
    assert (waiting.harness.names(), waiting.slow) == ([], 0)
    assert waiting.backlogs.bytes == sum(len(signal(name)) for name in LONG)

    waiting.harness.socket.waiting_bytes = LOW_WATER_BYTES
    waiting.harness.clock.advance(1)

    assert waiting.harness.names() == LONG
    assert waiting.backlogs.bytes == 0


def test_a_client_that_takes_too_long_for_its_replay_is_closed() -> None:
    waiting = Waiting()
    waiting.harness.socket.waiting_bytes = LOW_WATER_BYTES + 1

    waiting.harness.clock.advance(REPLAY_S + 1)

    assert (waiting.slow, waiting.backlogs.bytes, waiting.harness.names()) == (1, 0, [])


def test_while_much_waits_for_all_only_a_little_comes_behind() -> None:
    waiting = Waiting(most=1)
    waiting.deliveries.deliver(signal("l-1", size=PART_BYTES - 1_000))
    assert waiting.slow == 0

    waiting.deliveries.deliver(signal("l-2", size=2_000))

    assert (waiting.slow, waiting.backlogs.bytes) == (1, 0)


def test_a_client_that_is_sent_too_much_meanwhile_is_closed() -> None:
    waiting = Waiting()
    waiting.harness.socket.waiting_bytes = LOW_WATER_BYTES + 1
    for number in range(MAX_WAITING_BYTES // 60_000):
        waiting.deliveries.deliver(signal(f"l-{number}", size=59_000))
    assert waiting.slow == 0

    waiting.deliveries.deliver(signal("m", size=60_000))

    assert (waiting.slow, waiting.backlogs.bytes) == (1, 0)
    assert waiting.turn() == []


def test_a_client_that_has_gone_leaves_no_backlog() -> None:
    waiting = Waiting()
    waiting.harness.lose()
    waiting.harness.clock.advance(0)
    assert (waiting.backlogs.bytes, waiting.harness.names()) == (0, [])


@pytest.mark.parametrize("late", ["e-1", "e-2"])
def test_a_replay_that_is_too_much_breaks_off_in_order(
    late: str,
) -> None:
    harness = Harness()
    harness.put(harness.request())
    harness.socket.waiting_bytes = MAX_WAITING_BYTES + 1

    harness.welcome(missed=missed("e-1", "e-2", "e-3"))
    harness.deliveries.deliver(event(late))

    assert harness.texts() == [WELCOME, event("e-1")]
    assert harness.close_code == 4000
