"""Requests over the broker, all answered on one wildcard subscription, resent until somebody answers.

Every request of Tieline may be asked twice: whoever answers recognizes a retry. So a request that nobody
answers is sent again as it was, and reaches another member of the queue group when the first has died.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from tieline.runtime import metrics
from tieline.runtime.broker import Broker, BrokerAway
from tieline.runtime.message import NO_RESPONDERS, Message

FIRST_RETRY_S: Final = 0.5
"""Hundreds of times the usual answer: whoever has not answered by then is most likely dead."""

NOBODY_RETRY_S: Final = 0.1
"""After the broker said that nobody listens: soon, for the one that restarts will be back at once."""

PATIENCE_S: Final = 5.0
"""In all, then the caller is told: a client's user waits no longer for a call to begin."""


class NoAnswer(Exception):
    """Nobody answered within the patience of the request; it may or may not have been carried out."""


class _Question:
    """One request that is resent until its one answer comes."""

    __slots__ = ("deadline", "delay", "done", "headers", "payload", "subject", "timer")

    def __init__(
        self,
        subject: str,
        payload: bytes,
        headers: dict[str, str] | None,
        deadline: float,
        done: Callable[[Message | None], None],
    ) -> None:
        self.subject = subject
        self.payload = payload
        self.headers = headers
        self.deadline = deadline
        self.delay = FIRST_RETRY_S
        self.done = done
        self.timer: asyncio.TimerHandle | None = None


class _Collection:
    """One request that is sent once, with all its answers up to the last."""

    __slots__ = ("complete", "is_last", "replies")

    def __init__(self, complete: asyncio.Future[list[Message]], is_last: Callable[[Message], bool]) -> None:
        self.complete = complete
        self.is_last = is_last
        self.replies: list[Message] = []


class Requests:
    """Ask over one broker connection. `prefix` is this process's own subject for replies."""

    def __init__(self, broker: Broker, prefix: str) -> None:
        self._broker = broker
        self._prefix = prefix
        self._cut = len(prefix) + 1
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[str, _Question | _Collection] = {}
        self._count = 0

    async def start(self) -> None:
        """Listen for replies. Call once, before the first request."""
        await self._broker.subscribe(f"{self._prefix}.*", self._on_reply)

    def begin(
        self,
        subject: str,
        payload: bytes,
        done: Callable[[Message | None], None],
        patience: float = PATIENCE_S,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Ask, and call `done` once: with the reply, or with None after `patience` seconds without one."""
        token = self._token()
        question = _Question(subject, payload, headers, self._loop.time() + patience, done)
        self._waiting[token] = question
        self._attempt(token, question)

    async def ask(self, subject: str, payload: bytes, patience: float = PATIENCE_S) -> bytes:
        """Ask, and return the reply's payload.

        Raises:
            NoAnswer: nobody answered within `patience` seconds.
        """
        answered: asyncio.Future[Message | None] = self._loop.create_future()

        def done(reply: Message | None) -> None:
            if not answered.done():
                answered.set_result(reply)

        self.begin(subject, payload, done, patience)
        reply = await answered
        if reply is None:
            raise NoAnswer(subject)
        return reply.data

    async def ask_once(
        self, subject: str, payload: bytes, timeout: float, headers: dict[str, str] | None = None
    ) -> Message:
        """Ask without ever asking again, for what would be no retry the second time (a compare-and-set).

        Raises:
            NoAnswer: no reply within `timeout` seconds, or nobody listens.
        """
        (reply,) = await self._collect(subject, payload, timeout, headers, lambda _: True)
        if reply.status == NO_RESPONDERS:
            raise NoAnswer(subject)
        return reply

    async def gather(self, subject: str, payload: bytes, timeout: float) -> list[Message]:
        """Ask once, and return all replies up to the one with a status, which says that it is the last.

        Raises:
            NoAnswer: the last reply did not come within `timeout` seconds, or nobody listens.
        """
        replies = await self._collect(subject, payload, timeout, None, lambda reply: reply.status != "")
        if replies[-1].status == NO_RESPONDERS:
            raise NoAnswer(subject)
        return replies

    async def _collect(
        self,
        subject: str,
        payload: bytes,
        timeout: float,
        headers: dict[str, str] | None,
        is_last: Callable[[Message], bool],
    ) -> list[Message]:
        token = self._token()
        collection = _Collection(self._loop.create_future(), is_last)
        self._waiting[token] = collection
        try:
            self._broker.send(subject, payload, f"{self._prefix}.{token}", headers)
            async with asyncio.timeout(timeout):
                return await collection.complete
        except (BrokerAway, TimeoutError) as error:
            raise NoAnswer(subject) from error
        finally:
            self._waiting.pop(token, None)

    def _token(self) -> str:
        self._count += 1
        return str(self._count)

    def _attempt(self, token: str, question: _Question) -> None:
        try:
            self._broker.send(question.subject, question.payload, f"{self._prefix}.{token}", question.headers)
        except BrokerAway:
            self._retry_in(NOBODY_RETRY_S, token, question)
        else:
            self._retry_in(question.delay, token, question)
            question.delay *= 2

    def _retry_in(self, delay: float, token: str, question: _Question) -> None:
        when = self._loop.time() + delay
        if when < question.deadline:
            question.timer = self._loop.call_at(when, self._again, token, question)
        else:  # decided here: a timer may go off a little early, and find some patience left, again and again
            question.timer = self._loop.call_at(question.deadline, self._give_up, token, question)

    def _give_up(self, token: str, question: _Question) -> None:
        del self._waiting[token]
        question.done(None)

    def _again(self, token: str, question: _Question) -> None:
        metrics.REQUEST_RETRIES.inc()
        self._attempt(token, question)

    def _on_reply(self, reply: Message) -> None:
        token = reply.subject[self._cut :]
        match self._waiting.get(token):
            case _Question() as question:
                assert question.timer is not None
                question.timer.cancel()
                if reply.headers and reply.status == NO_RESPONDERS:
                    question.delay = FIRST_RETRY_S  # nobody had it: nobody was slow
                    self._retry_in(NOBODY_RETRY_S, token, question)
                else:
                    del self._waiting[token]
                    question.done(reply)
            case _Collection() as collection:
                collection.replies.append(reply)
                if collection.is_last(reply):
                    del self._waiting[token]
                    if not collection.complete.done():
                        collection.complete.set_result(collection.replies)
            case None:  # the answer to an earlier attempt; the first one counts
                pass
