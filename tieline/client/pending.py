"""The requests of one client that have no answer yet: when each is written, and how each ends.

It outlives connections and opens none (that is `connector`); which frame is an answer is for `dispatcher`.
Requests leave in the order in which they were sent. Over a new connection those that have no answer yet
leave first, again in that order and byte for byte the same: the server recognizes such a frame as a retry
(docs/protocol.md#6-losing-the-connection).
"""

import asyncio
import secrets
from collections.abc import Callable
from typing import Final, Protocol

from tieline.client.errors import ClientError, Closed, NoReply, Refused
from tieline.client.events import ErrorEvent
from tieline.client.messages import Reply
from tieline.client.stats import Stats
from tieline.wire.limits import RETRY_WINDOW_S

REPLY_TIMEOUT_S: Final = 10.0
"""For one answer. A gateway says INTERNAL after half of that, so the server's own word comes first."""

RESEND_WINDOW_S: Final = RETRY_WINDOW_S - 5.0
"""For so long after it was first written a request may be written again. Later the server has forgotten the
first and would take the second for another message; the difference is for the way there."""


class FrameWriter(Protocol):
    """The connection on which requests leave."""

    async def send(self, frame: bytes) -> None:
        """Write one frame; raise `Closed` when nothing can be written any more."""
        ...


class PendingRequest:
    """One frame, and its answer: a reply, or None as soon as the frame is written if none is wanted."""

    __slots__ = (
        "answered",
        "cmd",
        "first_sent_at",
        "frame",
        "on_answer",
        "request_id",
        "timer",
        "wants_reply",
    )

    def __init__(
        self,
        request_id: str,
        cmd: str,
        frame: bytes,
        *,
        wants_reply: bool = True,
        on_answer: Callable[[Reply | ClientError | None], None] | None = None,
    ) -> None:
        self.request_id = request_id
        self.cmd = cmd
        self.frame = frame
        self.wants_reply = wants_reply
        self.on_answer = on_answer
        """Called with the answer before any later frame is read; must not raise. `answered` is cancelled."""
        self.first_sent_at: float | None = None
        """When it was first written, in seconds of the event loop; None before."""
        self.answered: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()
        self.timer: asyncio.TimerHandle | None = None


class PendingRequests:
    """All requests of one client that have no answer yet, in the order of sending.

    `timeout_s`: how long a request waits for its answer over a connection that stands.
    """

    def __init__(self, timeout_s: float, stats: Stats) -> None:
        self._timeout_s = timeout_s
        self._stats = stats
        self._open: dict[str, PendingRequest] = {}
        self._outbox: asyncio.Queue[PendingRequest] | None = None
        """What the connection in use has yet to write; None while there is none."""
        # Ids are unique for the user, not only for this connection: a gateway keeps them for a minute.
        self._prefix = secrets.token_hex(6)
        self._count = 0

    def next_id(self) -> str:
        """Make a `requestId` that no other message has."""
        self._count += 1
        return f"{self._prefix}-{self._count}"

    def send(self, request: PendingRequest) -> None:
        """Send a request as soon as there is a connection, after all those sent before."""
        if request.answered.done():  # by a refusal, and the caller tries once more
            request.answered = asyncio.get_running_loop().create_future()
        self._open[request.request_id] = request
        if self._outbox is not None:
            self._enqueue(request, self._outbox)

    async def ask(self, request: PendingRequest) -> Reply | None:
        """Send a request, possibly one that has been answered before, and wait for the answer.

        Raises:
            Refused: the server refuses it.
            NoReply: the server does not answer in time, or the request has grown too old to be sent again.
            ClientError: what `fail_all` made meanwhile.
        """
        self.send(request)
        try:
            return await request.answered
        finally:
            self._settle(request)
            if not request.answered.cancel() and not request.answered.cancelled():
                # Read, because asyncio reports an exception that is never read as a bug.
                request.answered.exception()

    def answer(self, reply: Reply) -> None:
        """End the request that a reply belongs to. A reply to no open request changes nothing."""
        request = self._awaiting(reply.request_id)
        if request is not None:
            self._conclude(request, reply)

    def refuse(self, error: ErrorEvent) -> bool:
        """End the request that a refusal belongs to. False: it belongs to none, so no caller knows of it."""
        request = self._awaiting(error.request_id)
        if request is None:
            return False
        why = Refused(
            error.code,
            error.msg,
            error.reason,
            error.cmd,
            error.request_id,
            error.argument,
            error.fate,
            error.call,
        )
        return self._conclude(request, why)

    def fail_all(self, why: Callable[[PendingRequest], ClientError]) -> None:
        """Fail every open request, each with an exception of its own."""
        for request in tuple(self._open.values()):
            self._conclude(request, why(request))

    def connected(self) -> int:
        """Have every open request written to a new connection; returns how many were written before."""
        outbox = self._outbox = asyncio.Queue()
        resent = 0
        for request in tuple(self._open.values()):
            age_s = 0.0 if request.first_sent_at is None else _now() - request.first_sent_at
            if age_s > RESEND_WINDOW_S:
                self._conclude(request, NoReply(request.cmd, request.request_id, age_s))
                continue
            self._enqueue(request, outbox)
            resent += request.first_sent_at is not None
        return resent

    def disconnected(self) -> None:
        """Let every open request wait for the next connection, however long that takes."""
        self._outbox = None
        for request in self._open.values():
            _stop_timer(request)

    async def write_to(self, writer: FrameWriter) -> None:
        """Write what is to be written since the last `connected`, until `writer` is closed."""
        outbox = self._outbox
        assert outbox is not None
        while True:
            request = await outbox.get()
            if request.answered.done():
                continue
            if request.first_sent_at is None:
                request.first_sent_at = _now()
            else:
                self._stats.resent += 1
            try:
                await writer.send(request.frame)
            except Closed:
                return
            if not request.wants_reply:
                self._conclude(request, None)

    def _awaiting(self, request_id: str) -> PendingRequest | None:
        request = self._open.get(request_id)
        return request if request is not None and request.wants_reply else None

    def _enqueue(self, request: PendingRequest, outbox: asyncio.Queue[PendingRequest]) -> None:
        outbox.put_nowait(request)
        _stop_timer(request)
        if request.wants_reply:
            request.timer = asyncio.get_running_loop().call_later(self._timeout_s, self._expire, request)

    def _expire(self, request: PendingRequest) -> None:
        self._conclude(request, NoReply(request.cmd, request.request_id, self._timeout_s))

    def _conclude(self, request: PendingRequest, answer: Reply | ClientError | None) -> bool:
        """Give a request its answer. False: it has one already, or its caller has gone."""
        is_open = self._settle(request)
        if is_open:
            if request.on_answer is not None:
                request.on_answer(answer)
                request.answered.cancel()
            elif isinstance(answer, ClientError):
                request.answered.set_exception(answer)
            else:
                request.answered.set_result(answer)
        return is_open

    def _settle(self, request: PendingRequest) -> bool:
        """Expect no answer any more. False: there was one, or the caller has gone."""
        self._open.pop(request.request_id, None)
        _stop_timer(request)
        return not request.answered.done()


def _stop_timer(request: PendingRequest) -> None:
    if request.timer is not None:
        request.timer.cancel()
        request.timer = None


def _now() -> float:
    return asyncio.get_running_loop().time()
