"""An offer that has just been stored, when one of its users has gone in that very moment."""

from typing import Final

import msgspec
import pytest

from presence.rules import negotiation, second_look, signals
from presence.rules.change import Change, Facts, Step
from presence.rules.effects import CallEnded, HangUp
from presence.rules.negotiated import NOTHING, Negotiation, WaitingOffer
from presence.rules.signals import Terms
from presence.rules.user import User
from tests.unit.presence.rules.frames import (
    ALICE,
    BOB,
    CALL,
    NOW,
    SESSIONS,
    established,
    named,
    waiting,
)
from tests.unit.presence.rules.people import away, ended, followed, online
from tieline.wire.ids import NO_CALL, CallId, RoomId, SessionId, UserId
from tieline.wire.internal.answers import Done
from tieline.wire.internal.signals import Check, Relay
from tieline.wire.replies import HangupReason

HALL = RoomId("hall")
IN_HALL = {user: online(SESSIONS[user], [HALL]) for user in (ALICE, BOB)}
OFFER = Check(ALICE, SESSIONS[ALICE], BOB, "WEBRTC_OFFER", named("offer"), b"")
LATER = NOW + 5
AT_ONCE = Facts(NOW)
NEWER = SessionId("newer")

UNNAMED = msgspec.structs.replace(waiting(), sessions=())
"""As a process of 0.1.0 has written it."""

NO_CHANGE: Final[Change[Negotiation]] = Change(Done())

Users = dict[UserId, User]


def stored_offer() -> WaitingOffer:
    """The offer of Alice's as it has just been stored."""
    (offer,) = waiting().offers
    return offer


def looks_again(users: Users, pair: Negotiation | None = None, call: CallId = CALL) -> Step[Negotiation]:
    """Decide once more on an offer of Alice's, on what has become of the users since."""
    pair = waiting() if pair is None else pair
    return second_look.still_wanted(OFFER, call, stored_offer(), SESSIONS[BOB], pair, users, Facts(LATER))


def over(who: UserId, reason: HangupReason, *told: UserId, pair: Negotiation | None = None) -> object:
    """End the negotiation, and tell those who are still there that `who` has gone."""
    peer = ALICE if who == BOB else BOB
    hangups = (
        HangUp(to, SESSIONS[to], BOB if to == ALICE else ALICE, reason, stored_offer().generation, CALL)
        for to in told
    )
    ended = CallEnded(LATER, who, peer, reason, CALL)
    return Change(Done(), negotiation.end(pair or waiting()), (*hangups, ended))


def test_an_offer_of_users_who_are_still_there_waits_on() -> None:
    for bob in (IN_HALL[BOB], away(IN_HALL[BOB])):
        assert looks_again({**IN_HALL, BOB: bob}) == NO_CHANGE


@pytest.mark.parametrize(
    "users",
    [
        {BOB: IN_HALL[BOB]},
        {**IN_HALL, ALICE: ended(IN_HALL[ALICE])},
        {**IN_HALL, ALICE: online(NEWER, [HALL])},
    ],
    ids=["unknown", "ended", "replaced"],
)
def test_an_offer_whose_sender_has_gone_ends(users: Users) -> None:
    assert looks_again(users) == over(ALICE, "disconnected", BOB)


@pytest.mark.parametrize(
    "users",
    [
        {ALICE: IN_HALL[ALICE]},
        {**IN_HALL, BOB: ended(IN_HALL[BOB])},
        {**IN_HALL, BOB: online(NEWER, [HALL])},
    ],
    ids=["unknown", "ended", "replaced"],
)
def test_an_offer_to_a_session_that_has_gone_ends(users: Users) -> None:
    assert looks_again(users) == over(BOB, "disconnected", ALICE)


def test_both_hear_that_an_offer_ends_for_want_of_a_room() -> None:
    apart = {**IN_HALL, BOB: online(SESSIONS[BOB])}
    assert looks_again(apart) == over(BOB, "left", BOB, ALICE)


def test_an_offer_that_was_answered_at_once_ends_as_well() -> None:
    gone = {BOB: IN_HALL[BOB]}
    assert looks_again(gone, established()) == over(ALICE, "disconnected", BOB, pair=established())


def test_the_next_call_of_two_users_is_left_alone() -> None:
    another = msgspec.structs.replace(established(), call=CallId("another"))
    assert looks_again({BOB: IN_HALL[BOB]}, another) == NO_CHANGE


@pytest.mark.parametrize("call", [CALL, NO_CALL])
def test_an_offer_that_waits_no_more_is_not_ended(call: CallId) -> None:
    for pair in (NOTHING, msgspec.structs.replace(established(), call=NO_CALL)):
        assert looks_again({ALICE: IN_HALL[ALICE]}, pair, call) == NO_CHANGE
        assert looks_again({BOB: IN_HALL[BOB]}, pair, call) == NO_CHANGE


def checks(
    pair: Negotiation, users: Users | None = None, ask: Check = OFFER, facts: Facts = AT_ONCE
) -> Change[Negotiation]:
    """Judge an offer for the first time, or as a retry."""
    step = signals.check(ask, Terms("hold", 60.0), pair, users or IN_HALL, facts)
    assert isinstance(step, Change)
    return step


@pytest.mark.parametrize("pair", [NOTHING, waiting()], ids=["a first offer", "its retry"])
def test_an_offer_that_begins_a_negotiation_is_looked_at_again(pair: Negotiation) -> None:
    look = checks(pair).look_again
    assert look is not None
    assert (look.target, look.digest) == (BOB, OFFER.digest)
    assert look.is_well(IN_HALL)
    gone = {**IN_HALL, BOB: ended(IN_HALL[BOB])}
    assert look.end(waiting(), gone, Facts(LATER)) == looks_again(gone)


@pytest.mark.parametrize(
    "users",
    [
        {ALICE: IN_HALL[ALICE]},
        {BOB: IN_HALL[BOB]},
        {**IN_HALL, ALICE: ended(IN_HALL[ALICE])},
        {**IN_HALL, BOB: online(NEWER, [HALL])},
        {**IN_HALL, BOB: online(SESSIONS[BOB])},
    ],
    ids=["no target", "no sender", "sender ended", "target replaced", "no room"],
)
def test_an_offer_is_not_well_when_one_of_the_two_has_gone(users: Users) -> None:
    look = checks(NOTHING).look_again
    assert look is not None
    assert not look.is_well(users)


def test_a_retry_is_for_the_session_that_the_offer_was_for() -> None:
    newer = {**IN_HALL, BOB: online(NEWER, [HALL])}
    for pair in (waiting(), UNNAMED):
        step, after = followed(checks(pair, newer), pair, newer, Facts(LATER))
        assert step.reply == Relay("relayed", (), call=CALL, target="online")
        if step.look_again is not None:  # of which session the call is was not known
            assert step.look_again.digest is None  # nothing is delivered that its end must come behind
            last = step.look_again.end(after, newer, Facts(LATER))
            assert last == over(BOB, "disconnected", ALICE)
        else:
            assert after == negotiation.end(waiting())


def test_users_are_read_after_a_call_that_seems_to_be_an_older_ones() -> None:
    newer = {**IN_HALL, BOB: online(NEWER, [HALL])}
    step = checks(waiting(), newer, facts=Facts(NOW, revision=7))
    assert step.record is None
    assert step.then is not None
    changed = step.then(waiting(), newer, Facts(NOW, revision=8))
    assert isinstance(changed, Change)
    assert changed.record is None  # somebody has written it since: the users may be older than it
    sure = step.then(waiting(), newer, Facts(NOW, revision=7))
    assert isinstance(sure, Change)
    assert sure.record == negotiation.end(waiting())
    cause = f"{SESSIONS[BOB]} {NOW:x}"
    assert sure.effects == (
        HangUp(ALICE, SESSIONS[ALICE], BOB, "disconnected", cause, CALL),
        CallEnded(NOW, BOB, ALICE, "disconnected", CALL),
    )
    not_so = step.then(waiting(), IN_HALL, Facts(NOW, revision=7))
    assert isinstance(not_so, Change)
    assert isinstance(not_so.reply, Relay)


def test_an_offer_within_a_negotiation_needs_no_second_look() -> None:
    newer = Check(ALICE, SESSIONS[ALICE], BOB, "WEBRTC_OFFER", named("offer 2"), b"")
    for pair in (waiting(), established()):
        step = checks(pair, ask=newer)
        assert step.record is not None
        assert step.look_again is None


def test_a_retry_to_a_user_nobody_knows_needs_no_second_look() -> None:
    assert checks(waiting(), {ALICE: IN_HALL[ALICE]}).look_again is None
