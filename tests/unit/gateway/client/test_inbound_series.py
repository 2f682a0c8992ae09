"""Candidates that wait or come together: asked about together, answered one by one."""

import pytest

from gateway.client.actions import AskRouter
from gateway.client.inbound import MAX_TOGETHER, MAX_TOGETHER_BYTES
from gateway.client.reader import AT_ONCE_FRAMES, TURN_FRAMES
from gateway.limits.limit import Limit
from gateway.limits.rate import rate
from gateway.limits.rates import NO_LIMITS, Rates
from tests.unit.gateway.client.harness import Harness, candidates, connected, ping, session, signal
from tieline.wire.internal.answers import Refused, SessionGone
from tieline.wire.internal.signals import Accepted, Answers

RELAYED, HELD = Accepted("relayed"), Accepted("held")
INTERNAL = Refused("INTERNAL")
OFFER = "WEBRTC_OFFER"


def asked(harness: Harness) -> AskRouter:
    """Find what a router is asked now."""
    (ask,) = harness.host.under_way
    assert isinstance(ask, AskRouter)
    return ask


def under_way(harness: Harness) -> list[str]:
    """Name what a router is asked about now, in its order."""
    ask = asked(harness)
    return [each.request_id for each in (ask, *ask.then)]


def waiting(*frames: bytes, acks: bool = True) -> Harness:
    """Let messages wait for the answer to an offer, which comes."""
    harness = connected(session(acks=acks))
    harness.send(signal("offer", "WEBRTC_OFFER"))
    harness.send(*frames)
    assert under_way(harness) == ["offer"]
    harness.answer()
    assert harness.names() == (["offer"] if acks else [])
    return harness


def hand_over(harness: Harness, *frames: bytes) -> None:
    """Let messages arrive in one read, and the loop not go on."""
    for frame in frames:
        harness.client.send_text(frame)
    harness.hand_over(b"".join(harness.client.data_to_send()))


def reasons(harness: Harness) -> list[tuple[str, str]]:
    """Name what was answered since the last time, and how."""
    return [(str(one["requestId"]), str(one.get("ack") or one["reason"])) for one in harness.messages()]


def each_is_answered(harness: Harness, *names: str) -> None:
    """Let a router answer four messages, each in its way; the client is told of each, and none is left."""
    harness.answer(Answers((RELAYED, HELD, Refused("TOO_MANY_CANDIDATES"), RELAYED)))
    outcomes = ("relayed", "held", "TOO_MANY_CANDIDATES", "relayed")
    assert reasons(harness) == list(zip(names, outcomes, strict=True))
    assert harness.host.under_way == []


def test_a_candidate_that_comes_alone_goes_alone() -> None:
    harness = connected()

    for frame in candidates(3):
        harness.send(frame)

    assert under_way(harness) == ["c-0"]
    harness.answer()
    assert under_way(harness) == ["c-1", "c-2"]


@pytest.mark.parametrize("cmd", ["WEBRTC_OFFER", "WEBRTC_ANSWER", "WEBRTC_ICE_CANDIDATE"])
def test_candidates_go_with_what_they_come_with(cmd: str) -> None:
    harness = connected(session(acks=True))

    harness.send(signal("first", cmd), *candidates(3))

    assert under_way(harness) == ["first", "c-0", "c-1", "c-2"]
    ask = asked(harness)
    assert [each.cmd for each in (ask, *ask.then)] == [cmd, *["WEBRTC_ICE_CANDIDATE"] * 3]
    each_is_answered(harness, "first", "c-0", "c-1", "c-2")


@pytest.mark.parametrize("cmd", ["WEBRTC_HANGUP", "WEBRTC_INFO"])
def test_no_candidates_go_with_anything_else(cmd: str) -> None:
    harness = connected()

    harness.send(signal("first", cmd), *candidates(2))

    assert under_way(harness) == ["first"]
    harness.answer()
    assert under_way(harness) == ["c-0", "c-1"]


def test_what_is_looked_at_in_turns_goes_together_too() -> None:
    harness = connected()

    hand_over(harness, signal("offer", OFFER), *candidates(10))

    assert harness.host.under_way == []
    harness.clock.iterate()
    assert under_way(harness) == ["offer", *(f"c-{number}" for number in range(10))]


def test_an_offer_waits_for_no_more_than_one_turn() -> None:
    harness = connected()

    offer, many = signal("offer", OFFER), [signal("elsewhere", to="carol")] * (AT_ONCE_FRAMES + TURN_FRAMES)
    hand_over(harness, offer, *many)
    harness.clock.iterate()

    assert under_way(harness) == ["offer"]


def test_what_comes_with_an_offer_and_waits_goes_with_the_next() -> None:
    harness = connected()
    harness.send(signal("hangup", "WEBRTC_HANGUP"))
    harness.send(signal("offer", OFFER), *candidates(3))

    harness.answer()

    assert under_way(harness) == ["offer", "c-0", "c-1", "c-2"]


def test_what_has_no_answer_behind_an_offer_is_asked_about_again() -> None:
    harness = connected(session(acks=True))
    harness.send(signal("offer", OFFER), *candidates(2))

    harness.answer()

    assert reasons(harness) == [("offer", "relayed")]
    assert under_way(harness) == ["c-0", "c-1"]
    assert asked(harness).cmd == "WEBRTC_ICE_CANDIDATE"


def test_candidates_behind_an_offer_that_failed_fail_too() -> None:
    harness = connected(session(acks=True))
    harness.send(signal("offer", OFFER), *candidates(2))

    harness.answer(None)

    assert reasons(harness) == [("offer", "INTERNAL"), ("c-0", "INTERNAL"), ("c-1", "INTERNAL")]
    assert harness.host.under_way == []


def test_an_offer_of_a_client_that_closes_is_asked_about() -> None:
    harness = connected()

    harness.client.send_text(signal("offer", OFFER))
    harness.say_goodbye()

    assert under_way(harness) == ["offer"]
    assert harness.gone_with == []
    harness.answer()
    assert harness.gone_with == [1000]


def test_candidates_that_wait_are_answered_one_by_one() -> None:
    harness = waiting(*candidates(4))
    assert under_way(harness) == ["c-0", "c-1", "c-2", "c-3"]

    each_is_answered(harness, "c-0", "c-1", "c-2", "c-3")


def test_no_more_go_together_than_may() -> None:
    harness = waiting(*candidates(MAX_TOGETHER + 2))

    assert under_way(harness) == [f"c-{number}" for number in range(MAX_TOGETHER)]
    harness.answer(Answers((RELAYED,) * MAX_TOGETHER))
    assert under_way(harness) == [f"c-{MAX_TOGETHER}", f"c-{MAX_TOGETHER + 1}"]


def test_no_more_bytes_go_together_than_may() -> None:
    size = MAX_TOGETHER_BYTES // 3
    harness = waiting(*(signal(f"c-{number}", size=size) for number in range(4)))

    assert under_way(harness) == ["c-0", "c-1"]


def test_what_is_no_candidate_waits_for_those_before_it() -> None:
    first, *others = candidates(3)
    harness = waiting(first, ping("p"), *others, signal("end", "WEBRTC_HANGUP"))

    assert under_way(harness) == ["c-0"]
    harness.answer()
    assert harness.names() == ["c-0", "p"]
    assert under_way(harness) == ["c-1", "c-2"]
    harness.answer(Answers((RELAYED, RELAYED)))
    assert under_way(harness) == ["end"]


def test_candidates_for_another_user_go_by_themselves() -> None:
    harness = waiting(*candidates(2), *candidates(2, to="carol"))

    assert under_way(harness) == ["c-0", "c-1"]
    harness.answer(Answers((RELAYED, RELAYED)))
    ask = asked(harness)
    assert ask.signal.to == "carol"
    assert len(ask.then) == 1


def test_a_heavy_users_candidates_go_one_by_one() -> None:
    user = session(rates=Rates())
    harness = connected(user)
    harness.send(signal("offer", OFFER))
    harness.send(*candidates(2))
    user.budget.charge(50, harness.clock.time())

    harness.answer()

    assert under_way(harness) == ["c-0"]


def test_what_has_no_answer_is_asked_about_again() -> None:
    harness = waiting(*candidates(4))

    harness.answer(Answers((RELAYED,)))

    assert reasons(harness) == [("c-0", "relayed")]
    assert under_way(harness) == ["c-1", "c-2", "c-3"]
    harness.answer(Answers((RELAYED, RELAYED, RELAYED)))
    assert harness.names() == ["c-1", "c-2", "c-3"]


def test_a_router_that_knows_no_series_is_asked_one_by_one() -> None:
    harness = waiting(*candidates(3))

    harness.answer(HELD)
    assert reasons(harness) == [("c-0", "held")]
    assert under_way(harness) == ["c-1", "c-2"]
    harness.answer(Refused("TARGET_OFFLINE"))
    assert reasons(harness) == [("c-1", "TARGET_OFFLINE")]
    assert under_way(harness) == ["c-2"]
    harness.answer()
    assert reasons(harness) == [("c-2", "relayed")]


def test_more_answers_than_candidates_are_overlooked() -> None:
    harness = waiting(*candidates(2))

    harness.answer(Answers((RELAYED, RELAYED, Refused("TARGET_OFFLINE"))))

    assert reasons(harness) == [("c-0", "relayed"), ("c-1", "relayed")]


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (None, []),
        (Answers((RELAYED, INTERNAL)), [("c-0", "relayed")]),
    ],
)
def test_what_follows_one_that_failed_fails_too(reply: Answers | None, told: list[tuple[str, str]]) -> None:
    frames = candidates(4)
    harness = waiting(*frames)

    harness.answer(reply)

    failed = ["c-0", "c-1", "c-2", "c-3"][len(told) :]
    assert reasons(harness) == [*told, *((name, "INTERNAL") for name in failed)]
    assert harness.host.under_way == []
    assert len(harness.pings) == 1
    harness.send(signal("too soon"), *frames[len(told) :])
    assert reasons(harness) == [("too soon", "INTERNAL")]
    assert under_way(harness) == failed
    harness.answer()
    assert under_way(harness) == failed[1:]


def test_without_acks_nothing_follows_from_one_that_failed() -> None:
    harness = waiting(*candidates(3), acks=False)

    harness.answer(Answers((INTERNAL,)))

    assert reasons(harness) == [("c-0", "INTERNAL")]
    assert under_way(harness) == ["c-1", "c-2"]
    assert harness.pings == []


@pytest.mark.parametrize(
    "reply", [SessionGone(replaced=True), Answers((SessionGone(replaced=True), RELAYED))]
)
def test_a_session_that_is_replaced_amid_a_series_is_closed(reply: Answers | SessionGone) -> None:
    harness = waiting(*candidates(3))

    harness.answer(reply)

    assert harness.names() == []
    assert harness.close_code == 4500
    assert harness.host.under_way == []


def test_an_offer_is_asked_about_though_a_bug_cuts_its_client(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(_limit: Limit) -> None:
        raise ZeroDivisionError

    user = session(rates=NO_LIMITS._replace(units=rate(1, 26)))
    user.budget.on_limited = fail
    harness = connected(user)

    harness.send(signal("offer", OFFER), *[ping("p")] * TURN_FRAMES)
    harness.lose()

    assert [record.message for record in caplog.records] == ["client cut: a bug"]
    assert under_way(harness) == ["offer"]
    assert harness.gone_with == []
    harness.answer()
    assert harness.gone_with == [1006]
