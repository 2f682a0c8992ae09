"""What a client that says too much sees: it is read more slowly, and closed if it goes on."""

import socket

import pytest
from websockets.frames import Frame, Opcode

from gateway.client.backlog import AWAITED_BYTES, AWAITED_FRAMES
from gateway.client.connection import READ_BYTES
from gateway.client.terms import Pace
from gateway.limits.rate import rate
from gateway.limits.rates import NO_LIMITS, Rates
from gateway.limits.user_budget import TOO_LONG_S
from tests.unit.gateway.client.harness import Harness, connected, ping, session, signal

THREE = NO_LIMITS._replace(units=rate(3, 3))
"""Three messages a second, and at once."""

PING_S, _ = Pace()

STEP_S = 0.02
"""Less than anybody waits in these tests."""


def limited(rates: Rates = THREE) -> Harness:
    return connected(session(rates=rates))


def reasons(harness: Harness) -> list[str]:
    return [message.get("reason", "ok") for message in harness.messages()]


def masked_ping(size: int) -> bytes:
    return Frame(Opcode.TEXT, ping("p")[:-1] + b" " * size + b"}").serialize(mask=True)


def pings(count: int) -> list[bytes]:
    return [ping(f"p-{number}") for number in range(count)]


def test_without_a_limit_everything_passes() -> None:
    harness = limited(NO_LIMITS)
    harness.send(*pings(2000))

    assert reasons(harness) == ["ok"] * 2000


def test_a_client_over_its_limit_is_not_read_and_waits() -> None:
    harness = limited()
    harness.send(*pings(8))

    for second in range(2):
        assert harness.names() == [f"p-{number}" for number in range(3 * second, 3 * second + 3)]
        assert not harness.socket.is_read
        harness.clock.advance(1.01)
    assert harness.names() == ["p-6", "p-7"]
    assert harness.socket.is_read
    assert harness.close_code is None


def test_what_arrives_while_a_client_waits_stays_in_its_socket() -> None:
    harness = limited()
    harness.send(*pings(4))
    harness.write(b"x" * 1_000_000)

    harness.arrive()

    assert len(harness.socket.arriving) == 1_000_000


def test_a_message_that_comes_too_early_alone_waits_too() -> None:
    harness = limited()
    for frame_ in pings(5):
        harness.send(frame_)

    assert harness.names() == ["p-0", "p-1", "p-2"]
    harness.clock.advance(0.7)
    harness.arrive()
    assert harness.names() == ["p-3", "p-4"]


def test_control_frames_and_fragments_count_too() -> None:
    for opcode in (Opcode.PING, Opcode.PONG, Opcode.CONT):
        harness = limited()
        if opcode is Opcode.CONT:
            harness.send_frames(Frame(Opcode.TEXT, b"", fin=False))
        harness.send_frames(*[Frame(opcode, b"", fin=opcode is not Opcode.CONT)] * 12)
        assert not harness.socket.is_read


def test_an_honest_burst_after_a_stall_is_never_refused() -> None:
    harness = limited()
    harness.send(*pings(25))

    harness.live_on(9)

    assert reasons(harness) == ["ok"] * 25
    assert harness.close_code is None


def flood(harness: Harness, seconds: float) -> None:
    """Send for so long more than there may be, and read the answers."""
    for _ in range(int(seconds * 2)):
        if harness.socket.is_closing():
            return
        harness.send(*pings(4))
        pass_time(harness, 0.5)


def pass_time(harness: Harness, seconds: float) -> None:
    """Let time pass, and the gateway read whatever it wants to between any two of its timers."""
    for _ in range(round(seconds / STEP_S)):
        harness.clock.advance(STEP_S)
        harness.arrive()


def test_a_client_that_does_not_stop_is_closed_after_its_last_refusal() -> None:
    harness = limited()

    flood(harness, TOO_LONG_S + 1)

    heard = reasons(harness)
    assert heard.count("RATE_LIMITED") == 1
    assert heard[-1] == "RATE_LIMITED"
    assert 3 * TOO_LONG_S <= heard.count("ok") <= 3 * TOO_LONG_S + 3
    assert harness.close_code == 4503


def test_a_client_that_does_not_stop_pinging_is_closed_too() -> None:
    harness = limited()
    for _ in range(30):
        harness.send_frames(*[Frame(Opcode.PING, b"")] * 10)
        pass_time(harness, 0.5)

    assert harness.close_code == 4503
    assert reasons(harness) == []


def test_what_a_flooder_said_before_is_still_answered() -> None:
    harness = limited()
    harness.send(signal("s-1"))

    flood(harness, TOO_LONG_S + 1)
    assert harness.close_code == 4503
    assert harness.gone_with == []
    harness.lose()
    harness.answer()

    assert harness.gone_with == [4503]


def asks(harness: Harness, side_by_side: int, seconds: float) -> int:
    """Ask for so long whenever an answer has come, with so many questions at a time; returns how often."""
    asked = side_by_side
    harness.send(*pings(side_by_side))
    for _ in range(round(seconds / STEP_S)):
        pass_time(harness, STEP_S)
        if answered := harness.names():
            asked += len(answered)
            harness.send(*pings(len(answered)))
    return asked


@pytest.mark.parametrize("side_by_side", [1, 2, AWAITED_FRAMES])
def test_who_waits_for_each_answer_is_never_closed(side_by_side: int) -> None:
    harness = limited()

    asked = asks(harness, side_by_side, 4 * TOO_LONG_S)

    assert harness.close_code is None
    assert 3 * 4 * TOO_LONG_S <= asked <= 3 * 4 * TOO_LONG_S + 3 + side_by_side


def test_who_waits_for_longer_than_a_pong_may_take_is_never_closed() -> None:
    harness = limited(NO_LIMITS._replace(units=rate(0.5, 3)))

    asks(harness, AWAITED_FRAMES, 12 * PING_S)

    assert harness.close_code is None
    assert len(harness.pings) > 3


@pytest.mark.parametrize(("side_by_side", "size"), [(1, 60_000), (4, 25_000)])
def test_who_waits_for_answers_to_long_messages_is_never_closed(side_by_side: int, size: int) -> None:
    harness = limited()
    long = ping("p")[:-1] + b" " * size + b"}"
    harness.send(*[long] * side_by_side)
    for _ in range(round(5 * TOO_LONG_S / STEP_S)):
        pass_time(harness, STEP_S)
        harness.send(*[long] * len(harness.names()))

    assert harness.close_code is None


def test_who_said_everything_at_once_is_excused_when_little_is_left() -> None:
    harness = limited()
    harness.send(*pings(30 + 3 + AWAITED_FRAMES))

    pass_time(harness, 3 * TOO_LONG_S)

    assert reasons(harness) == ["ok"] * (30 + 3 + AWAITED_FRAMES)
    assert harness.close_code is None


def test_who_waits_and_then_floods_is_closed_ten_seconds_later() -> None:
    harness = limited()
    asks(harness, 1, TOO_LONG_S + 5)

    flood(harness, 2 * TOO_LONG_S)

    assert harness.close_code == 4503


def test_a_flood_of_few_long_messages_is_one_too() -> None:
    harness = limited()
    frame = masked_ping(60_000)
    for _ in range(60):
        if len(harness.socket.arriving) < 200_000:
            harness.write(frame * 3)
        harness.arrive()
        pass_time(harness, 0.5)

    assert harness.close_code == 4503


def test_while_it_is_seen_whether_a_client_floods_little_is_held() -> None:
    harness = limited()
    harness.write(masked_ping(200) * 20_000)
    most = 0
    for _ in range(round((TOO_LONG_S + 1) / STEP_S)):
        pass_time(harness, STEP_S)
        most = max(most, harness.waiting.bytes_in)

    assert harness.close_code == 4503
    assert most <= AWAITED_BYTES + 2 * READ_BYTES


@pytest.mark.parametrize("close", [Frame(Opcode.CLOSE, b"\x03\xe8"), Frame(Opcode.CLOSE, b"\x03")])
def test_a_client_over_its_limit_may_close_at_once(close: Frame) -> None:
    harness = limited()
    harness.send(*pings(3))
    assert len(harness.names()) == 3

    harness.send_frames(close)

    assert len(harness.gone_with) == 1
    assert harness.clock.is_at_rest


def test_a_client_that_closes_while_a_message_waits_does_so_after_it() -> None:
    harness = limited()
    harness.send(*pings(4))
    harness.send_frames(Frame(Opcode.CLOSE, b"\x03\xe8"))
    assert harness.gone_with == []

    pass_time(harness, 0.5)

    assert "p-3" in harness.names()
    assert harness.gone_with == [1000]


def test_a_client_that_waits_and_hangs_up_unread_is_cut() -> None:
    harness = limited(NO_LIMITS._replace(units=rate(0.1, 3)))
    ours, theirs = socket.socketpair()
    with ours:
        harness.socket.extra["socket"] = ours
        harness.send(*pings(8))
        harness.clock.advance(1.5)
        assert not harness.socket.is_aborted
        theirs.close()
        harness.clock.advance(1.5)

    assert harness.socket.is_aborted
    assert harness.names() == ["p-0", "p-1", "p-2"]


def test_a_client_that_waits_and_leaves_is_gone_without_the_rest() -> None:
    harness = limited()
    harness.send(*pings(8))

    harness.lose()

    assert harness.gone_with == [1006]
    assert harness.clock.is_idle
