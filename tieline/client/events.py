"""What `Client.events` gives: what other users do, what the server says, what becomes of the connection.

The last of these (`Reconnecting` and those after it) come only to a client that resumes. How frames become
these is `messages`; the frames themselves are docs/protocol.md#3-commands.
"""

from typing import Any

import msgspec

from tieline.wire.ids import NO_CALL, CallId, RoomId, UserId
from tieline.wire.replies import Roster


class Offer(msgspec.Struct, frozen=True):
    """`sender` calls, or renegotiates."""

    sender: UserId
    description: Any
    request_id: str = ""
    call: CallId = NO_CALL
    """Which call it is of; empty: the server does not say."""


class Answer(msgspec.Struct, frozen=True):
    """`sender` accepts this client's offer."""

    sender: UserId
    description: Any
    request_id: str = ""
    call: CallId = NO_CALL
    """Which call it is of; empty: the server does not say."""


class Candidate(msgspec.Struct, frozen=True):
    """One way to reach the sender."""

    sender: UserId
    candidate: Any
    request_id: str = ""
    call: CallId = NO_CALL


class Hangup(msgspec.Struct, frozen=True):
    """The negotiation with `sender` is over; with `server`, the server ended it and says so.

    One with the reason `timeout` and without `server` is this client's own: the server would have ended the
    ringing, but its word has not come.
    """

    sender: UserId
    reason: str
    server: bool
    request_id: str = ""
    call: CallId = NO_CALL


class Info(msgspec.Struct, frozen=True):
    """`sender` says how it is at its end of the call.

    What the two agree on: tieline.js sends `{ringing: true}`, and `{muted}` when that has changed.
    """

    sender: UserId
    detail: Any
    request_id: str = ""
    call: CallId = NO_CALL


class MemberJoined(msgspec.Struct, frozen=True, rename="camel"):
    """A user came into a room this client is in."""

    room: RoomId
    user_id: UserId
    request_id: str = ""
    number: int = 0
    """Of the change in the room's log, to compare with `Roster.number`; 0: the server says none."""


class MemberLeft(msgspec.Struct, frozen=True, rename="camel"):
    """A user is gone from a room this client is in, or this client was made to leave it."""

    room: RoomId
    user_id: UserId
    reason: str
    request_id: str = ""
    number: int = 0
    """See `MemberJoined`."""


class MemberUpdated(msgspec.Struct, frozen=True, rename="camel"):
    """A member is away, or back."""

    room: RoomId
    user_id: UserId
    status: str
    request_id: str = ""
    number: int = 0
    """See `MemberJoined`."""


class AppMessage(msgspec.Struct, frozen=True):
    """The application's backend says something: to this user, or to all in a room."""

    data: Any
    room: RoomId | None = None
    """None: it is for this user alone."""
    request_id: str = ""


class TokenExpiring(msgspec.Struct, frozen=True, rename="camel"):
    """The token ends soon; `expires_at` in Unix milliseconds."""

    expires_at: int
    request_id: str = ""


class Reconnect(msgspec.Struct, frozen=True, rename="camel"):
    """The gateway will go away: connect again after `after_ms` and up to `jitter_ms` more, milliseconds.

    A client that resumes does so by itself.
    """

    after_ms: int
    jitter_ms: int
    request_id: str = ""


class ErrorEvent(msgspec.Struct, frozen=True):
    """A refusal that no caller waits for: of a message sent without an ack, or one that came too late."""

    code: int
    msg: str
    reason: str
    cmd: str = ""
    request_id: str = msgspec.field(name="requestId", default="")
    argument: str = ""
    """Which one it is about, if it is about one."""
    fate: str = ""
    """What has become of the call that the message names, if it is refused for that: see `Refused`."""
    call: CallId = NO_CALL


class Unknown(msgspec.Struct, frozen=True):
    """A frame for which this version has no type, as it came. `cmd` is "" when even that cannot be read."""

    cmd: str
    frame: bytes
    request_id: str = ""


class Reconnecting(msgspec.Struct, frozen=True):
    """The connection is lost, with this close code, and being made again. Requests go on waiting."""

    code: int
    reason: str


class Resumed(msgspec.Struct, frozen=True):
    """The session goes on over another connection, and nothing is lost: what was missed comes next.

    `away_s`: how long there was no connection, in seconds; about 0 when the gateway had asked to be left,
    which is done without a `Reconnecting`.
    `resent`: messages that had no answer yet and are sent again.
    """

    away_s: float
    resent: int


class SessionReset(msgspec.Struct, frozen=True):
    """The session could not be resumed, and this is a new one: what was sent to the old one is lost.

    Every request that had no answer has failed with `SessionLost`; negotiations are over. `rooms` are those
    of the old session; when `rejoining`, a `Rejoined` or a `RoomLost` follows for each.
    """

    rooms: tuple[RoomId, ...]
    rejoining: bool


class Rejoined(msgspec.Struct, frozen=True):
    """A room of the old session is one of the new session, and these are its members now."""

    roster: Roster


class RoomLost(msgspec.Struct, frozen=True):
    """A room could not be joined again; `reason` is the refusal's, or "NO_REPLY"."""

    room: RoomId
    reason: str


Message = (
    Offer
    | Answer
    | Candidate
    | Hangup
    | Info
    | MemberJoined
    | MemberLeft
    | MemberUpdated
    | AppMessage
    | TokenExpiring
    | Reconnect
    | ErrorEvent
    | Unknown
)
"""What a frame from the server can be, beside a reply."""

Event = Message | Reconnecting | Resumed | SessionReset | Rejoined | RoomLost
