"""Ask presence, which decides: with typed requests and replies, as the other edge does (`gateway`).

What is refused becomes a problem, and so does no answer: whether the change was made is unknown then, and the
same request with the same key is safe.
"""

import functools
from typing import Final, Protocol, TypeVar

from api.problems import Refusal
from tieline.api.bodies import Changed
from tieline.runtime.answers import Asking
from tieline.runtime.broker import BrokerAway
from tieline.runtime.requests import NoAnswer, Requests
from tieline.wire.internal import codec
from tieline.wire.internal.answers import Refused
from tieline.wire.internal.backend import Affected
from tieline.wire.internal.directions import OPERATIONS, BackendOrder, BackendRequest, PresenceReply
from tieline.wire.subjects import Subjects

PATIENCE_S: Final = 5.0
"""For presence to answer, as a gateway waits for it."""

RETRY_AFTER: Final = {"Retry-After": "1"}

_REFUSALS: Final = {
    "KEY_USED": (422, "this Idempotency-Key was used for another request"),
    "NO_SUCH_CALL": (409, "the two do not have this call"),
    "ROOM_FULL": (409, "the room is full"),
    "TOO_MANY_ROOMS": (409, "the user is in as many rooms as one may be in"),
    "ROOM_FORBIDDEN": (409, "the user is kept out of this room"),
}

AnswerT = TypeVar("AnswerT", bound=PresenceReply)


class Presence(Protocol):
    """Presence, as the API asks it."""

    async def ask(self, request: BackendRequest) -> PresenceReply:
        """Ask, and return the reply.

        Raises:
            NoAnswer: no reply came in time; the request may or may not have been carried out.
        """
        ...


class RemotePresence:
    """The presence processes of one namespace, over the broker."""

    def __init__(self, requests: Requests, subjects: Subjects) -> None:
        self._asking = Asking(requests)
        self._subjects = subjects

    async def ask(self, request: BackendRequest) -> PresenceReply:
        """See `Presence.ask`."""
        read = functools.partial(codec.read_answer, request)
        subject = self._subjects.presence(OPERATIONS[type(request)])
        return await self._asking.ask(subject, codec.encode(request), read, PATIENCE_S)


async def told(presence: Presence, request: BackendRequest, wanted: type[AnswerT]) -> AnswerT:
    """Ask what there is.

    Raises:
        Refusal: it is refused, or there is no answer.
    """
    try:
        reply = await presence.ask(request)
    except (NoAnswer, BrokerAway):
        detail = "no answer came in time; send the same request again, with the same Idempotency-Key"
        raise Refusal(503, "UNAVAILABLE", detail, RETRY_AFTER) from None
    if isinstance(reply, Refused):
        status, detail = _REFUSALS.get(reply.reason, (409, f"it is refused: {reply.reason}"))
        raise Refusal(status, reply.reason, detail)
    assert isinstance(reply, wanted)  # no other answer is read
    return reply


async def changed(presence: Presence, order: BackendOrder) -> Changed:
    """Have something changed.

    Raises:
        Refusal: it is refused, or there is no answer.
    """
    done = await told(presence, order, Affected)
    return Changed(affected=done.count, left=done.left)
