"""Answer presence requests: so many at once, any process of the queue group as good as any other.

A request that cannot be answered now stays unanswered: it is sent again, and any process may get it. So does
one that there is no room for, or that has waited here for longer than its asker does
(`tieline.runtime.pool`).
"""

import asyncio
import functools
import logging
from collections.abc import Mapping
from typing import Final, get_args

from presence.announce import Publisher
from presence.operations import Operations
from presence.store import StoreUnavailable
from tieline import metrics
from tieline.runtime.broker import BrokerAway, Message
from tieline.runtime.guard import bug_guard
from tieline.runtime.patience import patience_of
from tieline.runtime.pool import Pool, PoolSize
from tieline.runtime.tally import Tally
from tieline.runtime.unreadable import Unreadable
from tieline.wire.checks import UNREADABLE
from tieline.wire.envelope import COMMAND_OF, Candidate
from tieline.wire.internal import codec
from tieline.wire.internal.answers import Outdated, Refused, SessionGone
from tieline.wire.internal.backend import CloseRoom, CountAll, ListRooms, LookAtRoom, MessageRoom
from tieline.wire.internal.directions import (
    OPERATIONS,
    BackendRequest,
    GatewayRequest,
    PresenceReply,
    PresenceRequest,
    RouterRequest,
)
from tieline.wire.internal.sessions import FindReplaced, KeepLease
from tieline.wire.internal.signals import Check
from tieline.wire.subjects import Subjects

UNKNOWN: Final = "unknown"
"""What a request that cannot be read is called in the metrics."""

SIZE: Final = PoolSize(under_way=256, of_one=8)
"""With a round trip of a few milliseconds, 256 at once keep a process busy that does some thousands a second.
One user, whose messages are handled one after the other, needs more than one only after it has lost a
connection or two."""

JUDGED_AT_ONCE: Final = PoolSize(under_way=16, of_one=8)
"""Of the signals that write (offers, answers, hang-ups). When hundreds call one another at one moment, an
iteration of the event loop must not have hundreds of them in it, for which everybody else waits: who comes
in, and the candidates of calls. Of two or three round trips of a millisecond each, so many use up a core."""

OF_BACKEND: Final = PoolSize(under_way=32, of_one=8)
"""Of what the backend asks. An order may wait for a gateway, which may ask presence itself: so they never
take the places of others. Of looks at all rooms there are eight at once at most."""

OfNoUser = CloseRoom | MessageRoom | LookAtRoom | ListRooms | CountAll
"""What the backend asks of a room, or of all."""

_AskedTogether = KeepLease | FindReplaced | OfNoUser
"""What is asked of a room, of all, or by a gateway for itself. A union takes long to make."""

_ASKERS: Final[Mapping[type[PresenceRequest], str]] = {
    **dict.fromkeys(get_args(BackendRequest), "api"),
    **dict.fromkeys(get_args(GatewayRequest), "gateway"),
    RouterRequest: "router",
}
"""The service that may ask a request of a type, and is answered."""

_LIGHT: Final = COMMAND_OF[Candidate]

_UNREADABLE: Final = "request unanswered: of another version, or none"
_MISDIRECTED: Final = "request unanswered: not on its own subject"
_UNANSWERED: Final = "request unanswered"

_log = logging.getLogger(__name__)


class PresenceService:
    """Takes requests off the broker, has them carried out, answers. Tasks belong to the given group."""

    def __init__(
        self,
        broker: Publisher,
        subjects: Subjects,
        tasks: asyncio.TaskGroup,
        operations: Operations,
        size: PoolSize = SIZE,
        judged_at_once: PoolSize = JUDGED_AT_ONCE,
        of_backend: PoolSize = OF_BACKEND,
    ) -> None:
        self._broker = broker
        self._may_answer = {who: subjects.reply_to(who) for who in ("api", "gateway", "router")}
        self._pool = Pool(tasks, size)
        self._judging = Pool(tasks, judged_at_once)
        self._ordering = Pool(tasks, of_backend)
        self._operations = operations
        self._failed = {op: metrics.PRESENCE_REQUESTS.labels(op, "failed") for op in OPERATIONS.values()}
        self._tally = Tally(_log)
        self._unreadable = Unreadable(_log, self._tally)

    def on_request(self, message: Message) -> None:
        """Answer one message of the queue group, in a task of its own, now or when it is its turn."""
        try:
            request = codec.decode_presence_request(message.data)
        except UNREADABLE as error:
            metrics.PRESENCE_REQUESTS.labels(UNKNOWN, "failed").inc()
            self._unreadable.note("request", error, _UNREADABLE)
            return
        op = OPERATIONS[type(request)]
        if message.subject.rpartition(".")[2] != op:  # the broker has let its sender ask for something else
            self._failed[op].inc()
            self._tally.note(logging.ERROR, _MISDIRECTED, op, "", op=op)
            return
        asks = _ASKERS[type(request)]
        if not self._may_answer[asks](message.reply):
            self._failed[op].inc()
            self._unreadable.note("request", f"to be answered on {message.reply!r}", _UNREADABLE)
            return
        job = functools.partial(self._answer, request, op, message.reply)
        is_heavy = isinstance(request, Check) and request.cmd != _LIGHT
        pool = self._judging if is_heavy else self._ordering if asks == "api" else self._pool
        pool.submit(_owner(request, op), message.reply, job, len(message.data), patience_of(message))

    async def _answer(self, request: PresenceRequest, op: str, asker: str) -> None:
        failed = self._failed[op]
        with bug_guard(_log, "request unanswered: a bug", failed.inc, op=op):
            try:
                reply, afterwards = await self._operations.carry_out(request)
                self._broker.send(asker, codec.encode(reply))
            except (StoreUnavailable, BrokerAway) as error:
                failed.inc()
                self._tally.note(logging.WARNING, _UNANSWERED, op, "", op=op, error=repr(error))
            else:
                metrics.PRESENCE_REQUESTS.labels(op, _outcome(reply)).inc()
                if afterwards is not None:
                    await afterwards()


def _owner(request: PresenceRequest, op: str) -> str:
    """Name who has its turn with a request: the user whom it is about, or all who ask that together."""
    if isinstance(request, _AskedTogether):
        return f"\0{op}"  # no user is called so
    return request.user


def _outcome(reply: PresenceReply) -> str:
    match reply:
        case Refused():
            return "refused"
        case SessionGone():
            return "gone"
        case Outdated():
            return "outdated"
        case _:
            return "ok"
