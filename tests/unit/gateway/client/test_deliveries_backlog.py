"""A long replay, which is written a part a turn, and what waits behind it."""

import pytest

from gateway.client.deliveries import (
    LOW_WATER_BYTES,
    MAX_BACKLOG_BYTES,
    PART_BYTES,
    PART_FRAMES,
    REPLAY_S,
    Backlogs,
    Deliveries,
    Missed,
)
from gateway.client.frames import Framed, text_head
from gateway.client.outbox import MAX_WAITING_BYTES
from tests.unit.gateway.client.harness import WELCOME, Harness, connected, event, signal
from tests.unit.gateway.client.missing import missed

LONG = [f"e-{number}" for number in range(3 * PART_FRAMES)]


class Waiting:
    """A client that has missed much, and how much waits for it and for all."""

    def __init__(self, *names: str, size: int = 0, most: int = MAX_BACKLOG_BYTES) -> None:
        self.harness = connected()
        self.backlogs = Backlogs(most)
        self.slow = 0
        self.overtaken: set[bytes] = set()
        self.deliveries = Deliveries(
            self.harness.connection.say,
            self.harness.clock.loop,
            lambda: self.harness.socket.waiting_bytes,
            self._on_slow,
            self.backlogs,
            self.harness.connection.write,
            self.overtaken.__contains__,
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


def test_what_is_overtaken_while_it_waits_is_not_written() -> None:
    waiting = Waiting("1", "2", "3", "4", size=PART_BYTES // 2)
    waiting.deliveries.deliver(event("live"))
    assert waiting.turn() == ["1", "2"]
    waiting.overtaken.update((signal("3", size=PART_BYTES // 2), event("live")))
    assert [waiting.turn() for _ in range(2)] == [["4"], []]
    waiting.overtaken.clear()
    waiting.deliveries.deliver(event("live"))
    assert waiting.harness.names() == ["live"], "it is not remembered as one that the client has had"
