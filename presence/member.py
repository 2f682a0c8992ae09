"""One user: the session that lives, or lived last, and its rooms. Pure; times are Unix milliseconds.

        (none) --opened--> online --ended--> offline --(retention passes)--> (none)
                             ^                  |
                             +-----opened-------+

An offline user keeps the rooms its session had, for one purpose: to tell "offline" from "in another room".
"""

from typing import Literal

import msgspec

from tieline.wire.ids import GatewayId, RoomId, SessionId


class User(msgspec.Struct, frozen=True, array_like=True):
    """A user's record."""

    session: SessionId
    gateway: GatewayId
    status: Literal["online", "away", "offline"]
    voice: bool
    """May send WEBRTC_OFFER."""
    rooms: dict[RoomId, int]
    """Rooms, with when they were joined."""

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


def opened(session: SessionId, gateway: GatewayId, voice: bool, rooms: dict[RoomId, int]) -> User:
    """Begin a session."""
    return User(session, gateway, "online", voice, rooms)


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
