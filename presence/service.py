"""Answer presence requests: one task each, any process of the queue group as good as any other.

A request that cannot be answered now stays unanswered: it is sent again, and any process may get it.
"""

import asyncio
import logging
from typing import Final

import msgspec

from presence.announce import Publisher
from presence.operations import Operations
from presence.store import StoreUnavailable
from tieline import metrics
from tieline.runtime.broker import BrokerAway, Message
from tieline.runtime.guard import bug_guard
from tieline.wire import internal
from tieline.wire.internal import OPERATIONS, PresenceReply, Refused, SessionGone

UNKNOWN: Final = "unknown"
"""What a request that cannot be read is called in the metrics."""

_log = logging.getLogger(__name__)


class PresenceService:
    """Takes requests off the broker, has them carried out, answers. Tasks belong to the given group."""

    def __init__(self, broker: Publisher, tasks: asyncio.TaskGroup, operations: Operations) -> None:
        self._broker = broker
        self._tasks = tasks
        self._operations = operations

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
        failed = metrics.PRESENCE_REQUESTS.labels(op, "failed")
        with bug_guard(_log, "request unanswered: a bug", failed.inc, op=op):
            try:
                reply = await self._operations.carry_out(request)
                self._broker.send(message.reply, internal.encode(reply))
            except (StoreUnavailable, BrokerAway) as error:
                failed.inc()
                _log.warning("request unanswered", extra={"op": op, "error": repr(error)})
            else:
                metrics.PRESENCE_REQUESTS.labels(op, _outcome(reply)).inc()


def _outcome(reply: PresenceReply) -> str:
    match reply:
        case Refused():
            return "refused"
        case SessionGone():
            return "gone"
        case _:
            return "ok"
