"""See to it that each fact is told, whoever dies: a durable consumer of the bucket, shared by all processes.

It hands the newest write of each record to one process, and to another one if that does not acknowledge it
in time. Mostly the process that has written a record has told its facts by then (`presence.fact_teller`), so
processes ask at leisure: what is written to a record meanwhile is handed out once. What a process knows to be
told it acknowledges at once; all else it tells first. So a fact is told although a process dies at any
moment, or is of a version that leaves telling to this consumer.

Whoever writes a record next must know whether its facts are told: those of every revision up to the
consumer's floor are.
"""

import asyncio
import contextlib
import functools
import logging
from typing import Final

from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig

from presence.event_stream import ONCE_S
from presence.fact_teller import LATE_MS, FactTeller
from presence.record_codec import negotiation_in, user_in
from presence.rules.negotiated import Negotiation
from presence.rules.user import User
from presence.store import Record
from presence.targets import Clock
from tieline.runtime.broker import Broker, BrokerAway
from tieline.runtime.cancelling import cancellable
from tieline.runtime.guard import bug_guard
from tieline.runtime.message import Message
from tieline.runtime.requests import NoAnswer, Requests
from tieline.wire import jetstream, jetstream_answers, jetstream_headers
from tieline.wire.permissions import FACTS
from tieline.wire.subjects import Keys, identifier, users_of_pair

ACK_WAIT_S: Final = LATE_MS / 1000
"""After so long without a word a record is handed to another process; one whose events are not stored is
handed out again sooner than that, by the word of the process that has it."""

EVERY_S: Final = 2.0
"""Between two questions what is to be told: an event that its writer did not tell comes so much later."""

BUSY_S: Final = 0.02
"""Between two questions while there is more than one answer holds."""

ANSWER_S: Final = 2.0
"""For the end of one answer: a leader election takes about one second."""

RETRY_S: Final = 1.0
"""Between attempts when the stream, or the broker, does not answer."""

AT_ONCE: Final = 256
"""Records that one process has been handed and not acknowledged: some have 100 KB, most 1."""

FLOOR_EVERY_S: Final = 2.0
"""Between two questions how far all is told. Until then a record of another process keeps its facts, and a
few bytes each."""

FIRST_FLOOR_S: Final = 5.0
"""How long a process that starts waits to know that; without it, it may tell an old fact again."""

OLD_MS: Final = int(ONCE_S * 1000 / 2)
"""A fact that is older than that is taken to be told where it is not known and was told before: told again,
it might not be recognized."""

ALL_MS: Final = 1 << 62
"""Later than any fact."""

KEEP_FACTS: Final = (Keys.users(), Keys.pairs())
"""Which records keep facts."""

_NOTHING_MORE: Final = ("404", "408")
"""Statuses that end an answer which has all that there is."""

_log = logging.getLogger(__name__)


class FactConsumer:
    """One process's share of the consumer. `stream` is the bucket's stream, `prefix` its subject prefix."""

    def __init__(
        self,
        broker: Broker,
        requests: Requests,
        stream: str,
        prefix: str,
        teller: FactTeller,
        clock: Clock,
        retry_s: float = RETRY_S,
    ) -> None:
        self._broker = broker
        self._requests = requests
        self._stream = stream
        self._prefix = prefix
        self._teller = teller
        self._clock = clock
        self._retry_s = retry_s
        self._info = jetstream.consumer_info(stream, FACTS)
        self._next = jetstream.next_message(stream, FACTS)
        self._floor = 0
        self._is_sure = False
        self._looked_at = clock()
        self._inbox = ""
        self._is_begun = asyncio.Event()
        """Set while records can be asked for: the consumer is there, and the inbox is heard."""
        self._under_way = 0
        """Records that were handed out here, and are neither told nor given up."""
        self._asked_at = 0
        self._asking = asyncio.Lock()
        self._awaited = 0
        """Records that the answer under way may still bring."""
        self._answer: asyncio.Future[str] | None = None
        """The status that ends it; empty: it has brought all that was asked for."""
        broker.when_away(self._doubt)

    # How far all is told.

    def _doubt(self) -> None:
        """Be unsure of how far all is told: a broker that comes back empty counts its revisions anew."""
        self._is_sure = False

    def told_until(self, revision: int, now: int) -> int:
        """Say until when the facts of a record of this revision are told, in Unix milliseconds.

        A process that has stood still knows nothing of what others have told meanwhile.
        """
        if now - self._looked_at > LATE_MS:
            return now - OLD_MS
        if revision > self._floor:
            return 0
        return ALL_MS if self._is_sure else now - OLD_MS

    async def knows(self, patience_s: float = FIRST_FLOOR_S) -> None:
        """Wait until it is known how far all is told, for so long at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while not self._is_sure:
                    await self._look()
                    if not self._is_sure:
                        await asyncio.sleep(self._retry_s / 10)

    async def watch(self, every_s: float = FLOOR_EVERY_S) -> None:
        """Ask again and again how far all is told, until cancelled."""
        while True:
            await asyncio.sleep(every_s)
            await self._look()

    async def _look(self) -> None:
        try:
            reply = await self._requests.ask_once(self._info, b"", RETRY_S)
        except NoAnswer:
            self._is_sure = False
        else:
            floor = jetstream_answers.read_floor(reply.data)
            if floor is not None:
                self._floor, self._is_sure = floor, True
        self._looked_at = self._clock()

    # What is handed out.

    async def run(self) -> None:
        """Have all told until cancelled."""
        while True:
            with bug_guard(_log, "events pause: a bug"):  # nats-py's, after which it is asked anew
                try:
                    await self._consume()
                except (NatsError, OSError, BrokerAway) as error:  # a TimeoutError is one
                    _log.warning("events pause", extra={"error": repr(error)})
            await asyncio.sleep(self._retry_s)

    async def _consume(self) -> None:
        config = ConsumerConfig(
            name=FACTS,
            durable_name=FACTS,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ACK_WAIT_S,
            max_ack_pending=10_000,
            filter_subjects=[self._prefix + key for key in KEEP_FACTS],
        )
        await cancellable(self._broker.client.jetstream().add_consumer(self._stream, config))
        self._inbox = self._broker.client.new_inbox()
        subscription = await self._broker.subscribe(self._inbox, self._on_message)
        self._is_begun.set()
        try:
            while True:
                is_more = await self._ask()
                await asyncio.sleep(BUSY_S if is_more else EVERY_S)
        finally:
            self._is_begun.clear()
            await self._broker.drain(subscription)

    async def _ask(self) -> bool:
        """Ask for as many records as there are places; returns whether there are more of them.

        Raises:
            BrokerAway: it is not asked.
            OSError: it does not answer, or has no such consumer.
        """
        async with self._asking, asyncio.timeout(ANSWER_S):
            self._awaited = AT_ONCE - self._under_way
            if self._awaited <= 0:  # the stream of events does not answer
                return False
            self._answer = asyncio.get_running_loop().create_future()
            self._asked_at = self._clock()
            self._broker.send(self._next, jetstream.waiting_messages(self._awaited), self._inbox)
            status = await self._answer
        if status and status not in _NOTHING_MORE:
            raise OSError(f"no consumer: {status}")
        return not status

    def _on_message(self, message: Message) -> None:
        if status := message.status:
            self._end_answer(status)
            return
        self._awaited -= 1
        if not self._awaited:
            self._end_answer("")
        with bug_guard(_log, "events of a record not told: a bug", key=message.subject):
            self._take(message)

    def _end_answer(self, status: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(status)

    def _take(self, message: Message) -> None:
        """Tell what a record keeps, and acknowledge it; one that meets a bug is handed to another process."""
        key = message.subject[len(self._prefix) :]
        revision, _ = jetstream_headers.delivered_as(message.reply)
        if self._teller.is_told(key, revision):
            self._settle(message.reply, True)
            return
        record = _read(key, Record(message.data, revision))
        if record is None:
            self._settle(message.reply, True)
            return
        self._under_way += 1
        self._teller.tell(key, record, revision, self._asked_at, functools.partial(self._told, message.reply))

    def _told(self, reply: str, is_told: bool | None) -> None:
        self._under_way -= 1
        if is_told is not None:
            self._settle(reply, is_told)

    def _settle(self, reply: str, is_told: bool) -> None:
        word = jetstream.ACKNOWLEDGED if is_told else jetstream.again_after(self._retry_s)
        with contextlib.suppress(BrokerAway):  # the record is handed out again, later
            self._broker.send(reply, word)

    async def finish(self, revision: int) -> None:
        """Acknowledge what was told last, so that no process that starts much later tells it again.

        That is the record of this revision, and those before it: of what it has just stored a busy broker
        says for some milliseconds that nothing waits. It takes no longer than one answer may, also where the
        process is told to stop while it starts.
        """
        with contextlib.suppress(OSError, BrokerAway):  # a TimeoutError is one
            async with asyncio.timeout(ANSWER_S):
                await self._is_begun.wait()
                while True:
                    if not await self._ask() and await self._is_handed_out(revision):
                        return
                    await asyncio.sleep(BUSY_S)

    async def _is_handed_out(self, revision: int) -> bool:
        """Whether all records up to a revision were handed out.

        Raises:
            OSError: that is not known.
        """
        try:
            reply = await self._requests.ask_once(self._info, b"", ANSWER_S)
        except NoAnswer as error:
            raise OSError(f"no answer: {error}") from error
        return jetstream_answers.read_handed_out(reply.data) >= revision


def _read(key: str, stored: Record) -> User | Negotiation | None:
    """Read a record that may keep facts; None: it is none, or one that none of ours has written."""
    found = {key: stored}
    with contextlib.suppress(ValueError):
        if key.startswith("user."):
            identifier(key.removeprefix("user."))
            return user_in(found, key)[0]
        users_of_pair(key)
        return negotiation_in(found, key)[0]
    return None
