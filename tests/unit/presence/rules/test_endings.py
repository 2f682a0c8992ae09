"""How the server ends a negotiation, and which of the two is told of it."""

import pytest

from presence.rules import endings, negotiation
from presence.rules.change import Change, Facts
from presence.rules.effects import CallEnded, EndCalls, EndCallsWithoutRoom, HangUp
from presence.rules.negotiation import NOTHING, Negotiation
from presence.rules.user import User
from tests.unit.presence.rules.frames import ALICE, BOB, CALL, NOW, SESSIONS, established, offers, waiting
from tests.unit.presence.rules.people import away, ended, online
from tieline.wire.ids import RoomId, SessionId, UserId
from tieline.wire.internal.answers import Done
from tieline.wire.replies import HangupReason

HALL, CELLAR = RoomId("hall"), RoomId("cellar")
IN_HALL = {user: online(SESSIONS[user], [HALL]) for user in (ALICE, BOB)}
APART = {ALICE: online(SESSIONS[ALICE]), BOB: IN_HALL[BOB]}
ALICE_GONE = {**IN_HALL, ALICE: ended(IN_HALL[ALICE])}
LATER = NOW + 20_000
NOTHING_LEFT = negotiation.end(waiting())
ENDED = f"{SESSIONS[ALICE]} {NOW:x}"
"""The cause of what the end of Alice's session ends."""

AT_WORK = pytest.mark.parametrize("pair", [waiting("c1"), established("c1")], ids=["waiting", "established"])


def end_of_session(pair: Negotiation | None, users: dict[UserId, User]) -> object:
    """Decide on the call with Bob when the session of Alice has ended, a moment ago."""
    effect = EndCalls(SESSIONS[ALICE], NOW)
    return endings.end_calls(effect, ALICE, BOB, pair, users, Facts(LATER))


def end_without_room(
    pair: Negotiation | None, users: dict[UserId, User], *, tell_user: bool = False
) -> object:
    """Decide on the call with Bob when Alice was put out of a room, a moment ago."""
    effect = EndCallsWithoutRoom("kicked", "left-7", NOW, tell_user)
    return endings.end_calls_without_room(effect, ALICE, BOB, pair, users, Facts(LATER))


def told(user: UserId, peer: UserId, reason: HangupReason, cause: str) -> HangUp:
    """Tell one of the two."""
    return HangUp(user, SESSIONS[user], peer, reason, cause, CALL)


@AT_WORK
def test_the_end_of_a_session_ends_its_call_and_the_peer_is_told(pair: Negotiation) -> None:
    for users in (ALICE_GONE, {BOB: IN_HALL[BOB]}):
        assert end_of_session(pair, users) == Change(
            Done(),
            negotiation.end(pair),
            (
                told(BOB, ALICE, "disconnected", ENDED),
                CallEnded(NOW, ALICE, BOB, "disconnected", CALL),
            ),
        )


@AT_WORK
def test_a_call_of_the_next_session_goes_on(pair: Negotiation) -> None:
    newer = {**IN_HALL, ALICE: online(SessionId("newer"), [HALL])}
    assert end_of_session(pair, newer) == Change(Done())


@pytest.mark.parametrize("bob", [None, ended(IN_HALL[BOB])], ids=["unknown", "offline"])
def test_a_peer_who_is_gone_is_told_nothing(bob: User | None) -> None:
    users = {ALICE: ALICE_GONE[ALICE]} if bob is None else {**ALICE_GONE, BOB: bob}
    step = end_of_session(waiting(), users)
    assert step == Change(Done(), NOTHING_LEFT, (CallEnded(NOW, ALICE, BOB, "disconnected", CALL),))


def test_a_peer_who_is_away_is_told() -> None:
    step = end_of_session(waiting(), {**ALICE_GONE, BOB: away(IN_HALL[BOB])})
    assert isinstance(step, Change)
    assert told(BOB, ALICE, "disconnected", ENDED) in step.effects


def test_the_next_end_of_a_restored_session_has_another_cause() -> None:
    first, second = (EndCalls(SESSIONS[ALICE], at) for at in (NOW, NOW + 1))
    steps = [
        endings.end_calls(effect, ALICE, BOB, waiting(), ALICE_GONE, Facts(LATER))
        for effect in (first, second)
    ]
    causes = [
        effect.cause
        for step in steps
        if isinstance(step, Change)
        for effect in step.effects
        if isinstance(effect, HangUp)
    ]
    assert len(set(causes)) == 2


@pytest.mark.parametrize(
    "pair", [None, NOTHING, negotiation.end(established())], ids=["none", "empty", "over"]
)
def test_where_nothing_is_negotiated_nothing_ends(pair: Negotiation | None) -> None:
    assert end_of_session(pair, ALICE_GONE) == end_without_room(pair, APART) == Change(Done())


@AT_WORK
def test_users_who_share_a_room_still_go_on(pair: Negotiation) -> None:
    assert end_without_room(pair, IN_HALL) == Change(Done())


@AT_WORK
def test_users_without_a_room_in_common_do_not_go_on(pair: Negotiation) -> None:
    assert end_without_room(pair, APART) == Change(
        Done(),
        negotiation.end(pair),
        (told(BOB, ALICE, "kicked", "left-7"), CallEnded(NOW, ALICE, BOB, "kicked", CALL)),
    )


def test_a_user_who_did_not_ask_to_leave_is_told_too() -> None:
    step = end_without_room(waiting(), APART, tell_user=True)
    assert isinstance(step, Change)
    assert step.effects == (
        told(ALICE, BOB, "kicked", "left-7"),
        told(BOB, ALICE, "kicked", "left-7"),
        CallEnded(NOW, ALICE, BOB, "kicked", CALL),
    )


@pytest.mark.parametrize("missing", [ALICE, BOB])
def test_users_of_whom_one_is_forgotten_share_no_room(missing: UserId) -> None:
    users = {user: record for user, record in IN_HALL.items() if user != missing}
    step = end_without_room(waiting(), users)
    assert isinstance(step, Change)
    assert step.record == NOTHING_LEFT


def expires(pair: Negotiation | None, generation: str) -> object:
    """Decide on an offer of Alice's that has waited long enough."""
    return endings.expire(ALICE, BOB, generation, pair, IN_HALL, Facts(LATER))


def generation_of(pair: Negotiation) -> str:
    """Name an offer of Alice's as its timer does."""
    offer = pair.offer_of(ALICE)
    assert offer is not None
    return offer.generation


def test_an_offer_that_nobody_answered_ends_and_both_are_told() -> None:
    pair = waiting("c1")
    cause = generation_of(pair)
    assert expires(pair, cause) == Change(
        Done(),
        negotiation.end(pair),
        (
            told(ALICE, BOB, "timeout", cause),
            told(BOB, ALICE, "timeout", cause),
            CallEnded(LATER, ALICE, BOB, "timeout", CALL),
        ),
        timed_out=True,
    )


def test_a_call_goes_on_when_nobody_answers_a_newer_offer() -> None:
    pair = offers(ALICE, "offer 2", established()).negotiation
    assert expires(pair, generation_of(pair)) == Change(Done(), established_again(pair), timed_out=True)


def established_again(pair: Negotiation) -> Negotiation:
    """The same call, without the offer that waited."""
    expired = negotiation.expire(pair, ALICE, generation_of(pair))
    assert expired is not None
    return expired


@pytest.mark.parametrize("pair", [None, NOTHING, established()], ids=["none", "empty", "answered"])
def test_the_timer_of_an_offer_that_waits_no_more_means_nothing(pair: Negotiation | None) -> None:
    assert expires(pair, generation_of(waiting())) == Change(Done())
