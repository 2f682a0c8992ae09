"""What a client that says too much sees: it is read more slowly, and closed if it goes on."""

import socket

from websockets.frames import Frame, Opcode

from gateway.limits.rate import rate
from gateway.limits.rates import NO_LIMITS, Rates
from gateway.limits.user_budget import TOO_LONG_S
from tests.unit.gateway.client.harness import Harness, connected, ping, session, signal

THREE = NO_LIMITS._replace(units=rate(3, 3))
"""Three messages a second, and at once."""


def limited(rates: Rates = THREE) -> Harness:
    return connected(session(rates=rates))


def reasons(harness: Harness) -> list[str]:
    return [message.get("reason", "ok") for message in harness.messages()]


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
        harness.clock.advance(0.5)
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
        harness.clock.advance(0.5)
        harness.arrive()

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
