"""One user: the session that lives, or lived last, and its rooms. Pure; times are Unix milliseconds.

        (none) --begun--> online --ended--> offline --(retention passes)--> (none)
                           |  ^                ^ |
                      away |  | resumed        | | begun
                           v  |                | v
                           away --------ended--+ online

An offline user keeps the rooms its session had, for one purpose: to tell "offline" from "in another room".
"""

import hmac
from typing import Literal

import msgspec

from tieline.wire.ids import ConnectionId, GatewayId, RoomId, SecretHash, SessionId
from tieline.wire.internal import OpenSession, Register


class Former(msgspec.Struct, frozen=True, array_like=True):
    """What a resumed session was before: whoever resumed it may have died before telling others."""

    gateway: GatewayId
    connection: ConnectionId
    status: Literal["online", "away"]
    rooms: tuple[RoomId, ...]


class User(msgspec.Struct, frozen=True, array_like=True):
    """A user's record."""

    session: SessionId
    gateway: GatewayId
    connection: ConnectionId
    """The one that has the session, or had it last."""
    secret: SecretHash
    """By which the session may be resumed; empty: it ends with its connection."""
    status: Literal["online", "away", "offline"]
    voice: bool
    """May send WEBRTC_OFFER."""
    rooms: dict[RoomId, int]
    """Rooms, with when they were joined."""
    turns: int = 0
    """How often the session went away or came back, which tells one MEMBER_UPDATED from the next."""
    former: Former | None = None
    """What it was when it was resumed last."""

    @property
    def is_reachable(self) -> bool:
        """Whether messages to the user are delivered or kept."""
        return self.status != "offline"

    def has_live(self, session: SessionId) -> bool:
        """Whether this very session is the user's live one."""
        return self.session == session and self.is_reachable


class Seat(msgspec.Struct, frozen=True, array_like=True):
    """One line of a room's roster: an index; the user's record is the truth."""

    session: SessionId
    at: int


def begun(ask: OpenSession | Register, rooms: dict[RoomId, int]) -> User:
    """Begin a session."""
    return User(ask.session, ask.gateway, ask.connection, ask.secret, "online", ask.voice, rooms)


def may_be_resumed_by(user: User, secret: SecretHash) -> bool:
    """Whether a client's secret is this session's. Takes the same time whatever it is."""
    return hmac.compare_digest(user.secret, secret) and bool(secret) and user.is_reachable


def resumed(user: User, ask: OpenSession | Register) -> User:
    """Go on with another connection, and what its token grants."""
    assert user.status != "offline"
    return msgspec.structs.replace(
        user,
        former=Former(user.gateway, user.connection, user.status, tuple(user.rooms)),
        gateway=ask.gateway,
        connection=ask.connection,
        status="online",
        voice=ask.voice,
        turns=user.turns + 1,
    )


def regranted(user: User, *, voice: bool) -> User:
    """Go on with what a newer token says of voice. The same: nothing changes."""
    return user if user.voice == voice else msgspec.structs.replace(user, voice=voice)


def settled(user: User) -> User:
    """Forget what the session was before it was resumed: everybody has been told."""
    return msgspec.structs.replace(user, former=None)


def away(user: User) -> User:
    """Wait to be resumed: messages are kept, and cause no error. Again: nothing changes."""
    if user.status == "away":
        return user
    return msgspec.structs.replace(user, status="away", turns=user.turns + 1)


def joined(user: User, room: RoomId, now: int) -> User:
    """Add a room; one that is there keeps its time."""
    return msgspec.structs.replace(user, rooms={room: now} | user.rooms)


def left(user: User, room: RoomId) -> User:
    """Remove a room."""
    return msgspec.structs.replace(user, rooms={name: at for name, at in user.rooms.items() if name != room})


def ended(user: User) -> User:
    """End the session; its rooms stay, as the memory of where the user was."""
    return msgspec.structs.replace(user, status="offline")


def share_a_room(one: User, other: User) -> bool:
    """Whether the two are, or one of them was, members of one room."""
    return not one.rooms.keys().isdisjoint(other.rooms)
