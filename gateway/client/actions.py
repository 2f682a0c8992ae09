"""What a session decides to do about a message of its client: made by `session`, carried out by `inbound`."""

from typing import NamedTuple

import msgspec

from gateway.client.pages import Page
from tieline.verification.tokens import Claims
from tieline.wire.codes import CloseCode
from tieline.wire.ids import NO_TOKEN, AdmissionToken, RoomId
from tieline.wire.internal.rooms import JoinRoom, LeaveRoom, ListMembers
from tieline.wire.internal.sessions import Regrant
from tieline.wire.internal.signals import Signal
from tieline.wire.replies import RosterPage


class Say(msgspec.Struct, frozen=True, gc=False):
    """Answer the client; an empty frame says nothing. `outcome` is for the metrics and the log."""

    frame: bytes
    request_id: str
    cmd: str
    outcome: str
    why: str = ""
    """Which check a newer token has failed: for the log alone."""
    call: str = ""
    """The call that the message is about."""


class AskRouter(msgspec.Struct, frozen=True, gc=False):
    """Ask a router to carry a signal, and those that follow it."""

    request_id: str
    cmd: str
    signal: Signal
    then: tuple["AskRouter", ...] = ()
    """Candidates of the same call for the same user that came behind it, in their order."""


class RoomListing(NamedTuple):
    """Who is in a room, as this gateway knows it: the answer to JOIN and MEMBERS."""

    page: RosterPage
    joined_at: int | None
    """When the client joined; None: it is not in the list."""
    listed: int
    """How many members the page has."""
    members: int
    """How many the room has."""


class AskPresence(NamedTuple):
    """Ask presence about a room, or to know the session by a newer token's claims."""

    request_id: str
    cmd: str
    room: RoomId
    """Empty when it is about claims."""
    request: JoinRoom | LeaveRoom | ListMembers | Regrant
    claims: Claims | None = None
    """What the session has when presence agrees."""
    page: Page | None = None
    """The part of the room's members that the client wants; None: all."""
    token: AdmissionToken = NO_TOKEN
    """The newer token."""


class AskKeys(NamedTuple):
    """Ask for fresh keys: a newer token names a key that is not known."""

    request_id: str
    cmd: str
    token: str


class HangUp(NamedTuple):
    """Close the connection: its session is over."""

    code: CloseCode


Action = Say | AskRouter | AskPresence | AskKeys
