"""Requests over the broker, all answered on one wildcard subscription, resent until somebody answers.

Every request of Tieline may be asked twice: whoever answers recognizes a retry. So a request that nobody
answers is sent again as it was, and reaches another member of the queue group when the first has died.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from tieline.runtime import metrics
from tieline.runtime.broker import Broker, BrokerAway
from tieline.runtime.message import NO_RESPONDERS, Message

FIRST_RETRY_S: Final = 0.5
"""Hundreds of times the usual answer: whoever has not answered by then is most likely dead."""

NOBODY_RETRY_S: Final = 0.1
"""After the broker said that nobody listens: soon, for the one that restarts will be back at once."""

LOOK_EVERY_S: Final = 0.05
"""Between two looks at what is due to be sent again. A timer for each request would cost a twentieth of all
that a gateway does."""

PATIENCE_S: Final = 5.0
"""In all, then the caller is told: a client's user waits no longer for a call to begin."""


class NoAnswer(Exception):
    """Nobody answered within the patience of the request; it may or may not have been carried out."""


class Question(Protocol):
    """What is asked: resent until it is answered."""

    def payload(self) -> bytes:
        """Say what is to be sent, the first time and again."""
        ...

    def hear(self, reply: Message) -> bool:
        """Take a reply; False: it is not the whole answer."""
        ...

    def give_up(self) -> None:
        """Take note that nobody has answered in time."""
        ...


class _Plain:
    """A question with one answer, or with None."""

    __slots__ = ("_done", "_payload")

    def __init__(self, payload: bytes, done: Callable[[Message | None], None]) -> None:
        self._payload = payload
        self._done = done

    def payload(self) -> bytes:
        return self._payload

    def hear(self, reply: Message) -> bool:
        self._done(reply)
        return True

    def give_up(self) -> None:
        self._done(None)


class _Asked:
    """A question that waits for its answer, and when to do what about it, in seconds of the loop."""

    __slots__ = ("deadline", "delay", "due", "headers", "question", "subject")

    def __init__(
        self, subject: str, question: Question, headers: Mapping[str, str] | bytes, deadline: float
    ) -> None:
        self.subject = subject
        self.question = question
        self.headers = headers
        self.deadline = deadline
        self.due = deadline
        self.delay = FIRST_RETRY_S


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
        self._waiting: dict[str, _Asked | _Collection] = {}
        self._count = 0
        self._looking: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Listen for replies. Call once, before the first request."""
        await self._broker.subscribe(f"{self._prefix}.*", self._on_reply)

    def begin(
        self,
        subject: str,
        payload: bytes,
        done: Callable[[Message | None], None],
        patience: float = PATIENCE_S,
        headers: Mapping[str, str] | bytes = b"",
    ) -> None:
        """Ask, and call `done` once: with the reply, or with None after `patience` seconds without one."""
        self.put(subject, _Plain(payload, done), patience, headers)

    def put(
        self,
        subject: str,
        question: Question,
        patience: float = PATIENCE_S,
        headers: Mapping[str, str] | bytes = b"",
    ) -> None:
        """Ask; `question` hears what is answered, or that nothing is after `patience` seconds."""
        now = self._loop.time()
        token = self._token()
        asked = self._waiting[token] = _Asked(subject, question, headers, now + patience)
        self._attempt(token, asked, now)
        if self._looking is None:
            self._looking = self._loop.call_later(LOOK_EVERY_S, self._look)

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
        self, subject: str, payload: bytes, timeout: float, headers: Mapping[str, str] | bytes = b""
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
        replies = await self._collect(subject, payload, timeout, b"", lambda reply: reply.status != "")
        if replies[-1].status == NO_RESPONDERS:
            raise NoAnswer(subject)
        return replies

    async def _collect(
        self,
        subject: str,
        payload: bytes,
        timeout: float,
        headers: Mapping[str, str] | bytes,
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

    def _attempt(self, token: str, asked: _Asked, now: float) -> None:
        try:
            payload = asked.question.payload()
            self._broker.send(asked.subject, payload, f"{self._prefix}.{token}", asked.headers)
        except BrokerAway:
            asked.due = now + NOBODY_RETRY_S
        else:
            asked.due = now + asked.delay
            asked.delay *= 2

    def _look(self) -> None:
        """Send again what is due, and give up what has waited long enough."""
        self._looking = self._loop.call_later(LOOK_EVERY_S, self._look) if self._waiting else None
        now = self._loop.time()
        for token, asked in list(self._waiting.items()):
            if not isinstance(asked, _Asked):
                continue
            if asked.deadline <= now:
                del self._waiting[token]
                asked.question.give_up()
            elif asked.due <= now:
                metrics.REQUEST_RETRIES.inc()
                self._attempt(token, asked, now)

    def _on_reply(self, reply: Message) -> None:
        token = reply.subject[self._cut :]
        waiting = self._waiting.get(token)
        if isinstance(waiting, _Asked):
            if reply.headers and reply.status == NO_RESPONDERS:
                waiting.delay = FIRST_RETRY_S  # nobody had it: nobody was slow
                waiting.due = self._loop.time() + NOBODY_RETRY_S
            elif waiting.question.hear(reply):
                del self._waiting[token]
        elif waiting is not None:
            waiting.replies.append(reply)
            if waiting.is_last(reply):
                del self._waiting[token]
                if not waiting.complete.done():
                    waiting.complete.set_result(waiting.replies)
        # else it is the answer to an earlier attempt; the first one counts
