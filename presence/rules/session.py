r"""A session's life: how it begins, is resumed, loses its connection, and ends. Pure.

                 open, register                      end, give_up, orphan, a newer session
        (none) ------------------> online -----------------------------------+
                                   |   ^  \                                  v
                lose, orphan       |   |   +-- open: resumed elsewhere    offline --(retention)--> (none)
                                   v   |       regrant: other rights         ^   |
                                   away ----------------------------------->-+   | open: a new session
                                       open: resumed; register                   v register: the same again
                                                                              online

One session of a user lives at a time: a newer one ends it (docs/decisions/0062). A client that knows the
secret of the live session takes it over, with its rooms and negotiations, on another connection. Each
function here decides one request on the record of its user; nothing else changes a session. What the others
are told of it are effects in the record.
"""

import functools
import hmac
from collections.abc import Collection, Iterable, Mapping
from typing import Final

import msgspec

from presence.rules.change import Change, Facts, Prepare, Step, Timer
from presence.rules.effects import (
    Changed,
    CloseConnection,
    Deliver,
    EndCalls,
    EndCallsWithoutRoom,
    MemberWent,
    RemoveNote,
    SessionBegan,
    SessionEnded,
    StatusChanged,
    UserEffect,
)
from presence.rules.order import has_lease, in_order, may_yet_begin, opening_is_late, registering_is_late
from presence.rules.user import Membership, Owed, Session, User, gone, may_be_resumed_by, with_session
from tieline.wire.codes import CloseCode
from tieline.wire.ids import (
    Address,
    ConnectionId,
    GatewayId,
    RoomId,
    SecretHash,
    SessionId,
    UserId,
    is_valid_id,
)
from tieline.wire.internal.answers import Done, SessionGone
from tieline.wire.internal.sessions import EndSession, Opened, OpenSession, Register, Regrant, Tell
from tieline.wire.subjects import Keys

Beside = Mapping[UserId, User]

MOST_OWED_MS: Final = 60_000
"""What a user can owe at most: what gateways say must not keep a user silent for longer than that."""

MOST_REMEMBERED: Final = 16
"""Connections that have told what was used up on them before the last one: a late copy comes after fewer."""

LONGEST_S: Final = 86_400.0
"""What one connection can have used up at most, in seconds of a budget: a day's, which is as good as more."""

MIN_TIMER_S: Final = 1.0
"""The shortest time that NATS can set a timer for."""

OLD_CALLS_S: Final = 5.0
"""After so long another process looks whether calls of an older session are left: hundreds end within a
second, unless the process that is at it has died."""


def within_limit(ask: OpenSession, max_rooms: int) -> OpenSession:
    """Ask for as many rooms at most as a user may be in; `max_rooms` 0: for all."""
    join = tuple(dict.fromkeys(ask.join))
    join = join[:max_rooms] if max_rooms else join
    return ask if join == ask.join else msgspec.structs.replace(ask, join=join)


def open_session(ask: OpenSession, user: User | None, beside: Beside, facts: Facts) -> Step[User]:
    """Resume the session whose secret the client knows, or begin one; the user's older one ends first.

    Who wants to resume an older session than the one that lives is told so: it replaces nobody.
    """
    if user is not None and user.session.connection == ask.connection:
        is_here = user.is_reachable and not user.session.left
        return Change(_opened(ask, user, facts) if is_here else gone(user))  # a retry: it is done
    if user is not None and user.session.taken_from == ask.connection:
        return Change(gone(user))  # a retry so late that the session has gone on elsewhere
    late = opening_is_late(ask, user, facts)
    if late is not None:
        return Change(late)
    if user is None or not user.is_reachable:
        return _begin(ask, user, beside, facts)
    if may_be_resumed_by(user, ask.resume):
        return _resume(ask, user, facts)
    if 0 < ask.resume_asked < user.session.began and not _was_begun_for(user.session, ask.resume):
        return Change(SessionGone(replaced=True))
    close = closing(ask.user, user.session, CloseCode.REPLACED)
    ending = end(ask.user, user, facts, close)
    assert ending.record is not None  # it is how the session ends
    go_on = functools.partial(_go_on, ask, ending.record.session)
    return msgspec.structs.replace(ending, then=go_on)


def _was_begun_for(session: Session, secret: SecretHash) -> bool:
    """Whether a session was begun because this very one could not be resumed.

    Its client may not have heard of that: it is no older device.
    """
    return hmac.compare_digest(session.instead_of, secret)


def _go_on(ask: OpenSession, ended: Session, user: User | None, beside: Beside, facts: Facts) -> Step[User]:
    """Begin a session when the older one has ended, unless something else has come in between."""
    if user is not None and user.session == ended:
        return _begin(ask, user, beside, facts)
    return open_session(ask, user, beside, facts)


def _begin(ask: OpenSession, user: User | None, _beside: Beside, facts: Facts) -> Step[User]:
    wanted = Prepare(ask.session, ask.gateway, tuple(dict.fromkeys(ask.join)), hears=ask.hears)
    if facts.prepared != wanted:
        return wanted
    begun = _begun(ask, {}, facts, user)
    left = None if user is None else next((one for one in user.pending if isinstance(one, EndCalls)), None)
    timer = None
    if user is not None and left is not None:  # the older session has too many for its user to wait
        begun = msgspec.structs.replace(begun, ending=left)
        timer = Timer(Keys.away_timer(ask.user, user.session.connection), OLD_CALLS_S)
    return Change(_opened(ask, begun, facts), begun, _told_of_beginning(ask.user, begun, facts), timer)


def calls_are_ended(ending: EndCalls, user: User | None, _beside: Beside, _facts: Facts) -> Step[User]:
    """Forget that calls of an older session may be left."""
    if user is None or user.ending != ending:
        return Change(Done())
    return Change(Done(), msgspec.structs.replace(user, pending=(), ending=None))


def register(ask: Register, user: User | None, _beside: Beside, facts: Facts) -> Step[User]:
    """Restore a session that its gateway still has, and presence may have forgotten or ended."""
    if user is not None and user.session.is_nobodys:
        user = None  # the backend has decided about its user meanwhile, and has found no record
    if user is not None and (user.session.id != ask.session or user.session.connection != ask.connection):
        return Change(SessionGone(replaced=True))
    late = registering_is_late(ask, user, facts)
    if late is not None:
        return Change(late)
    if user is None or not user.is_reachable:
        wanted = Prepare(ask.session, ask.gateway, tuple(ask.rooms), hears=ask.hears)
        if facts.prepared != wanted:
            return wanted
        begun = _begun(ask, ask.rooms, facts, user, 0 if user is None else user.session.status_changes + 1)
        return Change(Done(), begun, _told_of_beginning(ask.user, begun, facts))
    wanted = Prepare(ask.session, ask.gateway, renews_note=True)
    if not user.session.note and facts.prepared != wanted:
        return wanted
    note = user.session.note or facts.note
    if user.session.status == "away":
        online = _online(user, ask, note)
        numbered = msgspec.structs.replace(online.session, number=ask.number)
        return Change(
            Done(), with_session(online, numbered), (Changed(ask.user), StatusChanged(at=facts.now))
        )
    if user.session.note and not ask.asked:
        return Change(Done(), said=(Changed(ask.user),))
    # It is written even if it says what it did: who is about to end the session must find it changed.
    noted = msgspec.structs.replace(user.session, note=note, number=ask.number)
    return Change(Done(), with_session(user, noted), (Changed(ask.user),))


def lose_connection(
    ask: EndSession, resume_window_s: float, user: User | None, _beside: Beside, facts: Facts
) -> Step[User]:
    """Let a session whose connection is lost be away, if it can be resumed, or end it.

    Whatever else was asked for the connection changes nothing from now on, its beginning included.
    """
    if user is None:
        return Change(Done(), _never_begun(ask) if may_yet_begin(ask, user) else None)
    owing = _owing(ask, user, facts)
    session = owing.session
    if session.connection != ask.connection:
        if may_yet_begin(ask, user):
            owing = with_session(owing, msgspec.structs.replace(session, fence=0))
        return Change(Done(), None if owing is user else owing)
    was_left = session.left
    lost_at = (was_left and _lost_before(user)) or facts.now - _ms(ask.lost_for_s)
    if not was_left and ask.asked:
        since = lost_at if session.status == "away" else session.lost_at
        owing = with_session(owing, msgspec.structs.replace(session, left=True, lost_at=since))
    if not user.is_reachable or (was_left and not ask.resumable):
        # It is over; or it waits to be resumed, and a late answer to its beginning is undone, which is done.
        return Change(Done(), None if owing is user else owing)
    if not (ask.resumable and user.session.secret):
        return end(ask.user, owing, facts)
    away = _away(ask.user, owing, resume_window_s, facts.now, lost_at)
    if away.record is None and owing is not user:  # its gateway was taken for dead, and has come back
        return msgspec.structs.replace(away, record=owing)
    return away


def orphan(
    asked: Address,
    gateway: GatewayId,
    resume_window_s: float,
    user: User | None,
    _beside: Beside,
    facts: Facts,
    ran_out: int = 0,
) -> Step[User]:
    """Let a session whose gateway has died be away, if it can be resumed, or end it.

    `ran_out` is the revision with which the gateway's lease had run out.
    """
    if user is None or user.session.id != asked.session or user.session.gateway != gateway:
        return Change(gone(user))  # it lives elsewhere, or never began
    if not user.session.note:
        return Change(gone(user))  # it has ended, or was looked after before
    if has_lease(gateway, facts, since=ran_out):
        return Change(Done())  # it was only silent, and has said so meanwhile
    unnoted = with_session(user, msgspec.structs.replace(user.session, note=0))
    if user.session.secret:
        lost_at = _lost_before(user) or facts.now
        change = _away(asked.user, unnoted, resume_window_s, facts.now, lost_at)
    else:
        close = closing(asked.user, user.session, CloseCode.BROKER_LOST)
        change = end(asked.user, unnoted, facts, close)
    note = RemoveNote(user.session.id, gateway, user.session.note, last=True)
    return msgspec.structs.replace(change, record=change.record or unnoted, effects=(*change.effects, note))


def give_up(
    asked: UserId,
    connection: ConnectionId,
    user: User | None,
    _beside: Beside,
    facts: Facts,
    expired: int = 0,
) -> Step[User]:
    """End a session that was not resumed within its window after this connection of it was lost.

    `expired` is the revision of the marker that the timer has left. While that is not the last word of the
    timer, the same connection was lost once more, and the timer set anew.
    """
    if user is None or user.session.connection != connection or user.session.status != "away":
        return Change(Done())
    _, last = facts.read.get(Keys.away_timer(asked, connection), (b"", 0))
    if expired and last != expired:
        return Change(Done())
    return end(asked, user, facts)


@in_order
def regrant(ask: Regrant, user: User, facts: Facts) -> Step[User]:
    """Let a session have what its newer token grants, and nothing else; and be seen as it wants to be."""
    kept, effects = _kicked(user, ask.granted, facts, tell_user=True)
    is_in_call = user.session.in_call if ask.in_call is None else ask.in_call
    session = msgspec.structs.replace(user.session, in_call=is_in_call)
    granted = msgspec.structs.replace(user, voice=ask.voice, rooms=kept, pending=())
    changed = with_session(granted, session)
    if changed == msgspec.structs.replace(user, pending=()):
        return Change(Done())
    told: tuple[UserEffect, ...] = (Changed(ask.user), *effects) if effects else ()
    if (user.voice, user.session.in_call) != (ask.voice, is_in_call) and kept:
        told = (*told, StatusChanged(is_silent=True, at=facts.now))
    return Change(Done(), changed, told)


def tell(ask: Tell, user: User | None, _beside: Beside, _facts: Facts) -> Step[User]:
    """Send a client what its gateway has to say, if the connection still has the session."""
    if user is None or user.session.connection != ask.connection or user.session.left:
        return Change(gone(user))
    return Change(Done(), said=(Deliver(user.address(ask.user), ask.frame),))


def replaced(
    connections: Iterable[tuple[UserId, ConnectionId]], users: Mapping[UserId, User]
) -> tuple[tuple[UserId, ConnectionId], ...]:
    """List the connections whose users have another one by now."""
    return tuple(
        (user, connection)
        for user, connection in connections
        if user in users and users[user].session.connection != connection
    )


def _opened(ask: OpenSession, user: User, facts: Facts) -> Opened:
    # A session of version 0.1 may be in a room whose id no gateway takes any more, nor an answer with it.
    rooms = {room: membership.since for room, membership in user.rooms.items() if is_valid_id(room)}
    owed_ms = 0 if user.owed is None else max(0, user.owed.until - facts.now)
    opened = Opened(
        user.session.id,
        user.session.id != ask.session,
        rooms,
        owed_ms / 1000,
        lost_at=user.session.lost_at,
        in_call=user.session.in_call,
    )
    if not ask.asked:
        return opened
    return msgspec.structs.replace(opened, user=ask.user, asked=ask.session)


def _never_begun(ask: EndSession) -> User:
    """Remember, for as long as users who are gone, that a connection ended before it began."""
    none = Session(
        SessionId(""), GatewayId(""), ask.connection, SecretHash(b""), "offline", fence=0, left=True
    )
    return User((none,), voice=False, rooms={})


def _owing(ask: EndSession, user: User, facts: Facts) -> User:
    """Add what a connection has used up to what its user owes, once.

    Each charge moves the moment at which a budget is full to the later of that moment and now, and on. Of all
    charges of a connection together that leaves two numbers, whatever was owed before.
    """
    owed = user.owed
    if not ask.spent_s > 0 or (owed is not None and owed.has_told(ask.connection)):
        return user
    until = facts.now + _ms(ask.owed_s)
    if owed is not None:
        until = max(until, owed.until + _ms(ask.spent_s))
    before = () if owed is None else (*owed.told_before, owed.told_by)[-MOST_REMEMBERED:]
    owes = Owed(min(until, facts.now + MOST_OWED_MS), ask.connection, before)
    return msgspec.structs.replace(user, pending=(), owed=owes)


def _ms(seconds: float) -> int:
    return int(min(max(seconds, 0.0), LONGEST_S) * 1000)


def _begun(
    ask: OpenSession | Register,
    since: Mapping[RoomId, int],
    facts: Facts,
    before: User | None,
    status_changes: int = 0,
) -> User:
    """Begin a session in the rooms that are not full, in which it is since the times given, or now."""
    session = Session(
        ask.session,
        ask.gateway,
        ask.connection,
        ask.secret,
        "online",
        facts.note,
        status_changes,
        hears=ask.hears,
        is_named=ask.names_connection,
        number=ask.number if isinstance(ask, Register) else 0,
        instead_of=ask.resume if isinstance(ask, OpenSession) else SecretHash(b""),
        began=facts.note if ask.secret else _asked_to_begin(ask),
        tells=ask.tells,
        in_call=ask.in_call if isinstance(ask, Register) else False,
    )
    rooms = {room: Membership(since.get(room, facts.now), entry) for room, entry in facts.entries.items()}
    if before is None:
        return User((session,), ask.voice, rooms)
    return User((session,), ask.voice, rooms, owed=before.owed, ending=before.ending)


def _asked_to_begin(ask: OpenSession | Register) -> int:
    """Say what the token of a session says that cannot be resumed: nothing else tells it from an older one's.

    Its client may name it all the same, and is no older device then. 0: that is not known any more.
    """
    return ask.asked if isinstance(ask, OpenSession) else 0


def _told_of_beginning(asked: UserId, begun: User, facts: Facts) -> tuple[UserEffect, ...]:
    return (Changed(asked), SessionBegan(facts.now)) if begun.rooms else (Changed(asked),)


def _resume(ask: OpenSession, user: User, facts: Facts) -> Step[User]:
    """Go on with another connection, and with what its token grants."""
    session, moves = user.session, user.session.gateway != ask.gateway
    is_noted = bool(session.note) and not moves
    entered_anew = tuple(user.rooms) if session.hears != ask.hears else ()
    wanted = Prepare(session.id, ask.gateway, entered_anew, renews_note=not moves, hears=ask.hears)
    if (entered_anew or not is_noted) and facts.prepared != wanted:
        return wanted
    note = session.note if is_noted else facts.note
    kept, kicked = _kicked(user, ask.granted, facts)
    online = _online(msgspec.structs.replace(user, rooms=kept), ask, note)
    taken = msgspec.structs.replace(
        online.session,
        taken_from=session.connection,
        fence=0,
        number=0,
        left=False,
        lost_at=_lost_before(user),
    )
    resumed = with_session(online, taken)
    effects: list[UserEffect] = []
    if session.status == "online":
        effects.append(closing(ask.user, session, CloseCode.REPLACED))
    if moves:
        effects += _remove_note(session)
    effects += (Changed(ask.user), *kicked)
    if session.status == "away":
        effects.append(StatusChanged(at=facts.now))
    elif user.voice != ask.voice and kept:
        effects.append(StatusChanged(is_silent=True, at=facts.now))
    return Change(_opened(ask, resumed, facts), resumed, tuple(effects))


def _online(user: User, ask: OpenSession | Register, note: int) -> User:
    """Let a session be online on the connection that asks, with what its token grants."""
    session = msgspec.structs.replace(
        user.session,
        gateway=ask.gateway,
        connection=ask.connection,
        status="online",
        note=note,
        status_changes=user.session.status_changes + 1,
        hears=ask.hears,
        is_named=ask.names_connection,
        tells=ask.tells,
    )
    return msgspec.structs.replace(with_session(user, session), voice=ask.voice)


def _lost_before(user: User) -> int:
    """Say when a session was lost that is away already; 0: it is not, or an older process has not said."""
    return user.session.lost_at if user.session.status == "away" else 0


def _away(asked: UserId, user: User, resume_window_s: float, now: int, lost_at: int) -> Change[User]:
    """Let a session wait to be resumed, whose connection was lost at that time.

    Again: only the timer is set once more, so that the session waits no longer for that.
    """
    session = user.session
    timer_s = max(MIN_TIMER_S, resume_window_s - max(0, now - lost_at) / 1000)
    timer = Timer(Keys.away_timer(asked, session.connection), timer_s)
    if session.status == "away":
        return Change(Done(), timer=timer)
    changes = session.status_changes + 1
    waiting = msgspec.structs.replace(session, status="away", status_changes=changes, lost_at=lost_at)
    return Change(Done(), with_session(user, waiting), (StatusChanged(at=now),), timer)


def end(asked: UserId, user: User, facts: Facts, *first: UserEffect) -> Change[User]:
    """End the session; its rooms stay, as the memory of where the user was."""
    session = user.session
    ended = with_session(user, msgspec.structs.replace(session, status="offline", note=0))
    effects = (
        *first,
        Changed(asked),
        EndCalls(session.id, facts.now),
        SessionEnded(session.id, facts.now),
        *_remove_note(session),
    )
    return Change(Done(), ended, effects)


def _kicked(
    user: User,
    granted: tuple[RoomId, ...] | None,
    facts: Facts,
    *,
    tell_user: bool = False,
) -> tuple[dict[RoomId, Membership], tuple[UserEffect, ...]]:
    """Separate the rooms that a token grants from the others; returns those, and what losing these means."""
    lost = () if granted is None else [room for room in user.rooms if room not in granted]
    return put_out(user, lost, facts, tell_user=tell_user)


def put_out(
    user: User, rooms: Collection[RoomId], facts: Facts, *, tell_user: bool = False
) -> tuple[dict[RoomId, Membership], tuple[UserEffect, ...]]:
    """Put a session out of rooms that it is in; returns those that are left, and what losing these means."""
    lost = {room: user.rooms[room] for room in user.rooms if room in rooms}
    if not lost:
        return user.rooms, ()
    cause = f"left-{min(member.entry for member in lost.values())}"
    went = (
        MemberWent(room, user.session.id, member.entry, "kicked", facts.now, tell_user)
        for room, member in lost.items()
    )
    kept = {room: member for room, member in user.rooms.items() if room not in lost}
    return kept, (EndCallsWithoutRoom("kicked", cause, facts.now, tell_user), *went)


def closing(asked: UserId, session: Session, code: CloseCode) -> CloseConnection:
    """Close the connection of a session that ends."""
    return CloseConnection(asked, session.id, session.gateway, session.connection, int(code))


def _remove_note(session: Session) -> tuple[RemoveNote, ...]:
    return (RemoveNote(session.id, session.gateway, session.note),) if session.note else ()
