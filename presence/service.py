"""Answer presence requests: one task each, any process of the queue group as good as any other.

A request that cannot be answered now stays unanswered: it is sent again, and any process may get it.
"""

import asyncio
import logging
from typing import Final

import msgspec

from presence.announce import Publisher
from presence.gateways import Gateways
from presence.pairs import Pairs
from presence.rooms import Rooms
from presence.sessions import Sessions
from presence.store import StoreUnavailable
from tieline import metrics
from tieline.runtime.broker import BrokerAway, Message
from tieline.wire import internal
from tieline.wire.internal import (
    OPERATIONS,
    Check,
    EndSession,
    FindReplaced,
    JoinRoom,
    KeepLease,
    LeaveRoom,
    ListMembers,
    OpenSession,
    PresenceReply,
    PresenceRequest,
    Refused,
    Register,
    Regrant,
    SessionGone,
    Tell,
)

UNKNOWN: Final = "unknown"
"""What a request that cannot be read is called in the metrics."""

_log = logging.getLogger(__name__)


class PresenceService:
    """Takes requests off the broker, has them carried out, answers. Tasks belong to the given group."""

    def __init__(
        self,
        broker: Publisher,
        tasks: asyncio.TaskGroup,
        gateways: Gateways,
        sessions: Sessions,
        rooms: Rooms,
        pairs: Pairs,
    ) -> None:
        self._broker = broker
        self._tasks = tasks
        self._gateways = gateways
        self._sessions = sessions
        self._rooms = rooms
        self._pairs = pairs

    def on_request(self, message: Message) -> None:
        """Answer one message of the queue group, in a task of its own."""
        self._tasks.create_task(self._answer(message))

    async def _answer(self, message: Message) -> None:
        try:
            request = internal.decode_presence_request(message.data)
        except msgspec.MsgspecError as error:
            metrics.PRESENCE_REQUESTS.labels(UNKNOWN, "failed").inc()
            _log.error("request unanswered: of another version, or none", extra={"error": repr(error)})
            return
        op = OPERATIONS[type(request)]
        if message.subject.rpartition(".")[2] != op:  # the broker has let its sender ask for something else
            metrics.PRESENCE_REQUESTS.labels(op, "failed").inc()
            _log.error("request unanswered: not on its own subject", extra={"op": op})
            return
        try:
            reply = await self._carry_out(request)
            self._broker.send(message.reply, internal.encode(reply))
        except (StoreUnavailable, BrokerAway) as error:
            metrics.PRESENCE_REQUESTS.labels(op, "failed").inc()
            _log.warning("request unanswered", extra={"op": op, "error": repr(error)})
        except Exception:  # a bug met by one request must not end the process, and all other requests
            metrics.PRESENCE_REQUESTS.labels(op, "failed").inc()
            _log.exception("request unanswered: a bug", extra={"op": op})
        else:
            metrics.PRESENCE_REQUESTS.labels(op, _outcome(reply)).inc()

    async def _carry_out(self, request: PresenceRequest) -> PresenceReply:
        match request:
            case Check():
                return await self._pairs.check(request)
            case OpenSession():
                return await self._sessions.open(request)
            case EndSession():
                return await self._sessions.end(request)
            case Register():
                return await self._sessions.register(request)
            case Regrant():
                return await self._sessions.regrant(request)
            case Tell():
                return await self._sessions.tell(request)
            case FindReplaced():
                return await self._sessions.find_replaced(request)
            case JoinRoom():
                return await self._rooms.join(request)
            case LeaveRoom():
                return await self._rooms.leave(request)
            case ListMembers():
                return await self._rooms.members(request)
            case KeepLease():
                return await self._gateways.keep_lease(request)


def _outcome(reply: PresenceReply) -> str:
    match reply:
        case Refused():
            return "refused"
        case SessionGone():
            return "gone"
        case _:
            return "ok"
