"""A user's record: the session, the rooms, and what is still to be told of its last change. Pure.

Times are Unix milliseconds. How a session changes is in `session`, how a membership does in `room`; the
user's place in a room's roster is a record of its own, `RosterEntry`.
"""

import hmac
from typing import Annotated, Final, Literal

import msgspec

from presence.rules.effects import EndCalls, UserEffect
from presence.rules.fact import MemberFact
from tieline.wire.ids import Address, ConnectionId, GatewayId, RoomId, SecretHash, SessionId, UserId
from tieline.wire.internal.answers import SessionGone


class Grant(msgspec.Struct, frozen=True, array_like=True):
    """What the token of a session entitles to, as presence itself has read it."""

    until: int
    """When the token ends."""
    rooms: tuple[RoomId, ...] | None
    """What may be joined; None: any room."""


THIS_WRITE: Final = -1
"""Stands for the revision of a record that is about to be written."""


class Session(msgspec.Struct, frozen=True, array_like=True):
    """One session of a user: the one that lives, or the last one that did."""

    id: SessionId
    gateway: GatewayId
    connection: ConnectionId
    """The connection that has the session, or had it last."""
    secret: SecretHash
    """A client that knows this may resume the session; empty: it ends with its connection."""
    status: Literal["online", "away", "offline"]
    note: int = 0
    """The revision of the note by which the session is found when its gateway dies; 0: there is none."""
    status_changes: int = 0
    """How often the session went away or came back, which tells one MEMBER_UPDATED from the next."""
    taken_from: ConnectionId | None = None
    """The connection from which the session was resumed last."""
    hears: bool = False
    """Its gateway hears the logs of rooms, and its roster entries say so."""
    is_named: bool = False
    """Its gateway names the connection in all that it asks for the session: what names none is another's."""
    fence: int = 0
    """The revision of the record with which the user's connection changed last: an opening that was asked
    before comes too late. 0: that of this very write (`stamped`)."""
    number: int = 0
    """The highest number of what its connection asked and is carried out: a lower one comes too late."""
    left: bool = False
    """Its gateway has said that the connection has ended: whatever else that asked comes too late."""
    instead_of: SecretHash = SecretHash(b"")
    """The secret of the session that its client wanted to resume, and could not."""
    began: int = 0
    """A revision from when it began: a session that was asked to begin before is older. 0: unknown."""
    lost_at: int = 0
    """When its connection was lost, or that from which it was resumed last. 0: that one was not lost, as far
    as was known; or the session has never been away."""
    grant: Grant | None = None
    """None: presence takes its gateway's word."""
    tells: bool = False
    """Its client says when it rings, and takes WEBRTC_INFO (`OpenSession.tells`)."""
    voice_by_token: bool | None = None
    """Whether its token lets it start calls, where the backend does not; None: what the record says is so."""
    in_call: bool = False
    """Its client wants it to be seen that the user is in a call."""
    put_out_at: int = 0
    """The revision of the record with which the backend put the user out of a room last: a JOIN that was
    asked before comes too late. 0: it has not. `THIS_WRITE`: that of this very write."""

    @property
    def is_reachable(self) -> bool:
        """Whether messages to the session are delivered or kept."""
        return self.status != "offline"

    @property
    def is_nobodys(self) -> bool:
        """Whether it stands for that there is none (`NOBODY`)."""
        return not self.id and not self.connection

    @property
    def begun_at(self) -> int:
        """A revision from when it began; 0: unknown. What nobody has changed since is of an older session."""
        return self.began if self.secret else self.fence


class Membership(msgspec.Struct, frozen=True, array_like=True):
    """That a user is in a room."""

    since: int
    entry: int
    """The revision of the roster entry with which the membership began."""


class Owed(msgspec.Struct, frozen=True, array_like=True):
    """What a user has used up of its budget; nothing once that moment has come."""

    until: int
    """The Unix millisecond at which its budget is full again."""
    told_by: ConnectionId
    """The connection that told of it last, so that a retry adds nothing."""
    told_before: tuple[ConnectionId, ...] = ()
    """Those that told before it, the newest last, so that late copies add nothing either."""

    def has_told(self, connection: ConnectionId) -> bool:
        """Whether a connection has told what was used up on it."""
        return connection == self.told_by or connection in self.told_before


class User(msgspec.Struct, frozen=True, array_like=True):
    """A user's record. An offline user keeps its rooms, to tell "offline" from "in another room"."""

    sessions: Annotated[tuple[Session, ...], msgspec.Meta(min_length=1)]
    """One for now, and never none."""
    voice: bool
    """Whether the user may send WEBRTC_OFFER."""
    rooms: dict[RoomId, Membership]
    pending: tuple[UserEffect, ...] = ()
    """What the last change of this record means for others, until it is known to be carried out."""
    owed: Owed | None = None
    """What the user owes to the budgets that gateways keep, wherever it connects next."""
    ending: EndCalls | None = None
    """The older session of which calls may be left that nobody has ended yet (`presence.old_calls`)."""
    facts: tuple[MemberFact, ...] = ()
    """What the stream of events is not known to have (`presence.rules.facts`)."""

    @property
    def session(self) -> Session:
        """The session that lives, or the last one."""
        return self.sessions[0]

    @property
    def is_reachable(self) -> bool:
        """Whether messages to the user are delivered or kept."""
        return self.session.is_reachable

    def has_live(self, session: SessionId) -> bool:
        """Whether this very session is the user's live one."""
        return self.session.id == session and self.is_reachable

    def address(self, user: UserId) -> Address:
        """Where messages to this user, whose name is `user`, go now."""
        return Address(user, self.session.id)


NOBODY: Final = User(
    (
        Session(
            SessionId(""), GatewayId(""), ConnectionId(""), SecretHash(b""), "offline", fence=0, left=True
        ),
    ),
    voice=False,
    rooms={},
)
"""Stands for a user who has no record, so that a session that is just about to begin finds one."""

NOBODYS: Final = SessionId("nobodys")
"""Stands for the session of a user who has none, where others are told of one: they take no empty name."""


class RosterEntry(msgspec.Struct, frozen=True, array_like=True):
    """A user's place in a room's roster: an index; the user's record is the truth."""

    session: SessionId
    at: int
    hears: bool = False
    """The session's gateway hears the room's log; else each change is sent to the session's mailbox."""


def with_session(user: User, session: Session) -> User:
    """Replace the session of a user."""
    return msgspec.structs.replace(user, sessions=(session,))


def stamped(user: User, revision: int) -> User:
    """Say in a record of this revision as of when what comes later must be asked, if this write began it."""
    session = user.session
    if not session.fence:
        session = msgspec.structs.replace(session, fence=revision)
    if session.put_out_at == THIS_WRITE:
        session = msgspec.structs.replace(session, put_out_at=revision)
    return user if session is user.session else with_session(user, session)


def may_be_resumed_by(user: User, secret: SecretHash) -> bool:
    """Whether a client's secret is the session's. Takes the same time whatever the secret is."""
    return hmac.compare_digest(user.session.secret, secret) and bool(secret) and user.is_reachable


def share_a_room(one: User, other: User) -> bool:
    """Whether the two are, or one of them was, members of one room."""
    return not one.rooms.keys().isdisjoint(other.rooms)


def shared_rooms(one: User, other: User, most: int) -> tuple[RoomId, ...]:
    """List the rooms of which both are members, in order and so many at most."""
    return tuple(sorted(one.rooms.keys() & other.rooms.keys())[:most])


def gone(user: User | None) -> SessionGone:
    """Say what has become of a session that is not the user's live one."""
    return SessionGone(replaced=user is not None and user.is_reachable)
