"""The socket of a client that sends its bytes one by one rests now and then, and loses nothing by it."""

import pytest
from websockets.frames import Frame, Opcode

from gateway.client.reader import AT_ONCE_BYTES
from gateway.client.terms import Pace
from gateway.client.trickle import READS, RESTS_S, SMALL_BYTES, Trickle
from tests.unit.gateway.client.clock import Clock
from tests.unit.gateway.client.harness import Harness, connected, ping
from tieline.wire.codes import CloseCode

MESSAGE = Frame(Opcode.TEXT, ping("p")).serialize(mask=True)


class Scene:
    """A trickle, its time, and how often it was said that the rest is over."""

    def __init__(self) -> None:
        self.clock, self.calls = Clock(), 0
        self.trickle = Trickle(self.clock.loop)

    def note(self, size: int = 1) -> bool:
        return self.trickle.note(size, self._called)

    def _called(self) -> None:
        assert not self.trickle.is_resting
        self.calls += 1


def test_after_some_small_reads_a_socket_rests_for_a_moment() -> None:
    scene = Scene()
    assert [scene.note() for _ in range(READS)] == [False] * (READS - 1) + [True]
    assert scene.trickle.is_resting
    scene.clock.advance(max(RESTS_S))
    assert (scene.calls, scene.trickle.is_resting) == (1, False)
    assert scene.note()


def test_a_read_that_completes_something_begins_anew() -> None:
    scene = Scene()
    for _ in range(READS - 1):
        scene.note()
    scene.trickle.completed()
    assert not any(scene.note() for _ in range(READS - 1))


def test_long_reads_are_no_trickle() -> None:
    scene = Scene()
    assert not any(scene.note(SMALL_BYTES) for _ in range(10 * READS))


def test_what_comes_while_a_socket_rests_lets_it_rest_no_longer() -> None:
    scene = Scene()
    for _ in range(READS):
        scene.note()
    assert not scene.note()
    scene.clock.advance(max(RESTS_S))
    assert scene.calls == 1


def test_a_rest_that_is_stopped_calls_nobody() -> None:
    scene = Scene()
    for _ in range(READS):
        scene.note()
    scene.trickle.stop()
    scene.clock.advance(1)
    assert (scene.calls, scene.trickle.is_resting) == (0, False)
    scene.trickle.stop()


def test_rests_that_begin_together_end_one_after_the_other() -> None:
    scenes = [Scene() for _ in RESTS_S]
    for scene in scenes:
        for _ in range(READS):
            scene.note()
    over = []
    for _ in range(len(RESTS_S) + 1):
        over.append(sum(scene.calls for scene in scenes))
        for scene in scenes:
            scene.clock.advance(RESTS_S[1] - RESTS_S[0] if len(over) > 1 else RESTS_S[0])
    assert len(set(over)) > len(RESTS_S) // 2


# With a connection around it.


def trickled(harness: Harness, data: bytes) -> int:
    """Let bytes come one by one, a millisecond each; returns how often something was read."""
    reads = 0
    for byte in data:
        harness.write(bytes((byte,)))
        reads += harness.socket.is_reading()
        harness.arrive()
        harness.clock.advance(0.001)
    return reads


def test_a_message_byte_by_byte_is_read_in_few_reads_and_answered() -> None:
    harness = connected()
    assert trickled(harness, MESSAGE) < READS + 5
    harness.clock.advance(max(RESTS_S))
    harness.arrive()
    assert harness.names() == ["p"]
    harness.send(ping("next"))
    assert harness.names() == ["next"]


def test_the_rest_of_a_long_message_is_read_in_few_reads() -> None:
    harness = connected()
    harness.put(b"\x81\xfe\xff\xff" + bytes(4 + AT_ONCE_BYTES))
    assert trickled(harness, b"x" * 100) < READS + 5


def test_a_head_byte_by_byte_is_read_in_few_reads_and_answered() -> None:
    harness = Harness()
    line = b"GET /ws HTTP/1.1 " + b"x" * 200
    assert trickled(harness, line) < READS + 5
    harness = Harness()
    trickled(harness, harness.request())
    for _ in range(50):
        harness.clock.advance(max(RESTS_S))
        harness.arrive()
    assert len(harness.requests) == 1
    assert not harness.socket.is_reading()


def test_a_socket_that_rests_owes_its_pong_all_the_same() -> None:
    harness = connected()
    began = harness.clock.time()
    harness.put(b"\x81\xfe\xff\xff" + bytes(4))  # of a long message, which goes on byte by byte
    while harness.close_code is None:
        harness.put(b"x")
        harness.clock.advance(0.01)
    assert harness.close_code == CloseCode.PONG_TIMEOUT
    assert harness.clock.time() < began + Pace().ping_interval_s + Pace().pong_timeout_s + 1


@pytest.mark.parametrize("how", ["lost", "closed", "ended"])
def test_a_connection_that_ends_while_its_socket_rests_keeps_no_timer(how: str) -> None:
    harness = connected()
    trickled(harness, MESSAGE[:20])
    assert not harness.socket.is_reading()
    if how == "closed":
        harness.connection.close(CloseCode.SERVICE_RESTART)
        assert harness.socket.is_reading()
    elif how == "ended":
        harness.connection.eof_received()
    harness.lose()
    assert harness.clock.is_idle


def test_a_client_that_goes_before_it_has_asked_keeps_no_timer() -> None:
    harness = Harness()
    trickled(harness, b"GET /ws HTTP/1.1 x")
    assert not harness.socket.is_reading()
    harness.lose()
    assert harness.clock.is_idle
