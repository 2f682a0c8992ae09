"""What the tests wait with: everything observable, and nothing waited for longer than one timeout."""

import asyncio
import logging
from collections.abc import Callable, Mapping

from tieline.runtime.broker import Broker, Message
from tieline.runtime.nats_parser import Listener

PATIENCE_S = 20
"""For what must happen, however busy the machine is."""

SHORT_S = 0.1
"""A patience for requests that get no answer."""

ONE_RETRY_S = 1.2
"""A patience with ample room for one retry, and none for two."""


class Inbox:
    """Keeps what arrived on a subscription, in order."""

    def __init__(self) -> None:
        self._messages: asyncio.Queue[Message] = asyncio.Queue()

    def put(self, message: Message) -> None:
        self._messages.put_nowait(message)

    async def next(self) -> Message:
        async with asyncio.timeout(PATIENCE_S):
            return await self._messages.get()

    def is_empty(self) -> bool:
        return self._messages.empty()


class LogTap(logging.Handler):
    """Keeps the records of one logger, to be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._records: asyncio.Queue[logging.LogRecord] = asyncio.Queue()

    def emit(self, record: logging.LogRecord) -> None:
        self._records.put_nowait(record)

    async def until(self, event: str) -> logging.LogRecord:
        async with asyncio.timeout(PATIENCE_S):
            while (record := await self._records.get()).getMessage() != event:
                pass
            return record


def watch(broker: Broker) -> tuple[asyncio.Event, asyncio.Event]:
    """Return two events: the broker is away; it is back."""
    away, back = asyncio.Event(), asyncio.Event()
    broker.when_away(away.set)
    broker.when_back(back.set)
    return away, back


async def happens(event: asyncio.Event) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await event.wait()


class Attempts(Broker):
    """A broker that tells of everything that is sent on it."""

    def __init__(self, broker: Broker) -> None:
        super().__init__(broker.client, [], [])
        self._sent: asyncio.Queue[bytes] = asyncio.Queue()

    def send(
        self, subject: str, payload: bytes, reply: str = "", headers: Mapping[str, str] | bytes = b""
    ) -> None:
        self._sent.put_nowait(payload)
        super().send(subject, payload, reply, headers)

    async def next(self) -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            return await self._sent.get()


def answering(service: Broker, answer: Callable[[Message], bytes]) -> Listener:
    def callback(question: Message) -> None:
        service.send(question.reply, answer(question))

    return callback


async def listen(service: Broker, callback: Listener) -> None:
    await service.subscribe("t.ask", callback, queue="answering")
    await service.flush()
