"""What goes over the line between an application's backend and the API, in JSON. Pure.

The service reads and writes these (`api/resources`), the client reads and writes the same
(`tieline.api.client`), and the document at `/openapi.json` is made of them. Times are Unix milliseconds.
"""

from typing import Annotated, Any, Literal

import msgspec

from tieline.wire.cloud_events import PREFIX
from tieline.wire.ids import ID_RULE, MAX_ID_BYTES

LONGEST_S = 315_360_000
"""Ten years: a longer time is one in milliseconds, mostly."""

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_BYTES, description=ID_RULE)]
"""The id of a user or a room."""

Names = Annotated[list[Id], msgspec.Meta(max_length=256)]

Status = Literal["online", "away", "offline"]
"""offline: of a member, that it will be one when it connects."""

Time = Annotated[int, msgspec.Meta(description="Unix milliseconds")]


class Body(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What the service answers."""


class Order(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What the service is asked for: a field that it does not know may be one misspelt."""


class FieldProblem(Body, frozen=True, kw_only=True):
    """One field of a request that cannot be used."""

    detail: str
    """What is wrong, a sentence for people."""
    field: str = ""
    """Its name; absent: the body as a whole."""


class Problem(Body, frozen=True, kw_only=True):
    """Why a request was not carried out (RFC 9457, application/problem+json)."""

    type: str = "about:blank"
    """Always `about:blank`: `reason` says what it is."""
    title: str
    """The phrase of the status."""
    status: int
    """That of the answer."""
    detail: str
    """A sentence for people."""
    reason: str
    """A word for programs."""
    errors: list[FieldProblem] = []
    """What is wrong with which field; absent: nothing is known of fields."""


class Room(Body, frozen=True, kw_only=True):
    """A room, which is there as long as somebody is a member of it."""

    room: Id
    members: int
    """About how many."""


class RoomPage(Body, frozen=True, kw_only=True):
    """A page of rooms, in the order of their names."""

    rooms: list[Room]
    """Those of this page; a room without members is not there."""
    count: int
    """Of all rooms; of those that are not on this page some count that were left half a minute ago."""
    next: str = ""
    """What the next page is `after`; absent: there is none."""


class Member(Body, frozen=True, kw_only=True):
    """One member of a room."""

    user: Id
    status: Status
    """offline: it will be a member when it connects."""
    voice: bool
    """Whether it may start a voice connection now: false of whoever is offline, whose next token says it."""
    given: bool
    """Whether it is a member by this API's word, whatever its token says."""
    joined_at: Time = 0
    """Absent: it is offline."""


class MemberPage(Body, frozen=True, kw_only=True):
    """A page of a room's members, in the order of their names."""

    members: list[Member]
    """Those of this page."""
    count: int
    """Of all members."""
    next: str = ""
    """What the next page is `after`; absent: there is none."""


class Call(Body, frozen=True, kw_only=True):
    """What a user negotiates with another one."""

    peer: Id
    established: bool
    """Whether it is answered."""
    call: str = ""
    """The call's id; absent: it has none."""


class User(Body, frozen=True, kw_only=True):
    """A user, who may never have been here."""

    user: Id
    status: Status
    """away: its connection is lost, and may be resumed. offline: it is not there, or never was."""
    rooms: list[Id]
    """Those that it is in now."""
    given: list[Id]
    """Those that it is in whenever it is connected, by this API's word."""
    voice: bool
    """Whether it may start a voice connection now."""
    voice_revoked: bool
    """Whether this API has taken that from it."""
    calls: list[Call]
    """What it negotiates, or has established."""
    banned_until: Time = 0
    """Absent: it is not banned."""


class Changed(Body, frozen=True, kw_only=True):
    """The change is made, by this request or by the same one before."""

    affected: int
    """How many sessions or calls it has changed at once, or been sent to; 0: none, for nobody concerned was
    connected. What it says of members, bans and voices counts all the same."""
    left: int = 0
    """Of a room that is being closed: how many are still in it, and about to be put out. Absent: none."""


class Statistics(Body, frozen=True, kw_only=True):
    """How much there is, about."""

    gateways: int
    """That run."""
    sessions: int
    """Of users who are connected, or away."""
    rooms: int
    """That have members."""
    members: int
    """Of all rooms: who is in two counts twice."""
    calls: int
    """Pairs of users who negotiate, or did a minute ago; where events are kept, up to five minutes ago."""


class KickOrder(Order, frozen=True, kw_only=True):
    """Put a member out of a room."""

    seconds: Annotated[float, msgspec.Meta(ge=0, le=LONGEST_S)] = 0
    """How long it is kept out, whatever its token says; 0: it may come again at once if that lets it."""


class CloseOrder(Order, frozen=True, kw_only=True):
    """Put everybody out of a room."""

    seconds: Annotated[float, msgspec.Meta(ge=0, le=LONGEST_S)] = 0
    """How long those who were in it are kept out."""


class BanOrder(Order, frozen=True, kw_only=True):
    """Disconnect a user, and keep it away."""

    seconds: Annotated[float, msgspec.Meta(gt=0, le=LONGEST_S)]
    """For how long."""


class VoiceOrder(Order, frozen=True, kw_only=True):
    """Let a user start voice connections, or not."""

    allowed: bool
    """false: it may start none, whatever its token says."""


class EndCallOrder(Order, frozen=True, kw_only=True):
    """End a call."""

    call: Annotated[str, msgspec.Meta(max_length=64)] = ""
    """Only if it is this one; absent: whichever the two have."""


class MessageOrder(Order, frozen=True, kw_only=True):
    """Send an application's own message."""

    data: Any
    """Any JSON value; clients get it in the event MESSAGE."""


class TokenOrder(Order, frozen=True, kw_only=True):
    """Mint an admission token for a user (docs/protocol.md#1-connecting)."""

    user: Id
    rooms: Names = []
    """Rooms that the user may join; `*` alone: all."""
    join: Names = []
    """Rooms that are joined at connect."""
    voice: bool = True
    """Whether the user may start a voice connection."""
    seconds: Annotated[int, msgspec.Meta(ge=1, le=LONGEST_S)] = 3600
    """How long it is valid."""


class Token(Body, frozen=True, kw_only=True):
    """An admission token."""

    token: str
    """The JWT, which that user's client connects with."""
    expires_at: Time
    """When it ends; sooner than was asked for where gateways let none live so long."""


class EventData(Body, frozen=True, kw_only=True):
    """What an event says, by its type (docs/webhooks.md#events); what does not apply is empty."""

    room: str = ""
    """Of `tieline.member.*`."""
    user: str = ""
    """Of `tieline.member.*`."""
    caller: str = ""
    """Of `tieline.call.*`."""
    callee: str = ""
    """Of `tieline.call.*`."""
    call: str = ""
    by: str = ""
    """Whose doing it was."""
    reason: str = ""
    offered_at: Time = 0
    answered_at: Time = 0
    answer_seconds: float = 0
    duration_seconds: float = 0
    until: Time = 0
    """Of `tieline.call.waking`: when nobody waits any more."""
    rooms: list[str] = []
    """Of `tieline.call.*`: those in which both were when the call began."""


class Event(Body, frozen=True, kw_only=True):
    """Something that has happened: a CloudEvent."""

    id: str
    """The same again is the same event."""
    type: str
    """Such as `tieline.call.ended`; a later version may have others."""
    subject: str
    """`call/<id>`, `room/<room>` or, of a refused offer, `user/<callee>`."""
    time: str
    """When it happened (RFC 3339)."""
    data: EventData = EventData()
    source: str = ""
    sequence: str = ""
    """Its place in the stream, 20 digits that sort as text."""

    @property
    def kind(self) -> str:
        """The type in plain words, such as `call.ended`."""
        return self.type.removeprefix(PREFIX)


class WebhookOrder(Order, frozen=True, kw_only=True):
    """Have events told to an address."""

    url: Annotated[str, msgspec.Meta(min_length=1, max_length=2048)]
    """`https://`, and of the internet, unless the deployment has it otherwise."""
    secrets: Annotated[
        list[Annotated[str, msgspec.Meta(min_length=16, max_length=256)]],
        msgspec.Meta(min_length=1, max_length=2),
    ]
    """By each of which a delivery is signed (Standard Webhooks): two while one is changed for the next."""
    events: Annotated[list[Annotated[str, msgspec.Meta(max_length=64)]], msgspec.Meta(max_length=32)] = []
    """The kinds that are told, such as `call.ended` or `call.*`; none: all."""
    paused: bool = False
    """Nothing is told now; what happens meanwhile is told later."""


class Webhook(Body, frozen=True, kw_only=True):
    """An address to which events are told. Its secrets are not shown."""

    webhook: str
    """The name under which it was made."""
    url: str
    """Where events are told."""
    events: list[str]
    """The kinds that are told; none: all."""
    paused: bool
    """Nothing is told now; what happens meanwhile is told later."""


class Webhooks(Body, frozen=True, kw_only=True):
    """All that were made through the API."""

    webhooks: list[Webhook]
    """Without the one in the settings of the workers."""
