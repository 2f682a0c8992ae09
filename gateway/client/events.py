"""What a gateway tells the client of a session unasked: that it is welcome, and what it has to do. Pure.

What others have to say to it comes through `gateway/delivery/`, and answers are made in `session`.
"""

from typing import Final, Literal

import msgspec

from gateway.client.mail import Place, with_place
from gateway.client.session import Session
from tieline.wire import replies
from tieline.wire.checks import UNREADABLE
from tieline.wire.digests import digest
from tieline.wire.envelope import MAX_MESSAGE_BYTES
from tieline.wire.ids import ResumeToken, RoomId
from tieline.wire.replies import MemberJoined, Reconnect, TokenExpiring, Welcome

NO_PLACE: Final = Place()
"""The place of a client that has had nothing, or of which that is not known."""

OFFER_TIMEOUT_S: Final = 60.0
"""How long an offer waits where presence does not say: as long as by default with 0.1.0."""


def welcome(session: Session, token: ResumeToken, resumed: bool, place: Place = NO_PLACE) -> bytes:
    """Make the WELCOME; `token` is what the client resumes the session with.

    `place` says up to where it has had everything.
    """
    data = Welcome(
        session.user,
        session.session,
        token,
        resumed=resumed,
        rooms=tuple(session.rooms),
        resume_window=_number(session.terms.resume_window_s),
        ping_interval=_number(session.terms.pace.ping_interval_s),
        max_message_bytes=MAX_MESSAGE_BYTES,
        offer_timeout=_number(session.offer_timeout_s or OFFER_TIMEOUT_S) if session.calls else msgspec.UNSET,
    )
    frame = replies.success("", "WELCOME", data)
    return with_place(frame, place) if session.places else frame


def reconnecting(session: Session, after_ms: int, jitter_ms: int) -> bytes:
    """Make the event that asks a client to go elsewhere, at a moment of its own within the jitter.

    It is named after this connection, by when that was asked for: all gateways hear it, and none is to hear
    the connection's own name.
    """
    event = Reconnect(after_ms, jitter_ms)
    return replies.success(f"reconnect-{session.session}-{session.asked:x}", "RECONNECT", event)


def put_in(session: Session, room: RoomId) -> bytes:
    """Make the event that tells a client that it is a member of a room by its backend's word.

    It may be put into several at one moment.
    """
    name = f"{_put_in_name(session)}{session.rooms[room]:x}-{digest(room.encode())[:4].hex()}"
    return replies.success(name, "MEMBER_JOINED", MemberJoined(room, session.user))


def is_overtaken(session: Session, frame: bytes) -> bool:
    """Whether a frame tells a client that it was put into a room, in which it is no more.

    Its WELCOME has said so, or that it was put out; told after that, the older event would say otherwise.
    """
    if not frame.startswith(f'{{"requestId":"{_put_in_name(session)}'.encode()):
        return False
    try:
        event = _put_in(frame)
    except UNREADABLE:  # it is from somebody who has copied the name
        return False
    return event.data.user_id == session.user and event.data.room not in session.rooms


class _PutIn(msgspec.Struct):
    cmd: Literal["MEMBER_JOINED"]
    """A message that a client has sent is another one."""
    data: MemberJoined


_put_in: Final = msgspec.json.Decoder(_PutIn).decode


def _put_in_name(session: Session) -> str:
    return f"joined-{session.session}-"


def expiring(session: Session) -> bytes:
    """Make the event that warns of the token's end."""
    expires_at = session.claims.expires_at_ms
    return replies.success(
        f"expiring-{session.session}-{expires_at}", "TOKEN_EXPIRING", TokenExpiring(expires_at)
    )


def _number(seconds: float) -> int | float:
    """Show whole seconds without a fraction."""
    return int(seconds) if seconds == int(seconds) else seconds
