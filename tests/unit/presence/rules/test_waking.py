"""An offer that is kept for somebody who is not there: what becomes of it, and who may wait for whom."""

from typing import Final

import pytest

from presence.record_codec import encode
from presence.rules import endings, negotiation, waking
from presence.rules.change import Await, Change, Facts, LookAt, Timer
from presence.rules.effects import CallEnded, EndCalls, EndCallsWithoutRoom, HangUp, Woken
from presence.rules.negotiated import NO_SESSION, NOTHING, Negotiation
from presence.rules.negotiation import Incoming
from presence.rules.standing import Standing, may_wake
from presence.rules.user import User
from presence.rules.waking import MOST_AWAITED, MOST_CALLERS, NO_WAITS, Noted, Wait, Waits, noted
from tests.unit.presence.rules.frames import ALICE, BOB, NOW, SESSIONS, named, trickles, went
from tests.unit.presence.rules.people import ended, online
from tieline.wire.ids import RoomId, SessionId, UserId
from tieline.wire.internal.answers import Done
from tieline.wire.replies import HangupReason
from tieline.wire.subjects import Keys

HALL, CELLAR = RoomId("hall"), RoomId("cellar")
UNTIL = NOW + 40_000
TIMEOUT_S = 60.0
IN_HALL = {user: online(SESSIONS[user], [HALL]) for user in (ALICE, BOB)}
ALICE_ALONE = {ALICE: IN_HALL[ALICE]}
GIVEN = Standing(given=(HALL,))


def kept(frame: str = "offer", pair: Negotiation = NOTHING) -> Negotiation:
    """Alice's offer to Bob is kept."""
    incoming = Incoming(ALICE, BOB, NO_SESSION, named(frame), NOW, SESSIONS[ALICE])
    return negotiation.keep(pair, incoming, UNTIL).negotiation


KEPT = kept()
NO_CHANGE: Final[Change[Negotiation]] = Change(Done())
CALL = KEPT.call


def facts(standing: Standing | None = None, now: int = NOW) -> Facts:
    """What is known when the leader was asked for Bob's standing, or was not."""
    return Facts(now, read={} if standing is None else {Keys.standing(BOB): (encode(standing), 1)})


def settled(
    pair: Negotiation | None, users: dict[UserId, User], standing: Standing | None = None
) -> Change[Negotiation]:
    step = waking.settle(ALICE, BOB, TIMEOUT_S, waking.done, pair, users, facts(standing))
    assert isinstance(step, Change), step
    return step


def over(reason: HangupReason, user: UserId, told: bool = True) -> tuple[object, ...]:
    """What the end of the call means: the caller is told, and who was waited for is not."""
    offer = KEPT.offer_of(ALICE)
    assert offer is not None
    hangup = HangUp(ALICE, SESSIONS[ALICE], BOB, reason, offer.generation, CALL)
    peer = BOB if user == ALICE else ALICE
    return *([hangup] if told else []), CallEnded(NOW, user, peer, reason, CALL)


def test_a_kept_offer_is_of_no_session_of_its_target() -> None:
    assert KEPT.sessions == ((ALICE, SESSIONS[ALICE]), (BOB, NO_SESSION))
    assert (KEPT.kept_until, KEPT.call, KEPT.is_active) == (UNTIL, CALL, True)
    assert (KEPT.waits_for(BOB), KEPT.waits_for(ALICE)) == (True, False)
    assert (NOTHING.kept_until, NOTHING.waits_for(BOB)) == (0, False)


def test_a_woken_offer_is_like_any_other_with_what_is_held() -> None:
    pair = went(trickles(ALICE, "c1", KEPT)).negotiation
    woken = negotiation.wake(pair, BOB, SESSIONS[BOB])
    assert (woken.kept_until, woken.session_of(BOB), woken.call) == (0, SESSIONS[BOB], CALL)
    assert [held.session for held in woken.held] == [SESSIONS[BOB]]
    assert woken.offer_of(ALICE) == negotiation.offer(NOTHING, _incoming()).negotiation.offer_of(ALICE)


def test_what_is_not_of_the_caller_stays_as_it_was_when_it_is_woken() -> None:
    crossed = negotiation.offer(
        KEPT, Incoming(BOB, ALICE, SESSIONS[ALICE], named("his"), NOW, SESSIONS[BOB])
    ).negotiation
    held = went(trickles(BOB, "his c", crossed)).negotiation
    woken = negotiation.wake(held, BOB, SESSIONS[BOB])
    assert woken.offer_of(BOB) == crossed.offer_of(BOB)
    assert woken.held == held.held


def _incoming() -> Incoming:
    return Incoming(ALICE, BOB, SESSIONS[BOB], named("offer"), NOW, SESSIONS[ALICE])


def test_what_is_not_kept_is_not_settled() -> None:
    waiting = negotiation.offer(NOTHING, _incoming()).negotiation
    for pair in (None, NOTHING, waiting):
        assert settled(pair, IN_HALL) == NO_CHANGE


def test_it_is_sent_to_a_target_that_is_there() -> None:
    change = settled(KEPT, IN_HALL)
    offer = KEPT.offer_of(ALICE)
    assert offer is not None
    assert change.record == negotiation.wake(KEPT, BOB, SESSIONS[BOB])
    assert change.effects == (Woken(BOB, SESSIONS[BOB], ALICE, named("offer"), CALL),)
    assert change.timer == Timer(Keys.offer_timer(ALICE, BOB, offer.generation), TIMEOUT_S)
    assert change.then is not None
    assert change.then(change.record, IN_HALL, facts()) == NO_CHANGE


@pytest.mark.parametrize(
    ("users", "reason", "user"),
    [
        ({**IN_HALL, BOB: ended(IN_HALL[BOB])}, "disconnected", BOB),
        (ALICE_ALONE, "disconnected", BOB),
        ({**IN_HALL, BOB: online(SessionId("newer"), [HALL])}, "disconnected", BOB),
        ({**IN_HALL, BOB: online(SESSIONS[BOB], [CELLAR])}, "left", BOB),
        ({BOB: IN_HALL[BOB]}, "left", BOB),
    ],
    ids=["ended", "forgotten", "replaced", "in another room", "caller forgotten"],
)
def test_it_ends_if_its_target_has_gone_while_it_was_sent(
    users: dict[UserId, User], reason: HangupReason, user: UserId
) -> None:
    sent = settled(KEPT, IN_HALL)
    assert sent.then is not None
    step = sent.then(sent.record, users, facts())
    assert isinstance(step, Change)
    assert step.record == negotiation.end(sent.record or NOTHING)
    assert CallEnded(NOW, user, ALICE, reason, CALL) in step.effects
    assert step.then is waking.done


def test_what_came_after_it_was_sent_is_left_alone() -> None:
    sent = settled(KEPT, IN_HALL)
    assert sent.then is not None
    assert sent.then(NOTHING, ALICE_ALONE, facts()) == NO_CHANGE
    assert sent.then(None, ALICE_ALONE, facts()) == NO_CHANGE


@pytest.mark.parametrize(
    ("users", "standing", "ends"),
    [
        ({ALICE: ended(IN_HALL[ALICE])}, None, over("disconnected", ALICE, told=False)),
        ({}, None, over("disconnected", ALICE, told=False)),
        ({ALICE: online(SessionId("newer"), [HALL])}, None, over("disconnected", ALICE, told=False)),
        ({**ALICE_ALONE, BOB: online(SESSIONS[BOB], [CELLAR])}, None, over("left", BOB)),
        (ALICE_ALONE, Standing(), over("kicked", BOB)),
        ({**ALICE_ALONE, BOB: ended(IN_HALL[BOB])}, Standing(given=(CELLAR,)), over("kicked", BOB)),
        (ALICE_ALONE, Standing(given=(HALL,), banned_until=NOW + 1), over("kicked", BOB)),
    ],
    ids=["caller ended", "caller forgotten", "caller replaced", "apart", "removed", "elsewhere", "banned"],
)
def test_it_is_over_once_nobody_may_wait(
    users: dict[UserId, User], standing: Standing | None, ends: tuple[object, ...]
) -> None:
    change = settled(KEPT, users, standing)
    assert (change.record, change.effects) == (negotiation.end(KEPT), ends)


@pytest.mark.parametrize("users", [IN_HALL, ALICE_ALONE], ids=["come", "not there"])
def test_who_comes_when_its_time_is_up_has_come_too_late(users: dict[UserId, User]) -> None:
    step = waking.settle(ALICE, BOB, TIMEOUT_S, waking.done, KEPT, users, Facts(UNTIL))
    assert isinstance(step, Change)
    assert step.timed_out
    assert step.record == negotiation.end(KEPT)
    hangups = [(effect.user, effect.reason) for effect in step.effects if isinstance(effect, HangUp)]
    assert hangups == [(ALICE, "timeout")]


def test_it_is_kept_on_while_its_target_may_be_waited_for() -> None:
    step = waking.settle(ALICE, BOB, TIMEOUT_S, waking.done, KEPT, ALICE_ALONE, facts())
    assert step == LookAt((Keys.standing(BOB),))
    assert settled(KEPT, ALICE_ALONE, GIVEN) == NO_CHANGE


@pytest.mark.parametrize(
    ("standing", "expected"),
    [
        (GIVEN, True),
        (Standing(given=(CELLAR, HALL)), True),
        (Standing(given=(CELLAR,)), False),
        (Standing(), False),
        (Standing(given=(HALL,), banned_until=NOW + 1), False),
        (Standing(given=(HALL,), banned_until=NOW), True),
        (Standing(given=(HALL,), kept_out=((HALL, NOW + 1),)), False),
    ],
)
def test_only_a_member_by_the_backends_word_may_be_waited_for(standing: Standing, expected: bool) -> None:
    assert may_wake(IN_HALL[ALICE], BOB, facts(standing)) is expected


def test_the_end_of_an_older_session_of_its_target_does_not_end_it() -> None:
    gone = {**ALICE_ALONE, BOB: ended(IN_HALL[BOB])}
    for users in (gone, ALICE_ALONE, IN_HALL):
        step = endings.end_calls(EndCalls(SESSIONS[BOB], NOW), BOB, ALICE, KEPT, users, Facts(NOW))
        assert step == NO_CHANGE
        assert not endings.is_outlived(KEPT, BOB, users.get(BOB), 1)


@pytest.mark.parametrize(("rooms", "ends"), [([HALL], False), ([CELLAR], True)])
def test_who_leaves_ends_it_if_the_other_is_given_none_of_its_rooms(rooms: list[RoomId], ends: bool) -> None:
    effect = EndCallsWithoutRoom("left", "left-7", NOW)
    users = {ALICE: online(SESSIONS[ALICE], rooms)}
    step = endings.end_calls_without_room(effect, ALICE, BOB, KEPT, users, facts())
    assert step == LookAt((Keys.standing(BOB),))
    step = endings.end_calls_without_room(effect, ALICE, BOB, KEPT, users, facts(GIVEN))
    assert isinstance(step, Change)
    assert (step.record is not None) is ends
    hangups = [effect for effect in step.effects if isinstance(effect, HangUp)]
    assert [(hangup.user, hangup.reason) for hangup in hangups] == [(ALICE, "left")] * ends


def test_its_time_is_up_for_the_caller_alone() -> None:
    offer = KEPT.offer_of(ALICE)
    assert offer is not None
    step = endings.expire(ALICE, BOB, offer.generation, KEPT, IN_HALL, Facts(NOW))
    assert isinstance(step, Change)
    assert step.effects == over("timeout", ALICE)


WAIT = Await(ALICE, BOB, UNTIL)


def waits(*names: str, until: int = UNTIL) -> tuple[Wait, ...]:
    return tuple(Wait(UserId(name), until) for name in names)


def test_who_waits_is_noted_for_both() -> None:
    assert noted(NO_WAITS, NO_WAITS, WAIT, NOW) == Noted(
        Waits(awaited=waits("bob")), Waits(callers=waits("alice"))
    )


def test_who_waits_again_is_noted_once_and_what_is_past_is_forgotten() -> None:
    mine = Waits(waits("dan"), (*waits("bob"), *waits("eve", until=NOW)))
    theirs = Waits((*waits("alice", "carol"), *waits("fay", until=NOW)), waits("gus"))
    assert noted(mine, theirs, WAIT, NOW) == Noted(
        Waits(waits("dan"), waits("bob")), Waits(waits("alice", "carol"), waits("gus"))
    )


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        (NO_WAITS, Waits(callers=waits(*(f"u{number}" for number in range(MOST_CALLERS))))),
        (Waits(awaited=waits(*(f"u{number}" for number in range(MOST_AWAITED)))), NO_WAITS),
    ],
    ids=["for one user", "by one user"],
)
def test_only_so_many_wait(mine: Waits, theirs: Waits) -> None:
    assert noted(mine, theirs, WAIT, NOW) is None
    first = UserId("u0")
    over = [(first, BOB), (ALICE, first)]
    assert noted(mine, theirs, WAIT, NOW, over) is not None


def test_a_note_says_something_for_as_long_as_the_last_of_its_waits() -> None:
    assert NO_WAITS.last() == 0
    assert Waits(waits("a"), waits("b", until=UNTIL + 1)).last() == UNTIL + 1
