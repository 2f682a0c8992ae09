"""Requests over the broker, all answered on one wildcard subscription, resent until they are answered.

Every request of Tieline may be sent twice: the process that answers recognizes a retry of what it, or another
process, has just done. So a request without an answer is resent as it was, and reaches another member of the
queue group when the first has died. If the first was only slow, it carries out its copy later, after any
time: how such a copy is recognized is said in docs/decisions/0081-what-is-asked-late-changes-nothing.md.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from tieline.runtime import metrics
from tieline.runtime.broker import Broker, BrokerAway
from tieline.runtime.compiling import mypyc_attr
from tieline.runtime.guard import bug_guard
from tieline.runtime.message import NO_RESPONDERS, Message
from tieline.runtime.once import NoAnswer, Once

FIRST_RETRY_S: Final = 0.5
"""Hundreds of times the usual answer: a process that has not answered by then is most likely dead."""

NO_LISTENER_RETRY_S: Final = 0.1
"""After the broker said that no process listens: soon, because one that restarts is back at once."""

CHECK_EVERY_S: Final = 0.05
"""Between two checks of what is due to be resent, or has waited long enough. A timer for each request would
cost a twentieth of a gateway's CPU time, and a time-out of asyncio's for each twice that in presence."""

PATIENCE_S: Final = 5.0
"""Total time before the caller is told that nobody answered."""

_TOKEN_LENGTH: Final = 16
"""Hexadecimal digits of a reply subject's last token. Who cannot guess it cannot answer: a process that was
taken over may have the broker send something to any subject that its like hear
(docs/decisions/0085-neighbours-are-believed-no-more-than-clients.md)."""

_RANDOM_BYTES: Final = 4096
"""Taken from the system at once, for 512 requests: to ask it for each would cost a hundredth of a signal."""

_PATIENCE: Final = b"Tieline-Patience"
"""The header of a request that says for how many milliseconds more its asker waits. They count from its
arrival, so that no two clocks are compared; what it took to arrive is not known, and little."""

_MAX_DIGITS: Final = 9
"""Of that number: a million seconds are more than anybody waits, and a number may be as long as a message."""


def patience_of(message: Message, usual_s: float = PATIENCE_S) -> float:
    """Return for how many seconds the asker of a request waits from now on; `usual_s` if it does not say."""
    if not message.headers:
        return usual_s
    said = message.header(_PATIENCE)
    return min(int(said) / 1000, usual_s) if said.isdecimal() and len(said) <= _MAX_DIGITS else usual_s


_log = logging.getLogger(__name__)

_guard: Final = bug_guard(_log, "request not sent again, or not given up: a bug")


def waiting_for(seconds: float) -> bytes:
    """Write the headers that say how long an answer is still waited for (`patience_of`)."""
    return b"NATS/1.0\r\n%b: %d\r\n\r\n" % (_PATIENCE, max(0, int(seconds * 1000)))


class Question(Protocol):
    """A request that is resent until it is answered."""

    def payload(self) -> bytes | None:
        """Return what is to be sent, the first time and again; None: nothing more, only the answer counts."""
        ...

    def hear(self, reply: Message) -> bool:
        """Take a reply; returns whether the answer is complete."""
        ...

    def give_up(self) -> None:
        """Take note that no answer has come in time."""
        ...


def always() -> bool:
    """Say that a request is wanted, whatever happens meanwhile."""
    return True


class _Plain:
    """A question with one answer, or with None."""

    __slots__ = ("_done", "_is_wanted", "_payload")

    def __init__(
        self,
        payload: bytes,
        done: Callable[[Message | None], None],
        is_wanted: Callable[[], bool] = always,
    ) -> None:
        self._payload = payload
        self._done = done
        self._is_wanted = is_wanted

    def payload(self) -> bytes | None:
        return self._payload if self._is_wanted() else None

    def hear(self, reply: Message) -> bool:
        self._done(reply)
        return True

    def give_up(self) -> None:
        self._done(None)


class _Pending:
    """A question that waits for its answer; `deadline` and `due` are seconds of the loop's clock."""

    __slots__ = ("deadline", "delay", "due", "headers", "question", "subject")

    def __init__(
        self, subject: str, question: Question, headers: Mapping[str, str] | bytes | None, deadline: float
    ) -> None:
        self.subject = subject
        self.question = question
        self.headers = headers
        """None: those that say how long the asker still waits."""
        self.deadline = deadline
        self.due = deadline
        self.delay = FIRST_RETRY_S


@mypyc_attr(allow_interpreted_subclasses=True)  # tests have some whose broker goes away at any time
class Requests:
    """Ask over one broker connection. `prefix` is this process's own subject for replies."""

    def __init__(self, broker: Broker, prefix: str) -> None:
        self._broker = broker
        self._prefix = prefix
        self._cut = len(prefix) + 1
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[str, _Pending | Once] = {}
        self._random = ""
        self._used = 0
        self._checking: asyncio.TimerHandle | None = None
        self._late: Callable[[Message], None] | None = None

    def hear_late(self, late: Callable[[Message], None]) -> None:
        """Have `late` called with each answer for which nobody waits any more."""
        self._late = late

    @property
    def is_alone(self) -> bool:
        """See `Broker`."""
        return self._broker.is_alone

    def __len__(self) -> int:
        """Count the requests that wait for an answer."""
        return len(self._waiting)

    async def start(self) -> None:
        """Listen for replies. Call once, before the first request."""
        await self._broker.subscribe(f"{self._prefix}.*", self._on_reply)

    def begin(
        self,
        subject: str,
        payload: bytes,
        done: Callable[[Message | None], None],
        patience: float = PATIENCE_S,
        headers: Mapping[str, str] | bytes | None = b"",
    ) -> None:
        """Ask, and call `done` once: with the reply, or with None after `patience` seconds without one.

        With None as `headers` each attempt says how long its asker still waits (`patience_of`).
        """
        self.put(subject, _Plain(payload, done), patience, headers)

    def put(
        self,
        subject: str,
        question: Question,
        patience: float = PATIENCE_S,
        headers: Mapping[str, str] | bytes | None = b"",
    ) -> None:
        """Ask; `question` is given the replies, or told after `patience` seconds that none came.

        With None as `headers` each attempt says how long its asker still waits (`patience_of`).
        """
        now = self._loop.time()
        token = self._token()
        pending = _Pending(subject, question, headers, now + patience)
        self._wait(token, pending)
        self._attempt(token, pending, now)

    async def ask(
        self,
        subject: str,
        payload: bytes,
        patience: float = PATIENCE_S,
        is_wanted: Callable[[], bool] = always,
    ) -> bytes:
        """Ask, and return the reply's payload. Each attempt says how long it is still waited for.

        Once it `is_wanted` no more, the request is not sent again.

        Raises:
            NoAnswer: no answer came within `patience` seconds.
        """
        answered: asyncio.Future[Message | None] = self._loop.create_future()

        def done(reply: Message | None) -> None:
            if not answered.done():
                answered.set_result(reply)

        self.put(subject, _Plain(payload, done, is_wanted), patience, None)
        reply = await answered
        if reply is None:
            raise NoAnswer(subject)
        return reply.data

    async def ask_once(
        self, subject: str, payload: bytes, timeout: float, headers: Mapping[str, str] | bytes = b""
    ) -> Message:
        """Ask without ever resending, for what would not be a retry the second time (a compare-and-set).

        Raises:
            NoAnswer: no reply within `timeout` seconds, or no process listens.
        """
        return (await self.begin_once(subject, payload, timeout, headers).replies())[0]

    async def gather(self, subject: str, payload: bytes, timeout: float) -> list[Message]:
        """Ask once, and return all replies up to the one with a status, which says that it is the last.

        Raises:
            NoAnswer: the last reply did not come within `timeout` seconds, or no process listens.
        """
        return await self.begin_once(subject, payload, timeout, is_one=False).replies()

    def begin_once(
        self,
        subject: str,
        payload: bytes,
        timeout: float,
        headers: Mapping[str, str] | bytes = b"",
        *,
        is_one: bool = True,
    ) -> Once:
        """Ask as `ask_once` does, or as `gather` does, and let the caller wait when it has asked for more.

        Nothing is raised here: what could not be sent is told to whoever waits.
        """
        once = Once(subject, self._loop.create_future(), self._loop.time() + timeout, is_one=is_one)
        token = self._token()
        self._wait(token, once)
        try:
            self._broker.send(subject, payload, f"{self._prefix}.{token}", headers)
        except BrokerAway as error:
            del self._waiting[token]
            once.give_up(error)
        return once

    def _wait(self, token: str, waiting: _Pending | Once) -> None:
        """Take note of what is about to be asked: whatever that meets, it is given up in time."""
        self._waiting[token] = waiting
        if self._checking is None:
            self._checking = self._loop.call_later(CHECK_EVERY_S, self._check_due)

    def _token(self) -> str:
        """Name one request, as nobody can guess who is not asked."""
        at = self._used
        if at == len(self._random):
            self._random, at = secrets.token_hex(_RANDOM_BYTES), 0
        self._used = at + _TOKEN_LENGTH
        return self._random[at : self._used]

    def _attempt(self, token: str, pending: _Pending, now: float) -> None:
        payload = pending.question.payload()
        if payload is None:
            pending.due = pending.deadline
            return
        try:
            headers = pending.headers
            if headers is None:
                headers = waiting_for(pending.deadline - now)
            self._broker.send(pending.subject, payload, f"{self._prefix}.{token}", headers)
        except BrokerAway:
            pending.due = now + NO_LISTENER_RETRY_S
        else:
            pending.due = now + pending.delay
            pending.delay *= 2

    def _check_due(self) -> None:
        """Resend what is due, and give up what has waited long enough."""
        self._checking = self._loop.call_later(CHECK_EVERY_S, self._check_due) if self._waiting else None
        now = self._loop.time()
        for token, pending in list(self._waiting.items()):
            if isinstance(pending, Once):
                if pending.deadline <= now:
                    del self._waiting[token]
                    pending.give_up()
                continue
            if pending.deadline > now and pending.due > now:
                continue
            with _guard:  # a bug that one question meets must not leave the others waiting
                if pending.deadline <= now:
                    del self._waiting[token]
                    pending.question.give_up()
                else:
                    metrics.REQUEST_RETRIES.inc()
                    self._attempt(token, pending, now)

    def _on_reply(self, reply: Message) -> None:
        token = reply.subject[self._cut :]
        waiting = self._waiting.get(token)
        if isinstance(waiting, _Pending):
            if reply.headers and reply.status == NO_RESPONDERS:
                waiting.delay = FIRST_RETRY_S  # no process had it: none was slow
                waiting.due = self._loop.time() + NO_LISTENER_RETRY_S
            elif waiting.question.hear(reply):
                del self._waiting[token]
        elif waiting is not None:
            if waiting.hear(reply):
                del self._waiting[token]
        elif self._late is not None and not reply.headers:
            self._late(reply)
        # else it is the answer to an earlier attempt; the first one counts


__all__ = ["PATIENCE_S", "NoAnswer", "Question", "Requests", "always", "patience_of", "waiting_for"]
