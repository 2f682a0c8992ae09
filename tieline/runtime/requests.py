"""Requests over the broker, all answered on one wildcard subscription, resent until they are answered.

Every request of Tieline may be sent twice: the process that answers recognizes a retry of what it, or another
process, has just done. So a request without an answer is resent as it was, and reaches another member of the
queue group when the first has died: later where answers take longer (`tieline.runtime.answer_time`). If the
first was only slow, it carries out its copy later, after any time: how such a copy is recognized is said in
docs/decisions/0081-what-is-asked-late-changes-nothing.md.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from typing import Final

from tieline.runtime import metrics
from tieline.runtime.answer_time import AnswerTime
from tieline.runtime.broker import Broker, BrokerAway
from tieline.runtime.compiling import mypyc_attr
from tieline.runtime.guard import bug_guard
from tieline.runtime.message import NO_RESPONDERS, Message
from tieline.runtime.once import NoAnswer, Once
from tieline.runtime.patience import PATIENCE_S, waiting_for
from tieline.runtime.pending import Pending, Plain, Question, always

NO_LISTENER_RETRY_S: Final = 0.1
"""After the broker said that no process listens: soon, because one that restarts is back at once."""

CHECK_EVERY_S: Final = 0.05
"""Between two checks of what is due to be resent, or has waited long enough. A timer for each request would
cost a twentieth of a gateway's CPU time, and a time-out of asyncio's for each twice that in presence."""

_TOKEN_LENGTH: Final = 16
"""Hexadecimal digits of a reply subject's last token. Who cannot guess it cannot answer: a process that was
taken over may have the broker send something to any subject that its like hear
(docs/decisions/0085-neighbours-are-believed-no-more-than-clients.md)."""

_RANDOM_BYTES: Final = 4096
"""Taken from the system at once, for 512 requests: to ask it for each would cost a hundredth of a signal."""

_log = logging.getLogger(__name__)

_guard: Final = bug_guard(_log, "request not sent again, or not given up: a bug")


@mypyc_attr(allow_interpreted_subclasses=True)  # tests have some whose broker goes away at any time
class Requests:
    """Ask over one broker connection. `prefix` is this process's own subject for replies."""

    def __init__(self, broker: Broker, prefix: str) -> None:
        self._broker = broker
        self._prefix = prefix
        self._cut = len(prefix) + 1
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[str, Pending | Once] = {}
        self._usual: dict[str, AnswerTime] = {}
        """By kind of request."""
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
        kind: str = "",
    ) -> None:
        """Ask, and call `done` once: with the reply, or with None after `patience` seconds without one.

        See `put` for the rest.
        """
        self.put(subject, Plain(payload, done), patience, headers, kind)

    def put(
        self,
        subject: str,
        question: Question,
        patience: float = PATIENCE_S,
        headers: Mapping[str, str] | bytes | None = b"",
        kind: str = "",
    ) -> None:
        """Ask; `question` is given the replies, or told after `patience` seconds that none came.

        With None as `headers` each attempt says how long its asker still waits (`patience.patience_of`). How
        long answers take is learned for each `kind`, of which there are few: where subjects are many, they
        share one.
        """
        now = self._loop.time()
        token = self._token()
        pending = Pending(subject, question, headers, now + patience, self._usual_of(kind or subject))
        self._wait(token, pending)
        self._attempt(token, pending, now)

    async def ask(
        self,
        subject: str,
        payload: bytes,
        patience: float = PATIENCE_S,
        is_wanted: Callable[[], bool] = always,
        kind: str = "",
    ) -> bytes:
        """Ask, and return the reply's payload. Each attempt says how long it is still waited for.

        Once it `is_wanted` no more, the request is not sent again. `kind` is that of `put`.

        Raises:
            NoAnswer: no answer came within `patience` seconds.
        """
        answered: asyncio.Future[Message | None] = self._loop.create_future()

        def done(reply: Message | None) -> None:
            if not answered.done():
                answered.set_result(reply)

        self.put(subject, Plain(payload, done, is_wanted), patience, None, kind)
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
        usual: AnswerTime | None = None,
    ) -> Once:
        """Ask as `ask_once` does, or as `gather` does, and let the caller wait when it has asked for more.

        It may be given up before `timeout` seconds have passed, when that is `enough_s` of what is `usual`.
        Nothing is raised here: what could not be sent is told to whoever waits.
        """
        once = Once(
            subject, self._loop.create_future(), self._loop.time(), timeout, is_one=is_one, usual=usual
        )
        token = self._token()
        self._wait(token, once)
        try:
            self._broker.send(subject, payload, f"{self._prefix}.{token}", headers)
        except BrokerAway as error:
            del self._waiting[token]
            once.give_up(error)
        return once

    def _usual_of(self, kind: str) -> AnswerTime:
        usual = self._usual.get(kind)
        if usual is None:
            usual = self._usual[kind] = AnswerTime()
        return usual

    def _wait(self, token: str, waiting: Pending | Once) -> None:
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

    def _attempt(self, token: str, pending: Pending, now: float) -> None:
        payload = pending.question.payload()
        if payload is None:
            pending.due = pending.deadline
            return
        pending.times *= 2
        try:
            headers = pending.headers
            if headers is None:
                headers = waiting_for(pending.deadline - now)
            self._broker.send(pending.subject, payload, f"{self._prefix}.{token}", headers)
        except BrokerAway:
            pending.times = 0
            pending.due = now + NO_LISTENER_RETRY_S
        else:
            pending.times = pending.times or 1
            pending.sent = pending.due = now

    def _check_due(self) -> None:
        """Resend what is due, and give up what has waited long enough."""
        self._checking = self._loop.call_later(CHECK_EVERY_S, self._check_due) if self._waiting else None
        now = self._loop.time()
        for token, pending in list(self._waiting.items()):
            if isinstance(pending, Once):
                if pending.is_late(now):
                    del self._waiting[token]
                    pending.give_up()
                continue
            if pending.deadline > now and (pending.due > now or pending.is_put_off(now)):
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
        if isinstance(waiting, Pending):
            if reply.headers and reply.status == NO_RESPONDERS:
                waiting.times = 0  # no process had it: none was slow
                waiting.due = self._loop.time() + NO_LISTENER_RETRY_S
            elif waiting.question.hear(reply):
                waiting.usual.note(self._loop.time() - waiting.sent)
                del self._waiting[token]
        elif waiting is not None:
            if waiting.hear(reply, self._loop.time()):
                del self._waiting[token]
        elif self._late is not None and not reply.headers:
            self._late(reply)
        # else it is the answer to an earlier attempt; the first one counts


__all__ = ["NoAnswer", "Requests"]
