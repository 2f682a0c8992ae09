"""What the changes of records are worth telling, and which events that makes."""

import msgspec
import pytest

from presence.rules import facts
from presence.rules.change import Change
from presence.rules.effects import (
    CallEnded,
    Changed,
    Effect,
    Happening,
    MemberCame,
    MemberWent,
    Said,
    SessionBegan,
    SessionEnded,
    StatusChanged,
)
from presence.rules.fact import CallFact, MemberFact
from presence.rules.facts import MOST_KEPT, events_of_calls, events_of_user, keeping
from presence.rules.negotiated import NO_SESSION, NOTHING, Negotiation
from presence.rules.negotiation import Incoming, end, keep, offer, wake
from presence.rules.user import Membership, Session, User
from tests.unit.presence.rules.frames import (
    ALICE,
    BOB,
    CALL,
    NOW,
    SESSIONS,
    answers,
    hangs_up,
    informs,
    named,
    offers,
    said,
    went,
)
from tieline.wire.codes import ErrorCode
from tieline.wire.events import Happened
from tieline.wire.ids import ConnectionId, GatewayId, RoomId, SecretHash, SessionId, UserId
from tieline.wire.internal.answers import Done
from tieline.wire.replies import HangupReason

HALL, CELLAR = RoomId("hall"), RoomId("cellar")
NEVER, ALWAYS = 0, 1 << 62
HERS = SessionId("hers")


def member(status: str = "online", *rooms: RoomId) -> User:
    """Alice's record."""
    session = msgspec.convert(
        [HERS, GatewayId("g"), ConnectionId("c"), SecretHash(b""), status, 0, 3], Session, strict=False
    )
    return User((session,), True, {room: Membership(NOW, 7) for room in rooms or (HALL,)})


def told(record: User, *effects: Effect) -> list[MemberFact]:
    return list(facts.of_user(record, effects, NOW))


def test_who_comes_or_goes_is_told_of_that_room() -> None:
    came = MemberCame(HALL, 7, NOW - 1)
    gone = MemberWent(CELLAR, HERS, 8, "kicked", NOW - 2)
    assert told(member(), came, gone) == [
        MemberFact("member.joined", NOW - 1, HERS, 7, (HALL,)),
        MemberFact("member.left", NOW - 2, HERS, 8, (CELLAR,), "kicked"),
    ]


def test_a_session_that_begins_or_ends_is_told_of_all_rooms() -> None:
    assert told(member(), SessionBegan(NOW)) == [MemberFact("member.joined", NOW, HERS, 3)]
    assert told(member(), SessionEnded(HERS, NOW)) == [
        MemberFact("member.left", NOW, HERS, 3, reason="disconnected")
    ]


@pytest.mark.parametrize(("status", "kind"), [("away", "member.away"), ("online", "member.back")])
def test_going_away_and_coming_back_is_told(status: str, kind: str) -> None:
    assert [(fact.kind, fact.at) for fact in told(member(status), StatusChanged())] == [(kind, NOW)]


def test_what_nobody_else_hears_of_is_no_fact() -> None:
    again = MemberCame(HALL, 7, NOW, again=True), MemberWent(HALL, HERS, 7, "left", NOW, again=True)
    assert told(member(), *again, StatusChanged(is_silent=True), Changed(ALICE)) == []


def test_the_events_of_a_user_are_one_for_each_room() -> None:
    record = member("online", HALL, CELLAR)
    record = msgspec.structs.replace(record, facts=(MemberFact("member.joined", NOW, HERS, 3),))
    events = list(events_of_user("blue", ALICE, record))
    assert [(event.type, event.subject, event.source) for event in events] == [
        ("tieline.member.joined", "room/hall", "/tieline/blue"),
        ("tieline.member.joined", "room/cellar", "/tieline/blue"),
    ]
    assert len({event.id for event in events}) == 2


def test_a_fact_names_its_rooms_when_the_record_may_have_others() -> None:
    before = member("online", HALL, CELLAR)
    before = msgspec.structs.replace(before, facts=(MemberFact("member.joined", NOW, HERS, 3),))
    named = {event.id for event in events_of_user("blue", ALICE, before)}
    change: Change[User] = Change(Done(), member(), (MemberWent(CELLAR, HERS, 7, "left", NOW),))
    after = keeping(before, change, member(), NOW, NEVER)
    assert [fact.kind for fact in after.facts] == ["member.joined", "member.left"]
    assert named < {event.id for event in events_of_user("blue", ALICE, after)}


def test_what_is_told_goes_with_the_next_change() -> None:
    before = msgspec.structs.replace(member(), facts=(MemberFact("member.joined", NOW, HERS, 3),))
    change: Change[User] = Change(Done(), member("away"), (StatusChanged(),))
    assert [fact.kind for fact in keeping(before, change, member("away"), NOW, ALWAYS).facts] == [
        "member.away"
    ]
    assert len(keeping(before, change, member("away"), NOW, NOW).facts) == 2
    assert len(keeping(before, change, member("away"), NOW, NOW + 1).facts) == 1


def test_a_first_record_keeps_what_it_begins_with() -> None:
    change: Change[User] = Change(Done(), member(), (SessionBegan(NOW),))
    assert len(keeping(None, change, member(), NOW, NEVER).facts) == 1


def test_of_too_many_facts_the_newest_are_kept() -> None:
    many = tuple(MemberFact("member.joined", NOW + count, HERS, count) for count in range(MOST_KEPT))
    change: Change[User] = Change(Done(), member("away"), (StatusChanged(),))
    kept = keeping(msgspec.structs.replace(member(), facts=many), change, member("away"), NOW, NEVER).facts
    assert len(kept) == MOST_KEPT
    assert (kept[0].mark, kept[-1].kind) == (1, "member.away")


def course_of(
    *states: Negotiation, said: tuple[Said, ...] = (), effects: tuple[Effect, ...] = ()
) -> list[CallFact]:
    return list(facts.of_calls((NOTHING, *states), said, effects, NOW + 9000))


def hung_up(by: UserId, at: int = NOW + 9000) -> tuple[Said, ...]:
    return (Happening("ended", Happened(at, by, reason="hangup")),)


def begun() -> Negotiation:
    return offers(ALICE, "offer").negotiation


def established() -> Negotiation:
    return went(answers(BOB, "answer", begun(), NOW + 2000)).negotiation


def test_a_call_is_offered_answered_established_and_ended_once_each() -> None:
    over = went(hangs_up(BOB, "bye", established(), NOW + 9000)).negotiation
    told = course_of(begun(), established(), over, said=hung_up(BOB))
    assert [fact.kind for fact in told] == ["call.offered", "call.answered", "call.established", "call.ended"]
    record = msgspec.structs.replace(NOTHING, facts=tuple(told))
    offered, answered, _, ended = events_of_calls("blue", ALICE, BOB, record)
    assert msgspec.to_builtins(offered)["data"] == {
        "caller": ALICE,
        "callee": BOB,
        "call": CALL,
        "offeredAt": NOW,
    }
    assert msgspec.to_builtins(answered)["data"] == {
        "caller": ALICE,
        "callee": BOB,
        "call": CALL,
        "by": BOB,
        "offeredAt": NOW,
        "answeredAt": NOW + 2000,
        "answerSeconds": 2.0,
    }
    assert msgspec.to_builtins(ended)["data"] == {
        "caller": ALICE,
        "callee": BOB,
        "call": CALL,
        "by": BOB,
        "reason": "hangup",
        "offeredAt": NOW,
        "answeredAt": NOW + 2000,
        "answerSeconds": 2.0,
        "durationSeconds": 7.0,
    }


def test_whom_to_wake_is_told_once_and_until_when() -> None:
    incoming = Incoming(ALICE, BOB, NO_SESSION, named("offer"), NOW, SESSIONS[ALICE])
    kept = keep(NOTHING, incoming, NOW + 40_000).negotiation
    newer = keep(kept, incoming._replace(digest=named("newer")), NOW + 40_000).negotiation
    told = facts_between(NOTHING, kept, newer, wake(newer, BOB, SESSIONS[BOB]))
    assert [fact.kind for fact in told] == ["call.offered", "call.waking"]
    record = msgspec.structs.replace(NOTHING, facts=tuple(told))
    _, waking = events_of_calls("blue", ALICE, BOB, record)
    assert msgspec.to_builtins(waking)["type"] == "tieline.call.waking"
    assert msgspec.to_builtins(waking)["data"] == {
        "caller": ALICE,
        "callee": BOB,
        "call": kept.call,
        "offeredAt": NOW,
        "until": NOW + 40_000,
    }


def test_every_event_of_a_call_names_the_rooms_in_which_it_began() -> None:
    begun_there = offer(NOTHING, said(ALICE, "offer", NOW)._replace(rooms=(CELLAR, HALL))).negotiation
    ringing = went(informs(BOB, "ringing", begun_there)).negotiation
    answered = went(answers(BOB, "answer", ringing)).negotiation
    again = offer(answered, said(BOB, "restart", NOW)).negotiation
    over = went(hangs_up(BOB, "bye", again)).negotiation
    for states in ((begun_there, ringing, answered, again, over), (begun_there, end(begun_there))):
        record = msgspec.structs.replace(NOTHING, facts=tuple(course_of(*states)))
        events = list(events_of_calls("blue", ALICE, BOB, record))
        assert [msgspec.to_builtins(event)["data"]["rooms"] for event in events] == [(CELLAR, HALL)] * len(
            events
        )
        assert len(events) > 1


def test_what_is_negotiated_within_a_call_is_no_event_of_it() -> None:
    again = offers(BOB, "restart", established(), NOW + 3000).negotiation
    answered = went(answers(ALICE, "again", again, NOW + 4000)).negotiation
    assert facts_between(established(), again, answered) == []


def facts_between(*states: Negotiation) -> list[CallFact]:
    return list(facts.of_calls(states, (), (), NOW))


def test_a_caller_who_answers_the_other_ones_offer_has_answered() -> None:
    crossed = offers(BOB, "glare", begun(), NOW + 1).negotiation
    answered = went(answers(ALICE, "answer", crossed, NOW + 2)).negotiation
    record = msgspec.structs.replace(NOTHING, facts=tuple(facts_between(crossed, answered)))
    told = msgspec.to_builtins(list(events_of_calls("blue", BOB, ALICE, record)))
    assert [event["data"]["by"] for event in told] == [ALICE, ALICE]


@pytest.mark.parametrize(("by", "reason"), [(ALICE, "cancelled"), (BOB, "declined")])
def test_a_call_that_is_hung_up_before_the_answer_says_by_whom(by: UserId, reason: str) -> None:
    over = went(hangs_up(by, "bye", begun())).negotiation
    (_, unanswered) = course_of(begun(), over, said=hung_up(by))
    assert (unanswered.kind, unanswered.reason) == ("call.unanswered", reason)


@pytest.mark.parametrize(
    ("reason", "by_caller"), [("timeout", None), ("disconnected", True), ("left", True), ("kicked", True)]
)
def test_a_call_that_the_server_ends_says_why(reason: HangupReason, by_caller: bool | None) -> None:
    (_, unanswered) = course_of(
        begun(), end(begun()), effects=(CallEnded(NOW + 5, ALICE, BOB, reason, CALL),)
    )
    assert (unanswered.kind, unanswered.reason) == ("call.unanswered", reason)
    assert (unanswered.by_caller, unanswered.at) == (by_caller, NOW + 5)


def test_the_first_word_of_the_callee_says_that_it_rings() -> None:
    said = went(informs(BOB, "ringing", begun(), NOW + 300)).negotiation
    again = went(informs(BOB, "muted", said, NOW + 400)).negotiation
    assert again is said
    (ringing,) = facts_between(begun(), said, again)
    assert (ringing.kind, ringing.at, ringing.by_caller) == ("call.ringing", NOW + 300, False)


def test_no_other_word_says_that_it_rings() -> None:
    calling = begun()
    assert went(informs(ALICE, "muted", calling)).negotiation is calling
    answered = established()
    assert went(informs(BOB, "muted", answered)).negotiation is answered
    forgotten = msgspec.structs.replace(calling, course=None)
    assert went(informs(BOB, "ringing", forgotten)).negotiation is forgotten
    assert informs(BOB, "ringing", NOTHING) is ErrorCode.NO_MATCHING_OFFER


def test_ringing_is_told_once() -> None:
    course = begun().course
    assert course is not None
    rings = msgspec.structs.replace(begun(), course=msgspec.structs.replace(course, ringing_at=NOW + 300))
    answered = went(answers(BOB, "answer", rings, NOW + 2000)).negotiation
    kinds = [fact.kind for fact in facts_between(begun(), rings, answered)]
    assert kinds == ["call.ringing", "call.answered", "call.established"]


def test_what_an_older_process_has_forgotten_is_left_out() -> None:
    forgotten = msgspec.structs.replace(established(), course=None)
    (ended,) = facts_between(forgotten, end(forgotten))
    assert (ended.kind, ended.caller, ended.by_caller, ended.reason) == ("call.ended", "", None, "")
    record = msgspec.structs.replace(NOTHING, facts=(ended,))
    (event,) = events_of_calls("blue", ALICE, BOB, record)
    assert msgspec.to_builtins(event)["data"] == {"caller": ALICE, "callee": BOB, "call": CALL}
    assert facts_between(NOTHING, msgspec.structs.replace(begun(), course=None)) == []


def test_a_negotiation_keeps_the_facts_of_what_it_passed_through() -> None:
    change: Change[Negotiation] = Change(Done(), end(begun()), said=hung_up(ALICE), passed=(begun(),))
    after = keeping(None, change, end(begun()), NOW, NEVER)
    assert [fact.kind for fact in after.facts] == ["call.offered", "call.unanswered"]
    next_call: Change[Negotiation] = Change(Done(), begun())
    kept = keeping(after, next_call, begun(), NOW, NEVER)
    assert [fact.kind for fact in kept.facts] == ["call.offered", "call.unanswered", "call.offered"]
    assert [fact.kind for fact in keeping(after, next_call, begun(), NOW, ALWAYS).facts] == ["call.offered"]


def test_the_same_fact_has_the_same_name_and_another_one_another() -> None:
    one = msgspec.structs.replace(NOTHING, facts=(CallFact("call.offered", NOW, CALL, ALICE),))
    later = msgspec.structs.replace(NOTHING, facts=(CallFact("call.offered", NOW + 1, CALL, ALICE),))
    names = [next(events_of_calls("blue", ALICE, BOB, record)).id for record in (one, one, later)]
    assert names[0] == names[1] != names[2]
