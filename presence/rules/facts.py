"""What the changes of records mean for those who keep a history: facts, kept in the records. Pure.

A fact is written in the same compare-and-set as the change that it tells of, and stays in the record until
the stream of events is known to have it: so none is lost with a process, and none is told that did not
happen. `presence.fact_teller` reads it there, and publishes it; each becomes one event of one name however
often it is published, for several rooms one each. Nobody waits for that.

Records are decoded by other versions, so classes and fields are only ever added, at the end and with
defaults (docs/decisions/0060). Times are Unix milliseconds.
"""

import itertools
from collections.abc import Iterable, Iterator
from typing import Final, Literal

import msgspec

from presence.rules.change import Change, RecordT
from presence.rules.effects import (
    CallEnded,
    Effect,
    Happening,
    MemberCame,
    MemberWent,
    Said,
    SessionBegan,
    SessionEnded,
    StatusChanged,
)
from presence.rules.fact import CallFact, Course, MemberFact
from presence.rules.negotiated import NOTHING, Negotiation
from presence.rules.user import User
from tieline.wire import cloud_events
from tieline.wire.cloud_events import Call, CloudEvent, Member
from tieline.wire.ids import UserId

MOST_KEPT: Final = 64
"""Facts in one record. One user, or two, make as many only while the stream of events does not answer for
minutes; then the oldest are given up."""


def keeping(
    before: RecordT | None, change: Change[RecordT], after: RecordT, now: int, told_until: int
) -> RecordT:
    """Have the record that a change stores keep its facts, and those of the one before it.

    Of that one the stream of events has those from before `told_until`. Of too many the newest are kept.
    """
    kept: tuple[MemberFact, ...] | tuple[CallFact, ...]
    new: Iterable[MemberFact] | Iterable[CallFact]
    if isinstance(after, Negotiation):
        states = (_negotiation(before), *map(_negotiation, change.passed), after)
        kept, new = states[0].facts, of_calls(states, change.said, change.effects, now)
    else:
        kept = carried_over(before) if isinstance(before, User) else ()
        new = of_user(after, change.effects, now)
    facts = (*(fact for fact in kept if fact.at >= told_until), *new)
    return msgspec.structs.replace(after, facts=facts[-MOST_KEPT:])


def _negotiation(record: User | Negotiation | None) -> Negotiation:
    return record if isinstance(record, Negotiation) else NOTHING


def of_user(record: User, effects: Iterable[Effect], now: int) -> Iterator[MemberFact]:
    """List what the change of a user's record, which has these effects, is worth telling."""
    session = record.session
    for effect in effects:
        match effect:
            case MemberCame(again=False):
                yield MemberFact("member.joined", effect.at, session.id, effect.entry, (effect.room,))
            case MemberWent(again=False):
                yield MemberFact(
                    "member.left", effect.at, effect.session, effect.entry, (effect.room,), effect.reason
                )
            case SessionBegan():
                yield MemberFact("member.joined", effect.at, session.id, session.status_changes)
            case SessionEnded():
                reason = "disconnected"
                yield MemberFact(
                    "member.left", effect.at, effect.session, session.status_changes, reason=reason
                )
            case StatusChanged(is_silent=False):
                kind: Literal["member.away", "member.back"]
                kind = "member.away" if session.status == "away" else "member.back"
                yield MemberFact(kind, now, session.id, session.status_changes)
            case _:
                pass


def of_calls(
    states: Iterable[Negotiation], said: Iterable[Said], effects: Iterable[Effect], now: int
) -> Iterator[CallFact]:
    """List what happened to calls while a negotiation was in these states, one after the other.

    Who ended one, and why, says what was `said` of it, or the effect.
    """
    ends: list[tuple[UserId, int, str]] = [
        (happening.fact.user, happening.fact.at, "hangup")
        for happening in said
        if isinstance(happening, Happening) and happening.kind == "ended"
    ]
    ends += [(each.user, each.at, each.reason) for each in effects if isinstance(each, CallEnded)]
    for before, after in itertools.pairwise(states):
        course = after.course or before.course
        if not before.is_active and after.is_active and course is not None:
            yield _begun("call.offered", after, course)
        if course is not None and after.kept_until and not before.kept_until:
            yield _begun("call.waking", after, course, until=after.kept_until)
        if course is not None and course.ringing_at and not (before.course and before.course.ringing_at):
            yield CallFact(
                "call.ringing",
                course.ringing_at,
                after.call,
                course.caller,
                by_caller=False,
                offered_at=course.offered_at,
                rooms=course.rooms,
            )
        if course is not None and after.established and not before.established:
            for kind in _ANSWERED:
                yield CallFact(
                    kind,
                    course.answered_at,
                    after.call,
                    course.caller,
                    by_caller=course.answered_by_caller,
                    offered_at=course.offered_at,
                    answered_at=course.answered_at,
                    rooms=course.rooms,
                )
        if before.is_active and not after.is_active:
            user, at, reason = ends.pop(0) if ends else (None, now, "")
            yield _ended(before, user, at, reason)


def _begun(
    kind: Literal["call.offered", "call.waking"], after: Negotiation, course: Course, until: int = 0
) -> CallFact:
    """Tell of the first offer of a call."""
    at = course.offered_at
    return CallFact(kind, at, after.call, course.caller, offered_at=at, until=until, rooms=course.rooms)


_ANSWERED: Final[tuple[Literal["call.answered", "call.established"], ...]] = (
    "call.answered",
    "call.established",
)


def _ended(before: Negotiation, user: UserId | None, at: int, reason: str) -> CallFact:
    """Tell the end of a call: one that was answered has ended, of another nobody answered it."""
    course = before.course
    caller = UserId("") if course is None else course.caller
    by_caller = None if user is None or reason == "timeout" or not caller else user == caller
    if before.established:
        kind: Literal["call.ended", "call.unanswered"] = "call.ended"
    else:
        kind = "call.unanswered"
        if reason == "hangup":
            reason = "cancelled" if by_caller else "declined"
    return CallFact(
        kind,
        at,
        before.call,
        caller,
        by_caller=by_caller,
        reason=reason,
        offered_at=0 if course is None else course.offered_at,
        answered_at=0 if course is None else course.answered_at,
        rooms=() if course is None else course.rooms,
    )


def carried_over(before: User) -> tuple[MemberFact, ...]:
    """List the facts of a record as they go on into the next one, whose rooms may be others."""
    rooms = tuple(before.rooms)
    return tuple(
        msgspec.structs.replace(fact, rooms=rooms) if fact.rooms is None else fact for fact in before.facts
    )


def events_of_user(namespace: str, user: UserId, record: User) -> Iterator[CloudEvent]:
    """Make the events of the facts that a user's record holds, in their order."""
    for fact in record.facts:
        for room in record.rooms if fact.rooms is None else fact.rooms:
            name = cloud_events.event_id(fact.kind, room, user, fact.session, fact.mark, fact.at)
            data = Member(room, user, fact.reason or None)
            yield cloud_events.of_member(namespace, fact.kind, name, fact.at, data)


def events_of_calls(namespace: str, one: UserId, other: UserId, record: Negotiation) -> Iterator[CloudEvent]:
    """Make the events of the facts that the record of two users holds, in their order."""
    for fact in record.facts:
        caller = fact.caller or one
        callee = other if caller == one else one
        by = None if fact.by_caller is None else (caller if fact.by_caller else callee)
        name = cloud_events.event_id(fact.kind, caller, callee, fact.call, fact.at)
        answered = fact.answered_at - fact.offered_at if fact.answered_at and fact.offered_at else None
        is_end = fact.kind in ("call.ended", "call.unanswered")
        lasted = fact.at - fact.answered_at if is_end and fact.answered_at else None
        data = Call(
            caller,
            callee,
            fact.call or None,
            by,
            fact.reason or None,
            fact.offered_at or None,
            fact.answered_at or None,
            None if answered is None else max(0, answered) / 1000,
            None if lasted is None else max(0, lasted) / 1000,
            until=fact.until or None,
            rooms=fact.rooms,
        )
        yield cloud_events.of_call(namespace, fact.kind, name, fact.at, data)
