"""Ask presence, which decides: with typed requests and replies, as the other edge does (`gateway`).

What is refused becomes a problem, and so does no answer: whether the change was made is unknown then, and the
same request with the same key is safe.
"""

import functools
import time
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

import msgspec

from api.problems import Refusal
from tieline.api.bodies import Changed
from tieline.runtime.answers import Asking
from tieline.runtime.broker import BrokerAway
from tieline.runtime.pending import always
from tieline.runtime.requests import NoAnswer, Requests
from tieline.wire.internal import codec
from tieline.wire.internal.answers import Outdated, Refused
from tieline.wire.internal.backend import Affected
from tieline.wire.internal.directions import (
    OPERATIONS,
    BackendOrder,
    BackendRequest,
    OrderedChange,
    PresenceReply,
)
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
    "OVERTAKEN": (409, "a later request about the same was carried out before; that one counts"),
}

AnswerT = TypeVar("AnswerT", bound=PresenceReply)


class Presence(Protocol):
    """Presence, as the API asks it."""

    async def ask(self, request: BackendRequest, is_wanted: Callable[[], bool] = always) -> PresenceReply:
        """Ask, and return the reply. `is_wanted` says whether its caller still waits.

        Raises:
            NoAnswer: no reply came in time; the request may or may not have been carried out.
        """
        ...


class RemotePresence:
    """The presence processes of one namespace, over the broker."""

    def __init__(
        self, requests: Requests, subjects: Subjects, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._asking = Asking(requests)
        self._subjects = subjects
        self._clock = clock

    async def ask(self, request: BackendRequest, is_wanted: Callable[[], bool] = always) -> PresenceReply:
        """See `Presence.ask`. A change that a later one may take back is given its number first.

        That is given while its caller waits, so whatever the caller asks for afterwards has a higher one.
        """
        if not isinstance(request, OrderedChange):
            return await self._ask(request, PATIENCE_S)
        began = self._clock()
        reply = await self._ask(request, PATIENCE_S)
        if not isinstance(reply, Outdated):
            return reply
        if not is_wanted():
            raise NoAnswer("its caller has gone, and may have asked for something else since")
        numbered = msgspec.structs.replace(request, number=reply.revision)
        return await self._ask(numbered, PATIENCE_S - (self._clock() - began))

    async def _ask(self, request: BackendRequest, patience_s: float) -> PresenceReply:
        read = functools.partial(codec.read_answer, request)
        subject = self._subjects.presence(OPERATIONS[type(request)])
        return await self._asking.ask(subject, codec.encode(request), read, patience_s)


async def told(
    presence: Presence,
    request: BackendRequest,
    wanted: type[AnswerT],
    is_there: Callable[[], bool] = always,
) -> AnswerT:
    """Ask what there is.

    Raises:
        Refusal: it is refused, or there is no answer.
    """
    try:
        reply = await presence.ask(request, is_there)
    except (NoAnswer, BrokerAway):
        detail = "no answer came in time; send the same request again, with the same Idempotency-Key"
        raise Refusal(503, "UNAVAILABLE", detail, RETRY_AFTER) from None
    if isinstance(reply, Refused):
        status, detail = _REFUSALS.get(reply.reason, (409, f"it is refused: {reply.reason}"))
        raise Refusal(status, reply.reason, detail)
    assert isinstance(reply, wanted)  # no other answer is read
    return reply


async def changed(presence: Presence, order: BackendOrder, is_there: Callable[[], bool] = always) -> Changed:
    """Have something changed. `is_there` says whether the caller still waits.

    Raises:
        Refusal: it is refused, or there is no answer.
    """
    done = await told(presence, order, Affected, is_there)
    return Changed(affected=done.count, left=done.left)
