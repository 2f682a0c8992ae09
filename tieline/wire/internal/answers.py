"""Answers that requests of several kinds may have.

Those that one kind alone may have stand beside their requests.
"""

from typing import Final

from tieline.wire.codes import ErrorCode
from tieline.wire.ids import NO_CALL, CallId, RoomId
from tieline.wire.internal.message import Message

UNPROVEN: Final = "UNPROVEN"
"""The reason of a refusal for want of a token (`OpenSession.token`). No client is told it: the gateway asks
again, with the token."""


class Refused(Message, frozen=True, array_like=True, tag=True, gc=False):
    """The request is refused; `reason` names an `ErrorCode`."""

    reason: str
    fate: str = ""
    """What has become of the call that the signal names (`CallFate`), if it is refused for that."""
    call: CallId = NO_CALL
    """The call that the two users have."""
    wants_frame: bool = False
    """Of an offer: ask again, with its frame, which may be kept for its target (`Check.sends_frame`)."""

    @property
    def refusal(self) -> ErrorCode:
        """The error code of that name; of one that only a newer process knows, that something failed."""
        return ErrorCode.__members__.get(self.reason, ErrorCode.INTERNAL)


class SessionGone(Message, frozen=True, array_like=True, tag=True, gc=False):
    """The session in the request is not, or no longer, the live one of its user."""

    replaced: bool
    """A newer session of the user is live; otherwise none is."""


class Outdated(Message, frozen=True, array_like=True, tag=True, gc=False):
    """The request may be older than one of the same user that is carried out: nothing is done.

    A gateway that still means it asks anew. Only those are answered so that say when they asked.
    """

    revision: int = 0
    """As of which it may ask anew (`OpenSession.asked`); 0: once its lease is renewed."""


class Done(Message, frozen=True, array_like=True, tag=True, gc=False):
    """The request is carried out, now or by an earlier attempt."""

    ended: int = 1
    """Of the ends in a request, in their order, so many are carried out."""
    also_in: tuple[RoomId, ...] = ()
    """Rooms that the session is in beside those that the gateway knows of (`Register`), or that its token
    grants (`Regrant`)."""
