"""How much one client may say."""

from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from gateway.client.budget import TOO_LONG_S
from gateway.client.rate_limit import BREAK_S, RateLimit
from gateway.client.terms import Terms
from tests.unit.gateway.client.alice import PLAIN, alice, said
from tests.unit.gateway.client.harness import Harness, connected, ping, session, signal
from tests.unit.wire.samples import frame, ping_message, room_message, signal_message

THREE = PLAIN._replace(rate_limit=3)


def passed(limit: RateLimit, count: int, now: float, price: float = 1.0) -> int:
    """Say up to so many messages at once; returns how many did not have to wait."""
    for number in range(count):
        if limit.wait_s(now) > 0:
            return number
        limit.charge(price, now)
    return count


def test_a_second_s_worth_may_come_at_once_and_no_more() -> None:
    limit = RateLimit(3)

    assert passed(limit, 5, now=1000) == 3
    assert limit.wait_s(1000) == 1 / 3


def test_silence_earns_no_more_than_a_second_s_worth() -> None:
    limit = RateLimit(3)
    passed(limit, 5, now=1000)

    assert passed(limit, 5, now=5000) == 3


def test_what_was_used_comes_back_at_the_limit() -> None:
    limit = RateLimit(4)
    passed(limit, 4, now=1000)

    for number in range(1, 40):
        assert passed(limit, 2, now=1000 + number / 4) == 1


def test_what_costs_more_than_there_is_has_to_be_paid_off() -> None:
    limit = RateLimit(2)
    limit.charge(8, 1000)

    assert limit.wait_s(1000) == 3.5
    assert limit.wait_s(1003.5) == 0


def test_who_uses_up_all_there_is_for_long_has_gone_on() -> None:
    for rate in (1, 3, 50):
        limit, now = RateLimit(rate), 1000.0
        while now < 1000 + TOO_LONG_S:
            assert not limit.has_gone_on(now)
            now += limit.wait_s(now)
            limit.charge(1, now)
        assert limit.has_gone_on(now)


def test_a_client_that_makes_a_break_has_not_gone_on() -> None:
    limit, now = RateLimit(3), 1000.0
    for _ in range(20):
        passed(limit, 10, now)
        now += limit.wait_s(now) + BREAK_S
        assert passed(limit, 2, now) == 2
        now += TOO_LONG_S / 2
        assert not limit.has_gone_on(now)


def test_who_stays_below_the_limit_never_goes_on() -> None:
    limit = RateLimit(10)
    for number in range(1000):
        now = 1000 + number / 9
        assert limit.wait_s(now) == 0
        limit.charge(1, now)
        assert not limit.has_gone_on(now)


@given(st.integers(1, 50), st.lists(st.floats(0, 2), max_size=300))
def test_no_more_passes_than_the_limit_and_a_second_s_worth(rate: int, pauses: list[float]) -> None:
    limit, now, times = RateLimit(rate), 1000.0, []
    for pause in pauses:
        now += pause
        if passed(limit, 1, now):
            times.append(now)
    for first, since in enumerate(times):
        for last in range(first, len(times)):
            assert last - first + 1 <= (times[last] - since) * rate + rate + 1e-6


# What the client sees.


def test_what_is_over_the_limit_is_refused_by_its_names() -> None:
    person = alice()

    for message, cmd in (
        (signal_message(), "WEBRTC_OFFER"),
        (room_message(), "JOIN"),
        (ping_message(), "PING"),
    ):
        refused = said(person.over_limit(frame(message)))
        assert (refused["requestId"], refused["cmd"]) == ("r-1", cmd)
        assert (refused["code"], refused["msg"], refused["reason"]) == (1000, "请求过于频繁", "RATE_LIMITED")
    assert said(person.over_limit(frame(ping_message() | {"cmd": "DANCE"})))["cmd"] == "DANCE"
    assert said(person.over_limit(b"rubbish"))["requestId"] == ""


def limited(terms: Terms = THREE) -> Harness:
    return connected(session(terms=terms))


def reasons(harness: Harness) -> list[str]:
    return [message.get("reason", "ok") for message in harness.messages()]


def pings(count: int) -> list[bytes]:
    return [ping(f"p-{number}") for number in range(count)]


def test_without_a_limit_everything_passes() -> None:
    harness = limited(PLAIN)
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


def test_a_client_that_waits_and_leaves_is_gone_without_the_rest() -> None:
    harness = limited()
    harness.send(*pings(8))

    harness.lose()

    assert harness.gone_with == [1006]
    assert harness.clock.is_idle
