"""What is asked late changes nothing; what a gateway still means, it may ask anew."""

import msgspec
import pytest

from presence.rules import moderation, room, session
from presence.rules.change import Change, Facts, Prepare, Step
from presence.rules.user import Membership, User, stamped, with_session
from tests.unit.presence.requests import opening, registering
from tests.unit.presence.rules.frames import NOW
from tests.unit.presence.rules.people import NOTE, away, began, ended, prepared
from tieline.wire.ids import ConnectionId, GatewayId, RoomId, SessionId, UserId
from tieline.wire.internal.answers import Done, Outdated, SessionGone
from tieline.wire.internal.rooms import JoinRoom, LeaveRoom
from tieline.wire.internal.sessions import EndSession, Opened, OpenSession, Regrant, Tell
from tieline.wire.subjects import Keys

ALICE, BOB = UserId("alice"), UserId("bob")
G1 = GatewayId("g1")
HALL, CELLAR = RoomId("hall"), RoomId("cellar")
C1, S1 = ConnectionId("alice-c1"), SessionId("alice-s1")
WINDOW_S = 30.0
CHANGED_AT = 40
"""The revision with which the user's connection changed last."""
LEASED_AT = 35
READ_AT = 50
"""The revision of the record: something else has been written since."""

FIRST = opening("alice", "hall", secret="alice's")
ONLINE = stamped(began(FIRST), CHANGED_AT)


def asked(ask: OpenSession, at: int) -> OpenSession:
    """The same, as of a revision."""
    return msgspec.structs.replace(ask, asked=at)


def facts(*, has_lease: bool = True, **more: tuple[bytes, int]) -> Facts:
    """What was read beside the record."""
    lease = {Keys.lease_timer(G1): (b"run", LEASED_AT)} if has_lease else {}
    return Facts(NOW, revision=READ_AT, read={**lease, **more})


def opens(ask: OpenSession, user: User | None, known: Facts | None = None) -> Step[User]:
    """Decide on a new connection, after preparing what that wants."""
    known = known or facts()
    step = session.open_session(ask, user, {}, known)
    if isinstance(step, Prepare):
        ready = prepared(step)
        known = known._replace(prepared=ready.prepared, note=ready.note, entries=ready.entries)
        step = session.open_session(ask, user, {}, known)
    return step


def reply_to(step: Step[User]) -> object:
    """Look at what is answered."""
    assert isinstance(step, Change)
    return step.reply


def record_of(step: Step[User]) -> User:
    """Look at what is stored."""
    assert isinstance(step, Change)
    assert step.record is not None
    return step.record


def with_number(user: User, number: int) -> User:
    """Let what was carried out last have a number."""
    return with_session(user, msgspec.structs.replace(user.session, number=number))


def left(user: User) -> User:
    """Let the gateway have said that the connection has ended."""
    return with_session(user, msgspec.structs.replace(user.session, left=True))


@pytest.mark.parametrize("user", [ONLINE, away(ONLINE), ended(ONLINE)], ids=["online", "away", "offline"])
@pytest.mark.parametrize("resume", ["", "alice's", "another's"])
def test_an_opening_from_before_the_last_one_does_nothing(user: User, resume: str) -> None:
    late = asked(opening("alice", number=0, resume=resume), CHANGED_AT - 1)
    assert opens(late, user) == Change(Outdated(READ_AT))


def test_an_opening_that_knows_of_the_last_one_begins() -> None:
    step = opens(asked(opening("alice", number=2), CHANGED_AT), ended(ONLINE))
    assert isinstance(reply_to(step), Opened)
    assert record_of(step).session.fence == 0


def test_one_that_is_asked_anew_replaces_the_other() -> None:
    step = opens(asked(opening("alice", number=2), READ_AT), ONLINE)
    assert isinstance(step, Change)
    assert step.then is not None
    ending = record_of(step)
    prepares = step.then(ending, {}, facts())
    assert isinstance(prepares, Prepare)


@pytest.mark.parametrize("status", ["online", "away"])
def test_what_comes_between_the_two_halves_counts(status: str) -> None:
    step = opens(asked(opening("alice", number=2), CHANGED_AT), ONLINE)
    assert isinstance(step, Change)
    assert step.then is not None
    newer = stamped(began(opening("alice", number=3)), READ_AT)
    meanwhile = newer if status == "online" else away(newer)
    assert step.then(meanwhile, {}, facts()) == Change(Outdated(READ_AT))


def test_the_write_that_changes_the_connection_stamps_it() -> None:
    assert stamped(began(FIRST), 7).session.fence == 7
    assert stamped(ONLINE, READ_AT) is ONLINE


def test_a_resumed_session_has_a_new_connection() -> None:
    resumes = asked(opening("alice", number=2, resume="alice's"), CHANGED_AT)
    after = record_of(opens(resumes, with_number(left(away(ONLINE)), 5)))
    assert (after.session.fence, after.session.number, after.session.left) == (0, 0, False)


def test_an_opening_is_answered_with_whose_it_is() -> None:
    reply = reply_to(opens(asked(FIRST, CHANGED_AT), None))
    assert isinstance(reply, Opened)
    assert (reply.user, reply.asked) == (ALICE, asked(FIRST, CHANGED_AT).session)


def test_a_copy_of_the_opening_is_answered_as_the_first() -> None:
    assert isinstance(reply_to(opens(asked(FIRST, CHANGED_AT - 9), ONLINE)), Opened)


@pytest.mark.parametrize("user", [left(away(ONLINE)), left(ended(ONLINE))], ids=["away", "offline"])
def test_a_copy_that_comes_after_the_end_does_nothing(user: User) -> None:
    step = opens(asked(FIRST, CHANGED_AT + 9), user)
    assert step == Change(SessionGone(replaced=user.is_reachable))


def test_nothing_begins_for_a_gateway_without_a_lease() -> None:
    ran_out = {Keys.lease_timer(G1): (b"", 60)}
    for known in (facts(has_lease=False), Facts(NOW, read=ran_out)):
        assert opens(asked(FIRST, READ_AT), None, known) == Change(Outdated())


@pytest.mark.parametrize("user", [ONLINE, away(ONLINE)], ids=["online", "away"])
def test_who_resumes_an_older_session_replaces_nobody(user: User) -> None:
    woken = asked(opening("alice", number=2, resume="a session of yesterday"), READ_AT)
    older = msgspec.structs.replace(woken, resume_asked=NOTE - 1)
    assert opens(older, user) == Change(SessionGone(replaced=True))
    for nobody_s in (woken, msgspec.structs.replace(woken, resume_asked=NOTE)):
        step = opens(nobody_s, user)
        assert isinstance(step, Change)
        assert step.then is not None


def test_who_never_heard_of_the_newer_session_begins_another() -> None:
    lost = asked(opening("alice", number=2, secret="new", resume="a session of yesterday"), CHANGED_AT)
    unheard = stamped(record_of(opens(lost, ended(ONLINE))), CHANGED_AT)
    again = asked(opening("alice", number=3, resume="a session of yesterday"), CHANGED_AT)
    step = opens(msgspec.structs.replace(again, resume_asked=1), unheard)
    assert isinstance(step, Change)
    assert step.then is not None


def test_who_names_what_cannot_be_resumed_is_no_older_device() -> None:
    alone = stamped(record_of(opens(asked(opening("alice"), NOTE - 5), None)), CHANGED_AT)
    again = asked(opening("alice", number=2, resume="what its WELCOME says"), READ_AT)
    step = opens(msgspec.structs.replace(again, resume_asked=NOTE - 5), alone)
    assert isinstance(step, Change)
    assert step.then is not None

    older = msgspec.structs.replace(again, resume_asked=NOTE - 6)
    assert opens(older, alone) == Change(SessionGone(replaced=True))


def test_nothing_is_older_than_what_is_restored_for_no_resuming() -> None:
    lost = msgspec.structs.replace(registering(opening("alice"), {}), asked=READ_AT)
    known = facts()
    step = session.register(lost, None, {}, known)
    assert isinstance(step, Prepare)
    ready = prepared(step)
    known = known._replace(prepared=ready.prepared, note=ready.note, entries=ready.entries)
    restored = stamped(record_of(session.register(lost, None, {}, known)), CHANGED_AT)
    again = asked(opening("alice", number=2, resume="what its WELCOME says"), READ_AT)
    step = opens(msgspec.structs.replace(again, resume_asked=1), restored)
    assert isinstance(step, Change)
    assert step.then is not None


def ends(user: User | None, connection: ConnectionId, at: int, *, resumable: bool = True) -> Change[User]:
    """Decide on the end of a connection whose beginning was asked as of a revision."""
    ask = EndSession(ALICE, connection, resumable, asked=at)
    step = session.lose_connection(ask, WINDOW_S, user, {}, facts())
    assert isinstance(step, Change)
    return step


def test_a_connection_that_ended_before_it_began_never_begins() -> None:
    after = stamped(record_of(ends(None, C1, 30)), CHANGED_AT)
    assert not after.is_reachable
    assert opens(asked(FIRST, 30), after) == Change(SessionGone(replaced=False))
    assert opens(asked(opening("alice", number=0), 30), after) == Change(Outdated(READ_AT))


def test_nor_does_it_while_another_one_is_there() -> None:
    step = ends(ONLINE, ConnectionId("alice-c2"), CHANGED_AT)
    assert step.effects == ()
    after = stamped(record_of(step), READ_AT)
    late = asked(opening("alice", number=2), CHANGED_AT)
    assert opens(late, after) == Change(Outdated(READ_AT))


def test_the_end_of_one_that_was_replaced_changes_nothing() -> None:
    assert ends(ONLINE, ConnectionId("alice-c0"), CHANGED_AT - 1) == Change(Done())


def test_the_end_of_an_older_gateway_s_unknown_user_is_not_kept() -> None:
    assert ends(None, C1, 0) == Change(Done())


@pytest.mark.parametrize("resumable", [True, False])
def test_an_end_is_remembered_whatever_it_means(resumable: bool) -> None:
    assert record_of(ends(ONLINE, C1, CHANGED_AT, resumable=resumable)).session.left


def test_what_waits_to_be_resumed_is_not_ended_by_a_late_answer() -> None:
    """The gateway undoes a beginning that it hears of after the connection has ended."""
    assert ends(left(away(ONLINE)), C1, CHANGED_AT, resumable=False) == Change(Done())


def test_an_end_after_the_gateway_was_taken_for_dead_is_remembered() -> None:
    step = ends(away(ONLINE), C1, CHANGED_AT)
    assert record_of(step).session.left
    assert step.timer is not None
    assert ends(left(away(ONLINE)), C1, CHANGED_AT).record is None
    assert record_of(ends(ended(ONLINE), C1, CHANGED_AT)).session.left
    assert ends(left(ended(ONLINE)), C1, CHANGED_AT) == Change(Done())


JOIN = JoinRoom(ALICE, S1, CELLAR, connection=C1, number=3)
LEAVE = LeaveRoom(ALICE, S1, HALL, connection=C1, number=3)
REGRANT = Regrant(ALICE, S1, True, (CELLAR,), (), connection=C1, number=3)


def carries_out(ask: JoinRoom | LeaveRoom | Regrant, user: User | None) -> Step[User]:
    """Decide on what a connection asks, after preparing what that wants."""
    known = facts()
    if isinstance(ask, LeaveRoom):
        return room.leave(ask, user, {}, known)
    if isinstance(ask, Regrant):
        return session.regrant(ask, user, {}, known)
    step = room.join(ask, user, {}, known)
    if not isinstance(step, Prepare):
        return step
    return room.join(ask, user, {}, prepared(step))


EACH = pytest.mark.parametrize("ask", [JOIN, LEAVE, REGRANT], ids=["join", "leave", "regrant"])


def test_a_join_from_before_the_user_was_put_out_does_nothing() -> None:
    put_out = stamped(record_of(moderation.put_out(CELLAR, ONLINE, {}, facts())), READ_AT)
    assert put_out.session.put_out_at == READ_AT
    late = msgspec.structs.replace(JOIN, asked=READ_AT - 1)
    assert reply_to(carries_out(late, put_out)) == Outdated(READ_AT)
    assert CELLAR in record_of(carries_out(msgspec.structs.replace(late, asked=READ_AT), put_out)).rooms
    assert CELLAR in record_of(carries_out(JOIN, put_out)).rooms, "an older gateway does not say"
    assert stamped(put_out, READ_AT + 5) is put_out


@EACH
def test_what_a_later_request_has_overtaken_does_nothing(ask: JoinRoom | LeaveRoom | Regrant) -> None:
    assert carries_out(ask, with_number(ONLINE, 4)) == Change(Outdated())


@EACH
def test_what_is_carried_out_has_its_number_remembered(ask: JoinRoom | LeaveRoom | Regrant) -> None:
    assert record_of(carries_out(ask, ONLINE)).session.number == 3


@EACH
def test_another_connection_has_asked_later(ask: JoinRoom | LeaveRoom | Regrant) -> None:
    other = msgspec.structs.replace(ask, connection=ConnectionId("alice-c0"))
    assert carries_out(other, ONLINE) == Change(SessionGone(replaced=True))


@EACH
def test_what_comes_after_the_end_does_nothing(ask: JoinRoom | LeaveRoom | Regrant) -> None:
    assert carries_out(ask, left(away(ONLINE))) == Change(SessionGone(replaced=False))


@EACH
def test_an_older_gateway_s_requests_are_taken_as_they_come(ask: JoinRoom | LeaveRoom | Regrant) -> None:
    plain = msgspec.structs.replace(ask, connection=ConnectionId(""), number=0)
    assert record_of(carries_out(plain, with_number(left(ONLINE), 4))).session.number == 4


@EACH
def test_for_a_named_connection_only_its_own_gateway_asks(ask: JoinRoom | LeaveRoom | Regrant) -> None:
    named = with_session(ONLINE, msgspec.structs.replace(ONLINE.session, is_named=True))
    assert record_of(carries_out(ask, named)).session.number == 3
    for another in (ConnectionId(""), ConnectionId("alice-c0")):
        step = carries_out(msgspec.structs.replace(ask, connection=another), named)
        assert step == Change(SessionGone(replaced=True))


def test_what_changes_nothing_is_remembered_if_a_copy_may_follow() -> None:
    idle = LeaveRoom(ALICE, S1, CELLAR, connection=C1, number=1)
    assert record_of(carries_out(idle, ONLINE)).session.number == 1
    assert carries_out(idle, with_number(ONLINE, 1)) == Change(Done())


def test_nothing_more_is_told_to_a_connection_that_has_ended() -> None:
    tell = Tell(ALICE, C1, b"event")
    step = session.tell(tell, left(away(ONLINE)), {}, facts())
    assert step == Change(SessionGone(replaced=True))


def registers(user: User | None, *, at: int = READ_AT, number: int = 3, lease: bool = True) -> Step[User]:
    """Decide on a session that its gateway says it has."""
    ask = msgspec.structs.replace(registering(FIRST, {"hall": NOW}), asked=at, number=number)
    step = session.register(ask, user, {}, facts(has_lease=lease))
    if isinstance(step, Prepare):
        ready = prepared(step)
        known = facts()._replace(prepared=ready.prepared, note=ready.note, entries=ready.entries)
        return session.register(ask, user, {}, known)
    return step


@pytest.mark.parametrize(
    "user", [None, ONLINE, away(ONLINE), ended(ONLINE)], ids=["unknown", "online", "away", "offline"]
)
def test_a_registration_is_written_with_its_number(user: User | None) -> None:
    after = record_of(registers(user))
    assert after.session.number == 3
    assert after.session.status == "online"


@pytest.mark.parametrize("user", [ONLINE, away(ONLINE), ended(ONLINE)], ids=["online", "away", "offline"])
def test_a_late_registration_brings_nobody_back(user: User) -> None:
    assert registers(left(user)) == Change(SessionGone(replaced=False))
    assert registers(with_number(user, 4)) == Change(Outdated(READ_AT))
    assert registers(user, lease=False) == Change(Outdated())


def test_nor_does_it_when_nothing_is_known_of_the_user() -> None:
    assert registers(None, at=LEASED_AT - 1) == Change(Outdated(LEASED_AT))


@pytest.mark.parametrize(("revision", "is_looked_after"), [(60, False), (59, True)])
def test_a_gateway_that_has_its_lease_again_keeps_its_sessions(revision: int, is_looked_after: bool) -> None:
    known = Facts(NOW, read={Keys.lease_timer(G1): (b"run", revision)})
    address = ONLINE.address(ALICE)
    step = session.orphan(address, G1, WINDOW_S, ONLINE, {}, known, ran_out=59)
    assert isinstance(step, Change)
    assert (step.record is not None) == is_looked_after


@pytest.mark.parametrize(("last", "status"), [(70, "offline"), (71, "away"), (0, "away")])
def test_a_timer_that_was_set_anew_since_does_nothing(last: int, status: str) -> None:
    user = away(ONLINE)
    known = Facts(NOW, read={Keys.away_timer(ALICE, C1): (b"", last)} if last else {})
    step = session.give_up(ALICE, C1, user, {}, known, expired=70)
    assert isinstance(step, Change)
    assert (step.record or user).session.status == status


def test_what_a_connection_used_up_counts_once_however_late() -> None:
    user, charged = ONLINE, []
    connections = [ConnectionId(f"c{n}") for n in range(session.MOST_REMEMBERED + 1)]
    for connection in (*connections, connections[0]):
        ask = EndSession(ALICE, connection, True, 1.0, 1.0)
        step = session.lose_connection(ask, WINDOW_S, user, {}, facts())
        assert isinstance(step, Change)
        charged.append(step.record is not None)
        user = step.record or user
    assert charged == [True] * len(connections) + [False]


def test_a_member_s_rooms_stay_when_another_copy_is_refused() -> None:
    before = msgspec.structs.replace(ONLINE, rooms={HALL: Membership(NOW, 1)})
    step = carries_out(msgspec.structs.replace(LEAVE, number=2), with_number(before, 3))
    assert isinstance(step, Change)
    assert step.record is None
