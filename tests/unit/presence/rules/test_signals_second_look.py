"""An offer that has just been stored, when one of its users has gone in that very moment."""

import functools

import msgspec
import pytest

from presence.rules import negotiation, signals
from presence.rules.change import Change, Facts
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
    offers,
    waiting,
)
from tests.unit.presence.rules.people import away, ended, followed, online
from tieline.wire.ids import RoomId, SessionId, UserId
from tieline.wire.internal.answers import SessionGone
from tieline.wire.internal.signals import Check, Delivery, Relay
from tieline.wire.replies import HangupReason

HALL = RoomId("hall")
IN_HALL = {user: online(SESSIONS[user], [HALL]) for user in (ALICE, BOB)}
OFFER = Check(ALICE, SESSIONS[ALICE], BOB, "WEBRTC_OFFER", named("offer"), b"")
RELAY = Relay("relayed", (Delivery(BOB, SESSIONS[BOB], None),), call=CALL)
LATER = NOW + 5
AT_ONCE = Facts(NOW)
NEWER = SessionId("newer")

UNNAMED = msgspec.structs.replace(waiting(), sessions=())
"""As a process of 0.1.0 has written it."""

Users = dict[UserId, User]


def stored_offer() -> WaitingOffer:
    """The offer of Alice's as it has just been stored."""
    (offer,) = waiting().offers
    return offer


def looks_again(users: Users, pair: Negotiation | None = None) -> object:
    """Decide once more on an offer of Alice's, on what has become of the users since."""
    pair = waiting() if pair is None else pair
    return signals.still_wanted(OFFER, RELAY, stored_offer(), SESSIONS[BOB], pair, users, Facts(LATER))


def over(reply: Relay | SessionGone, told: UserId, who: UserId, reason: HangupReason) -> Change[Negotiation]:
    """End the negotiation, and tell one of the two that `who` has gone."""
    hangup = HangUp(told, SESSIONS[told], who, reason, stored_offer().generation, CALL)
    return Change(reply, negotiation.end(waiting()), (hangup, CallEnded(LATER, who, told, reason, CALL)))


def test_an_offer_of_users_who_are_still_there_is_delivered() -> None:
    for bob in (IN_HALL[BOB], away(IN_HALL[BOB])):
        assert looks_again({**IN_HALL, BOB: bob}) == Change(RELAY)


@pytest.mark.parametrize(
    ("users", "replaced"),
    [
        ({BOB: IN_HALL[BOB]}, False),
        ({**IN_HALL, ALICE: ended(IN_HALL[ALICE])}, False),
        ({**IN_HALL, ALICE: online(NEWER, [HALL])}, True),
    ],
    ids=["unknown", "ended", "replaced"],
)
def test_an_offer_whose_sender_has_gone_is_not_delivered(users: Users, replaced: bool) -> None:
    gone = SessionGone(replaced)
    assert looks_again(users) == over(gone, BOB, ALICE, "disconnected")


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
    assert looks_again(users) == over(RELAY, ALICE, BOB, "disconnected")


def test_an_offer_of_users_who_share_no_room_any_more_ends() -> None:
    apart = {**IN_HALL, BOB: online(SESSIONS[BOB])}
    assert looks_again(apart) == over(Relay("relayed", (), call=CALL), ALICE, BOB, "left")


def test_an_offer_that_has_ended_for_want_of_a_room_is_not_delivered() -> None:
    apart = {**IN_HALL, BOB: online(SESSIONS[BOB])}
    assert looks_again(apart, NOTHING) == Change(Relay("relayed", (), call=CALL))


@pytest.mark.parametrize(
    "pair",
    [NOTHING, established(), offers(ALICE, "offer 2", now=LATER).negotiation],
    ids=["ended", "answered", "replaced"],
)
def test_an_offer_that_waits_no_more_is_not_ended(pair: Negotiation) -> None:
    assert looks_again({ALICE: IN_HALL[ALICE]}, pair) == Change(RELAY)
    assert looks_again({BOB: IN_HALL[BOB]}, pair) == Change(SessionGone(replaced=False))


def checks(
    pair: Negotiation, users: Users | None = None, ask: Check = OFFER, facts: Facts = AT_ONCE
) -> Change[Negotiation]:
    """Judge an offer for the first time, or as a retry."""
    step = signals.check(ask, Terms("hold", 60.0), pair, users or IN_HALL, facts)
    assert isinstance(step, Change)
    return step


@pytest.mark.parametrize("pair", [NOTHING, waiting()], ids=["a first offer", "its retry"])
def test_an_offer_that_begins_a_negotiation_is_looked_at_again(pair: Negotiation) -> None:
    step = checks(pair)
    assert isinstance(step.then, functools.partial)
    gone = {**IN_HALL, BOB: ended(IN_HALL[BOB])}
    assert step.then(waiting(), gone, Facts(LATER)) == looks_again(gone)


def test_a_retry_is_for_the_session_that_the_offer_was_for() -> None:
    newer = {**IN_HALL, BOB: online(NEWER, [HALL])}
    for pair in (waiting(), UNNAMED):
        step, after = followed(checks(pair, newer), pair, newer, Facts(LATER))
        assert step.reply == Relay("relayed", (), call=CALL)
        if step.then is not None:  # of which session the call is was not known
            last = step.then(after, newer, Facts(LATER))
            assert last == over(Relay("relayed", (), call=CALL), ALICE, BOB, "disconnected")
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
        assert step.then is None


def test_a_retry_to_a_user_nobody_knows_needs_no_second_look() -> None:
    assert checks(waiting(), {ALICE: IN_HALL[ALICE]}).then is None
