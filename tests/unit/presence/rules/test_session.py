"""How a session begins, is replaced, resumed, and restored by its gateway; its ends: `test_session_ends`."""

import msgspec
import pytest

from presence.rules import session
from presence.rules.change import Change, Facts, Prepare, Step
from presence.rules.effects import (
    Changed,
    CloseConnection,
    EndCalls,
    EndCallsWithoutRoom,
    MemberWent,
    RemoveNote,
    SessionBegan,
    SessionEnded,
    StatusChanged,
)
from presence.rules.user import Membership, Session, User, with_session
from tests.unit.presence.requests import opening, registering
from tests.unit.presence.rules.frames import NOW
from tests.unit.presence.rules.people import FIRST_ENTRY, NOTE, away, began, ended, prepared, resumed
from tieline.wire.codes import CloseCode
from tieline.wire.ids import ConnectionId, GatewayId, RoomId, SessionId, UserId
from tieline.wire.internal import codec
from tieline.wire.internal.answers import Done, SessionGone
from tieline.wire.internal.sessions import Opened, OpenSession, Register

ALICE = UserId("alice")
G1, G2 = GatewayId("g1"), GatewayId("g2")
HALL, CELLAR = RoomId("hall"), RoomId("cellar")
FIRST = opening("alice", "hall", "cellar", secret="alice's")
ONLINE = began(FIRST)
RESUMES = opening("alice", number=2, resume="alice's")
RESUMES_ELSEWHERE = opening("alice", number=2, gateway="g2", resume="alice's")
LATER = NOW + 10_000
CLOSE_FIRST = CloseConnection(
    ALICE, SessionId("alice-s1"), G1, ConnectionId("alice-c1"), int(CloseCode.REPLACED)
)


def opens(ask: OpenSession, user: User | None, facts: Facts | None = None) -> Step[User]:
    """Decide on a new connection."""
    return session.open_session(ask, user, {}, facts or Facts(LATER))


def resumes(ask: OpenSession, user: User) -> Change[User]:
    """Resume a session, after preparing what that wants, if anything."""
    step = opens(ask, user)
    if isinstance(step, Prepare):
        step = opens(ask, user, prepared(step, LATER))
    assert isinstance(step, Change)
    return step


def registers(ask: Register, user: User | None, facts: Facts | None = None) -> Step[User]:
    """Decide on a session that its gateway says it has."""
    return session.register(ask, user, {}, facts or Facts(LATER))


def unnoted(user: User) -> User:
    """Forget the note of a user's session, as the death of its gateway does."""
    return with_session(user, msgspec.structs.replace(user.session, note=0))


def test_before_a_session_begins_note_and_entries_are_made() -> None:
    ask = opening("alice", "hall", "cellar", "hall")
    assert opens(ask, None) == Prepare(SessionId("alice-s1"), G1, (HALL, CELLAR))


def test_what_another_step_had_prepared_does_not_serve() -> None:
    other = Facts(LATER, Prepare(SessionId("alice-s0"), G1), NOTE)
    assert opens(FIRST, None, other) == opens(FIRST, None)


@pytest.mark.parametrize(
    "before", [None, ended(began(opening("alice", "hall", number=0)))], ids=["unknown", "offline"]
)
def test_a_session_begins_in_its_rooms_and_others_are_told(before: User | None) -> None:
    alice = Session(
        SessionId("alice-s1"), G1, ConnectionId("alice-c1"), FIRST.secret, "online", note=NOTE, began=NOTE
    )
    rooms = {HALL: Membership(LATER, FIRST_ENTRY), CELLAR: Membership(LATER, FIRST_ENTRY + 1)}
    assert opens(FIRST, before, prepared(opens(FIRST, before), LATER)) == Change(
        Opened(SessionId("alice-s1"), False, {HALL: LATER, CELLAR: LATER}),
        User((alice,), True, rooms),
        (
            Changed(ALICE),
            SessionBegan(LATER),
        ),
    )


def test_a_session_begins_outside_of_a_room_that_is_full() -> None:
    step = opens(FIRST, None, prepared(opens(FIRST, None), LATER, full=[HALL]))
    assert isinstance(step, Change)
    assert step.reply == Opened(SessionId("alice-s1"), False, {CELLAR: LATER})
    assert step.effects == (Changed(ALICE), SessionBegan(LATER))


def test_a_room_whose_id_no_gateway_takes_is_not_told_to_one() -> None:
    """A session of version 0.1 may be in such a room, and its client could resume it nowhere."""
    odd = {RoomId("team \u200d"): Membership(NOW, 7), **ONLINE.rooms}
    reply = resumes(RESUMES, msgspec.structs.replace(ONLINE, rooms=odd)).reply
    assert isinstance(reply, Opened)
    assert codec.read_answer(RESUMES, codec.encode(reply)) == reply
    assert reply.rooms.keys() == ONLINE.rooms.keys()


def test_asking_again_for_a_session_that_has_begun_changes_nothing() -> None:
    opened = Opened(SessionId("alice-s1"), False, {HALL: NOW, CELLAR: NOW})
    assert opens(FIRST, ONLINE) == Change(opened)


def test_asking_again_for_a_resumption_changes_nothing() -> None:
    opened = Opened(SessionId("alice-s1"), True, {HALL: NOW, CELLAR: NOW}, lost_at=NOW)
    assert opens(RESUMES, resumed(RESUMES, away(ONLINE))) == Change(opened)


def test_what_is_resumed_from_a_living_connection_was_not_lost() -> None:
    step = resumes(RESUMES, resumed(opening("alice", number=3, resume="alice's"), away(ONLINE)))
    assert step.record is not None
    assert step.record.session.lost_at == 0
    assert step.reply == Opened(SessionId("alice-s1"), True, {HALL: NOW, CELLAR: NOW})


def test_asking_again_for_a_session_that_has_ended_is_too_late() -> None:
    assert opens(FIRST, ended(ONLINE)) == Change(SessionGone(replaced=False))


def test_asking_again_after_it_has_gone_on_elsewhere_is_too_late() -> None:
    again = resumed(opening("alice", number=3, resume="alice's"), resumed(RESUMES, away(ONLINE)))
    assert opens(RESUMES, again) == Change(SessionGone(replaced=True))
    assert opens(RESUMES, ended(again)) == Change(SessionGone(replaced=False))


@pytest.mark.parametrize("before", [ONLINE, away(ONLINE)], ids=["online", "away"])
@pytest.mark.parametrize("resume", ["", "bob's"], ids=["no secret", "a wrong secret"])
def test_a_newer_session_ends_the_older_one_first(before: User, resume: str) -> None:
    newer = opening("alice", "hall", number=2, gateway="g2", resume=resume)
    step = opens(newer, before)
    assert isinstance(step, Change)
    assert step.record == with_session(
        before, msgspec.structs.replace(before.session, status="offline", note=0)
    )
    assert step.effects == (
        CLOSE_FIRST,
        Changed(ALICE),
        EndCalls(SessionId("alice-s1"), LATER),
        SessionEnded(SessionId("alice-s1"), LATER),
        RemoveNote(SessionId("alice-s1"), G1, NOTE),
    )
    assert step.then is not None
    assert step.then(step.record, {}, Facts(LATER)) == opens(newer, step.record)


def test_a_session_resumed_on_its_gateway_needs_no_other_note() -> None:
    before = away(ONLINE)
    step = opens(RESUMES, before)
    alice = msgspec.structs.replace(
        before.session,
        connection=ConnectionId("alice-c2"),
        status="online",
        status_changes=2,
        taken_from=ConnectionId("alice-c1"),
    )
    opened = Opened(SessionId("alice-s1"), True, {HALL: NOW, CELLAR: NOW}, lost_at=NOW)
    assert step == Change(opened, with_session(before, alice), (Changed(ALICE), StatusChanged(at=LATER)))


def test_a_session_resumed_elsewhere_is_noted_there_and_no_more_here() -> None:
    before = away(ONLINE)
    assert opens(RESUMES_ELSEWHERE, before) == Prepare(SessionId("alice-s1"), G2)
    step = resumes(RESUMES_ELSEWHERE, msgspec.structs.replace(before))
    assert step.record is not None
    assert (step.record.session.gateway, step.record.session.note) == (G2, NOTE)
    assert step.effects == (
        RemoveNote(SessionId("alice-s1"), G1, NOTE),
        Changed(ALICE),
        StatusChanged(at=LATER),
    )


@pytest.mark.parametrize(
    ("ask", "gateway"), [(RESUMES, G1), (RESUMES_ELSEWHERE, G2)], ids=["there", "elsewhere"]
)
def test_a_session_whose_gateway_died_is_noted_when_resumed(ask: OpenSession, gateway: GatewayId) -> None:
    before = unnoted(away(ONLINE))
    assert opens(ask, before) == Prepare(SessionId("alice-s1"), gateway, renews_note=gateway == G1)
    step = resumes(ask, before)
    assert step.record is not None
    assert step.record.session.note == NOTE
    assert step.effects == (Changed(ALICE), StatusChanged(at=LATER))


def test_the_connection_that_a_resumption_takes_over_is_closed() -> None:
    step = resumes(RESUMES, ONLINE)
    close = CloseConnection(
        ALICE, SessionId("alice-s1"), G1, ConnectionId("alice-c1"), int(CloseCode.REPLACED)
    )
    assert step.effects == (close, Changed(ALICE))


def test_rooms_that_the_new_token_does_not_grant_are_lost() -> None:
    step = resumes(opening("alice", number=2, resume="alice's", granted=("cellar", "attic")), away(ONLINE))
    assert step.reply == Opened(SessionId("alice-s1"), True, {CELLAR: NOW}, lost_at=NOW)
    assert step.record is not None
    assert step.record.rooms.keys() == {CELLAR}
    assert step.effects == (
        Changed(ALICE),
        EndCallsWithoutRoom("kicked", f"left-{FIRST_ENTRY}", LATER),
        MemberWent(HALL, SessionId("alice-s1"), FIRST_ENTRY, "kicked", LATER),
        StatusChanged(at=LATER),
    )


def test_losing_several_rooms_at_once_ends_a_call_for_one_cause() -> None:
    step = resumes(opening("alice", number=2, resume="alice's", granted=()), ONLINE)
    causes = [effect.cause for effect in step.effects if isinstance(effect, EndCallsWithoutRoom)]
    assert causes == [f"left-{FIRST_ENTRY}"]


def test_a_resumed_session_may_do_what_its_new_token_says() -> None:
    for voice in (False, True):
        step = resumes(opening("alice", number=2, resume="alice's", voice=voice), ONLINE)
        assert step.record is not None
        assert step.record.voice is voice


@pytest.mark.parametrize("before", [None, ended(ONLINE)], ids=["forgotten", "ended"])
def test_a_session_is_restored_in_its_rooms_since_it_was_there(before: User | None) -> None:
    ask = registering(FIRST, {"hall": NOW - 5, "cellar": NOW - 3})
    wanted = registers(ask, before)
    assert wanted == Prepare(SessionId("alice-s1"), G1, (HALL, CELLAR))
    step = registers(ask, before, prepared(wanted, LATER, full=[HALL]))
    assert isinstance(step, Change)
    assert step.reply == Done()
    assert step.record is not None
    changes = 0 if before is None else 1  # so that what is told of it next is no repetition
    assert step.record.session == msgspec.structs.replace(ONLINE.session, status_changes=changes)
    assert step.record.rooms == {CELLAR: Membership(NOW - 3, FIRST_ENTRY + 1)}
    assert step.effects == (Changed(ALICE), SessionBegan(LATER))


def test_a_session_that_seemed_away_is_online_again() -> None:
    before = away(ONLINE)
    step = registers(registering(FIRST, {"hall": NOW}), before)
    back = msgspec.structs.replace(before.session, status="online", status_changes=2)
    assert step == Change(Done(), with_session(before, back), (Changed(ALICE), StatusChanged(at=LATER)))


def test_a_session_whose_gateway_seemed_dead_is_noted_again() -> None:
    before, ask = unnoted(away(ONLINE)), registering(FIRST, {"hall": NOW})
    wanted = registers(ask, before)
    assert wanted == Prepare(SessionId("alice-s1"), G1, renews_note=True)
    step = registers(ask, before, prepared(wanted, LATER))
    assert isinstance(step, Change)
    assert step.record is not None
    assert (step.record.session.status, step.record.session.note) == ("online", NOTE)


def test_a_session_that_is_online_without_a_note_is_noted() -> None:
    before, ask = unnoted(ONLINE), registering(FIRST, {"hall": NOW})
    wanted = registers(ask, before)
    assert wanted == Prepare(SessionId("alice-s1"), G1, renews_note=True)
    assert registers(ask, before, prepared(wanted, LATER)) == Change(Done(), ONLINE, (Changed(ALICE),))


def test_registering_a_known_session_only_reminds_the_routers() -> None:
    step = registers(registering(FIRST, {"hall": NOW}), ONLINE)
    assert step == Change(Done(), said=(Changed(ALICE),))


@pytest.mark.parametrize(
    "user",
    [resumed(RESUMES, ONLINE), began(opening("alice", number=2)), ended(began(opening("alice", number=2)))],
    ids=["resumed on another connection", "replaced", "replaced, and ended since"],
)
def test_registering_what_has_gone_on_elsewhere_is_too_late(user: User) -> None:
    assert registers(registering(FIRST, {"hall": NOW}), user) == Change(SessionGone(replaced=True))
