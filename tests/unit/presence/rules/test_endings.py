"""How the server ends a negotiation, and which of the two is told of it."""

import msgspec
import pytest

from presence.rules import endings, negotiation
from presence.rules.change import Change, Facts
from presence.rules.effects import CallEnded, EndCalls, EndCallsWithoutRoom, HangUp
from presence.rules.negotiated import NOTHING, Negotiation
from presence.rules.user import User, with_session
from tests.unit.presence.rules.frames import ALICE, BOB, CALL, NOW, SESSIONS, established, offers, waiting
from tests.unit.presence.rules.people import away, ended, online
from tieline.wire.ids import RoomId, SecretHash, SessionId, UserId
from tieline.wire.internal.answers import Done
from tieline.wire.replies import HangupReason

HALL, CELLAR = RoomId("hall"), RoomId("cellar")
IN_HALL = {user: online(SESSIONS[user], [HALL]) for user in (ALICE, BOB)}
APART = {ALICE: online(SESSIONS[ALICE]), BOB: IN_HALL[BOB]}
ALICE_GONE = {**IN_HALL, ALICE: ended(IN_HALL[ALICE])}
NEWER = {**IN_HALL, ALICE: online(SessionId("newer"), [HALL])}
LATER = NOW + 20_000
BEGAN = 1000
"""The revision with which Alice's newer session began."""
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
    of_newer = msgspec.structs.replace(pair, sessions=((ALICE, SessionId("newer")), (BOB, SESSIONS[BOB])))
    assert end_of_session(of_newer, NEWER) == Change(Done())


@AT_WORK
def test_an_older_sessions_call_ends_while_the_next_one_lives(pair: Negotiation) -> None:
    assert end_of_session(pair, NEWER) == end_of_session(pair, ALICE_GONE)


@AT_WORK
def test_a_restored_sessions_call_goes_on(pair: Negotiation) -> None:
    assert end_of_session(pair, IN_HALL) == Change(Done())


@AT_WORK
def test_an_older_sessions_call_ends_when_the_next_has_ended_too(pair: Negotiation) -> None:
    gone = {**IN_HALL, ALICE: ended(NEWER[ALICE])}
    assert end_of_session(pair, gone) == end_of_session(pair, ALICE_GONE)


@pytest.mark.parametrize("secret", [b"", b"secret"])
@pytest.mark.parametrize("changed_at", [0, 1, BEGAN - 1, BEGAN, BEGAN + 1])
def test_a_call_of_no_known_session_ends_if_it_is_older(changed_at: int, secret: bytes) -> None:
    session = msgspec.structs.replace(
        NEWER[ALICE].session,
        secret=SecretHash(secret),
        began=BEGAN if secret else 0,
        fence=BEGAN + 9 if secret else BEGAN,
    )
    users = {**IN_HALL, ALICE: with_session(NEWER[ALICE], session)}
    unnamed = msgspec.structs.replace(waiting(), sessions=())
    step = endings.end_calls(
        EndCalls(SESSIONS[ALICE], NOW), ALICE, BOB, unnamed, users, Facts(LATER, revision=changed_at)
    )
    assert isinstance(step, Change)
    assert (step.record is not None) == (0 < changed_at < BEGAN)


def test_a_call_of_no_known_session_is_left_to_the_end_of_the_next() -> None:
    unnamed = msgspec.structs.replace(waiting(), sessions=())
    assert end_of_session(unnamed, {**IN_HALL, ALICE: ended(NEWER[ALICE])}) == Change(Done())
    assert end_of_session(unnamed, ALICE_GONE) != Change(Done())


def test_the_next_session_of_a_peer_hears_nothing_of_an_older_call() -> None:
    newer = {**ALICE_GONE, BOB: online(SessionId("newer"), [HALL])}
    for pair in (waiting(), established()):
        step = end_of_session(pair, newer)
        assert isinstance(step, Change)
        assert step.effects == (CallEnded(NOW, ALICE, BOB, "disconnected", CALL),)


def test_the_next_session_hears_nothing_of_an_offer_that_times_out() -> None:
    pair = waiting()
    step = endings.expire(ALICE, BOB, generation_of(pair), pair, NEWER, Facts(LATER))
    assert isinstance(step, Change)
    assert step.effects == (
        told(BOB, ALICE, "timeout", generation_of(pair)),
        CallEnded(LATER, ALICE, BOB, "timeout", CALL),
    )


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
