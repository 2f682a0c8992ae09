"""What an application's backend asks of presence, by way of the API (`api/`), and what it is answered.

Each request that changes something has a name, `once`: of two with the same one the later changes nothing,
and is answered as the first was, for as long as it says. An older presence process does not know of any of
this: it leaves it unanswered, and another one is asked.
"""

from tieline.wire.ids import NO_CALL, CallId, RoomId, SessionId, UserId
from tieline.wire.internal.message import Message


class Order(Message, frozen=True, array_like=True, tag=True, gc=False):
    """What changes something."""

    once: str
    """Names this change: hexadecimal digits, which the API makes of who asks and of the key that it says."""
    kept_s: float
    """How long it is remembered."""


class Ordered(Order, frozen=True, array_like=True, tag=True, gc=False):
    """What has a place among all that is ordered, which its `number` says, the last field of each kind.

    It is a time, too, in microseconds by the broker's clock.

    Of two the later one has the higher number, whichever is carried out first. 0: it has none yet, and is
    answered with `Outdated`, which says as of which number it is to be asked. So a number is given after the
    backend has asked, and before it is answered.
    """


class AddMember(Ordered, frozen=True, array_like=True, tag=True, gc=False):
    """Make a user a member of a room, now or when it connects, whatever its token says."""

    user: UserId
    room: RoomId
    number: int = 0
    """See `Ordered`."""


class RemoveMember(Ordered, frozen=True, array_like=True, tag=True, gc=False):
    """Put a user out of a room, and keep it out for a while; its token may let it in again then."""

    user: UserId
    room: RoomId
    kept_out_s: float = 0.0
    number: int = 0
    """See `Ordered`."""


class CloseRoom(Ordered, frozen=True, array_like=True, tag=True, gc=False):
    """Put everybody out of a room, and keep them out for a while."""

    room: RoomId
    kept_out_s: float = 0.0
    number: int = 0
    """See `Ordered`."""


class Disconnect(Ordered, frozen=True, array_like=True, tag=True, gc=False):
    """End a user's session, and close its connection with 4502."""

    user: UserId
    number: int = 0
    """See `Ordered`."""


class Ban(Ordered, frozen=True, array_like=True, tag=True, gc=False):
    """Disconnect a user, and let it connect no more for a while; 0: let it connect again."""

    user: UserId
    for_s: float
    number: int = 0
    """See `Ordered`."""


class SetVoice(Ordered, frozen=True, array_like=True, tag=True, gc=False):
    """Let a user start no calls, whatever its token says, and end those that it has; or take that back."""

    user: UserId
    is_allowed: bool
    number: int = 0
    """See `Ordered`."""


class EndCall(Ordered, frozen=True, array_like=True, tag=True, gc=False):
    """End what two users negotiate, and tell both."""

    user: UserId
    peer: UserId
    call: CallId = NO_CALL
    """Only if it is this call; empty: whatever they have."""
    number: int = 0
    """See `Ordered`."""


class MessageUser(Order, frozen=True, array_like=True, tag=True, gc=False):
    """Send a user an application's message."""

    user: UserId
    data: bytes
    """JSON."""


class MessageRoom(Order, frozen=True, array_like=True, tag=True, gc=False):
    """Send every member of a room an application's message."""

    room: RoomId
    data: bytes
    """JSON."""


class LookAtUser(Message, frozen=True, array_like=True, tag=True, gc=False):
    """Ask what is known of a user."""

    user: UserId


class LookAtRoom(Message, frozen=True, array_like=True, tag=True, gc=False):
    """Ask who is in a room, also of those who will be when they connect."""

    room: RoomId
    after: str = ""
    """The last user of the page before; empty: from the first."""
    limit: int = 200
    only: str = ""
    """Tell of this user alone, if it is a member; empty: of all."""


class ListRooms(Message, frozen=True, array_like=True, tag=True, gc=False):
    """Ask which rooms there are."""

    after: str = ""
    """The last room of the page before; empty: from the first."""
    limit: int = 200


class CountAll(Message, frozen=True, array_like=True, tag=True, gc=False):
    """Ask how much there is."""


class Affected(Message, frozen=True, array_like=True, tag=True, gc=False):
    """The change is made, now or before."""

    count: int
    """How many sessions, members or calls it has changed, or been sent to."""
    left: int = 0
    """Of a room that is being closed: how many are still in it. It goes on, and may be asked about again."""


class CallSeen(Message, frozen=True, array_like=True, tag=True, gc=False):
    """What a user negotiates with another one."""

    peer: UserId
    call: CallId
    """Empty: it has no name."""
    is_established: bool
    """It is answered."""


class UserSeen(Message, frozen=True, array_like=True, tag=True, gc=False):
    """What is known of a user. Times are Unix milliseconds."""

    status: str
    """online, away or offline."""
    rooms: dict[RoomId, int]
    """Those that it is in, and since when."""
    given: tuple[RoomId, ...]
    """Those that it is in by the backend's word whenever it is connected."""
    voice: bool
    """It may start calls, as its token has it, and as the backend lets it."""
    is_silenced: bool
    """The backend does not let it."""
    banned_until: int
    """0: it is not."""
    calls: tuple[CallSeen, ...] = ()


class MemberSeen(Message, frozen=True, array_like=True, tag=True, gc=False):
    """One member of a room."""

    user: UserId
    status: str
    """online or away; offline: it will be a member when it connects."""
    voice: bool
    joined_at: int
    """0: it is offline."""
    is_given: bool
    """It is a member by the backend's word."""


class RoomSeen(Message, frozen=True, array_like=True, tag=True, gc=False):
    """A page of a room's members, in the order of their names."""

    members: tuple[MemberSeen, ...]
    count: int
    """Of all members."""
    has_more: bool


class RoomsSeen(Message, frozen=True, array_like=True, tag=True, gc=False):
    """A page of rooms, in the order of their names, and how many members each has, about."""

    rooms: tuple[tuple[RoomId, int], ...]
    count: int
    """About how many there are."""
    next: str
    """What the next page is after; empty: there is none."""


class Counted(Message, frozen=True, array_like=True, tag=True, gc=False):
    """How much there is, about."""

    gateways: int
    sessions: int
    rooms: int
    members: int
    calls: int
    """Pairs of users who negotiate, or did a minute ago."""


class JoinOrder(Message, frozen=True, array_like=True, tag=True, gc=False):
    """Presence to the gateway of a session: make it a member of a room.

    It is done as if the client had asked, and answered with what that is answered. All gateways hear it, so
    it names no connection.
    """

    user: UserId
    room: RoomId
    session: SessionId
    number: int = 0
    """Of the backend's order: see `Ordered`."""
    once: str = ""
    """The name of that."""
