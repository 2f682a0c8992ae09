"""Users' records as the rules make them: what the tests of the rules begin with."""

from collections.abc import Iterable, Mapping

import msgspec

from presence.rules import room as room_rules
from presence.rules import session as session_rules
from presence.rules.change import Change, Facts, Prepare, Step
from presence.rules.negotiated import Negotiation
from presence.rules.user import Membership, Session, User, with_session
from tests.unit.presence.rules.frames import NOW
from tieline.wire.ids import ConnectionId, GatewayId, RoomId, SecretHash, SessionId, UserId
from tieline.wire.internal.answers import Done
from tieline.wire.internal.rooms import JoinRoom, LeaveRoom
from tieline.wire.internal.sessions import EndSession, OpenSession

WINDOW_S = 30.0

NOTE = 101
"""The revision of every note that is made here."""

FIRST_ENTRY = 11
"""The revision of the first of several roster entries; the others follow."""


def online(session: SessionId, rooms: Iterable[RoomId] = (), *, voice: bool = True) -> User:
    """A user whose session is online in these rooms."""
    connection = ConnectionId(f"connection of {session}")
    live = Session(session, GatewayId("g"), connection, SecretHash(b""), "online", 1)
    return User((live,), voice, {room: Membership(NOW, 2) for room in rooms})


def followed(
    step: Step[Negotiation], pair: Negotiation | None, users: Mapping[UserId, User], facts: Facts
) -> tuple[Change[Negotiation], Negotiation | None]:
    """Let what is left of an older session's call end; returns the verdict on a signal, and the pair then."""
    assert isinstance(step, Change), step
    while isinstance(step.reply, Done):
        pair = pair if step.record is None else step.record
        assert step.then is not None
        step = step.then(pair, users, facts)
        assert isinstance(step, Change), step
    return step, pair


def record_of(step: Step[User]) -> User:
    """Find that a rule changes the record, and how."""
    assert isinstance(step, Change), step
    assert step.record is not None, step
    return step.record


def prepared(wanted: Step[User], now: int = NOW, full: Iterable[RoomId] = ()) -> Facts:
    """Prepare what a rule wants; rooms that are full are not entered."""
    assert isinstance(wanted, Prepare), wanted
    entries = {room: FIRST_ENTRY + place for place, room in enumerate(wanted.rooms) if room not in full}
    return Facts(now, wanted, NOTE if wanted.note_of is not None else 0, entries)


def began(ask: OpenSession, user: User | None = None, now: int = NOW) -> User:
    """Begin a session in the rooms it asks for, none of which is full."""
    wanted = session_rules.open_session(ask, user, {}, Facts(now))
    return record_of(session_rules.open_session(ask, user, {}, prepared(wanted, now)))


def resumed(ask: OpenSession, user: User, now: int = NOW) -> User:
    """Resume a session."""
    renews = user.session.gateway == ask.gateway
    facts = Facts(now, Prepare(user.session.id, ask.gateway, renews_note=renews), NOTE)
    return record_of(session_rules.open_session(ask, user, {}, facts))


def away(user: User) -> User:
    """Let a session lose its connection; it can be resumed."""
    session = user.session
    if not session.secret:
        user = with_session(user, msgspec.structs.replace(session, secret=SecretHash(b"secret")))
    ask = EndSession(UserId("x"), session.connection, resumable=True)
    return record_of(session_rules.lose_connection(ask, WINDOW_S, user, {}, Facts(NOW)))


def ended(user: User) -> User:
    """End a session."""
    ask = EndSession(UserId("x"), user.session.connection, resumable=False)
    return record_of(session_rules.lose_connection(ask, WINDOW_S, user, {}, Facts(NOW)))


def joined(user: User, room: RoomId, now: int = NOW) -> User:
    """Join a room that is not full, or be in it already."""
    if room in user.rooms:
        return user
    ask = JoinRoom(UserId("x"), user.session.id, room)
    facts = Facts(now, Prepare(user.session.id, rooms=(room,)), entries={room: 2})
    return record_of(room_rules.join(ask, user, {}, facts))


def left(user: User, room: RoomId) -> User:
    """Leave a room, or be in it no more."""
    if room not in user.rooms:
        return user
    ask = LeaveRoom(UserId("x"), user.session.id, room)
    return record_of(room_rules.leave(ask, user, {}, Facts(NOW)))
