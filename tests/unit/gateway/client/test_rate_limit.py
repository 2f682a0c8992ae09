"""How much one client may say."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.client.rate_limit import TOO_MUCH_S, Decision, RateLimit
from gateway.client.terms import Terms
from tests.unit.gateway.client.alice import PLAIN, alice, said
from tests.unit.gateway.client.harness import Harness, connected, ping, session
from tests.unit.wire.samples import frame, ping_message, room_message, signal_message

PASS, REFUSE, CLOSE = Decision.PASS, Decision.REFUSE, Decision.CLOSE

THREE = PLAIN._replace(rate_limit=3)


def decisions(limit: RateLimit, count: int, now: float) -> list[Decision]:
    return [limit.decide(now) for _ in range(count)]


def test_a_second_s_worth_may_come_at_once_and_no_more() -> None:
    assert decisions(RateLimit(3), 5, now=1000) == [PASS, PASS, PASS, REFUSE, REFUSE]


def test_silence_earns_no_more_than_a_second_s_worth() -> None:
    limit = RateLimit(3)
    decisions(limit, 5, now=1000)

    assert decisions(limit, 4, now=5000) == [PASS, PASS, PASS, REFUSE]


def test_what_was_used_comes_back_at_the_limit() -> None:
    limit = RateLimit(4)
    decisions(limit, 4, now=1000)

    for number in range(1, 40):
        assert decisions(limit, 2, now=1000 + number / 4) == [PASS, REFUSE]


def test_refusals_worth_ten_seconds_send_a_client_away() -> None:
    found = decisions(RateLimit(3), 3 + 30, now=1000)

    assert found == [PASS] * 3 + [REFUSE] * 29 + [CLOSE]


def test_ten_seconds_without_a_refusal_reset_the_count() -> None:
    limit, now = RateLimit(3), 1000.0
    for _ in range(20):
        assert decisions(limit, 3 + 29, now).count(REFUSE) == 29
        now += TOO_MUCH_S
    assert CLOSE in decisions(limit, 3 + 30, now)


def test_a_client_that_stays_over_the_limit_is_closed_in_the_end() -> None:
    limit = RateLimit(2)
    found = [limit.decide(1000 + number / 3) for number in range(100)]

    assert found.index(CLOSE) == [number for number, decision in enumerate(found) if decision is not PASS][19]


@given(st.integers(1, 50), st.lists(st.floats(0, 2), max_size=300))
def test_no_more_passes_than_the_limit_and_a_second_s_worth(rate: int, pauses: list[float]) -> None:
    limit, now, passed = RateLimit(rate), 1000.0, []
    for pause in pauses:
        now += pause
        if limit.decide(now) is PASS:
            passed.append(now)
    for first, since in enumerate(passed):
        for last in range(first, len(passed)):
            assert last - first + 1 <= (passed[last] - since) * rate + rate + 1e-6


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


def limited(terms: Terms) -> Harness:
    return connected(session(terms=terms))


def reasons(harness: Harness) -> list[str]:
    return [message.get("reason", "ok") for message in harness.messages()]


def test_without_a_limit_everything_passes() -> None:
    harness = limited(PLAIN)
    harness.send(*(ping(f"p-{number}") for number in range(2000)))

    assert reasons(harness) == ["ok"] * 2000


def test_a_client_is_limited_from_its_first_message_on() -> None:
    harness = limited(THREE)
    harness.send(*(ping(f"p-{number}") for number in range(5)))
    assert reasons(harness) == ["ok"] * 3 + ["RATE_LIMITED"] * 2
    assert harness.close_code is None
    harness.clock.advance(1)
    harness.send(*(ping(f"q-{number}") for number in range(4)))
    assert reasons(harness) == ["ok"] * 3 + ["RATE_LIMITED"]


def test_a_client_that_does_not_stop_is_closed_after_its_last_refusal() -> None:
    harness = limited(THREE)
    harness.send(*(ping(f"p-{number}") for number in range(100)))

    assert reasons(harness) == ["ok"] * 3 + ["RATE_LIMITED"] * 30
    assert harness.close_code == 4503
