"""Presence with the stream of events, over the bucket of a real broker."""

import asyncio
import contextlib
import json
from typing import Any

from nats.js.errors import NotFoundError

from presence.bucket import Bucket
from presence.events import Events
from presence.record_codec import user_in
from presence.rules.negotiated import Negotiation
from presence.rules.user import User
from presence.settings import PresenceSettings
from presence.streams import Streams
from tests.broker.presence.conftest import SUBJECTS
from tests.unit.presence.presence_process import PresenceProcess
from tieline.runtime.broker import Broker
from tieline.runtime.requests import Requests
from tieline.wire.ids import UserId
from tieline.wire.internal.answers import Refused
from tieline.wire.internal.signals import Check
from tieline.wire.subjects import Keys

SETTINGS = PresenceSettings(namespace=SUBJECTS.namespace, storage="memory", events="on")


class _OverBucket(PresenceProcess):
    """A process whose users are looked up in the bucket."""

    bucket: Bucket

    async def user(self, user: str) -> User | None:
        key = Keys.user(UserId(user))
        return user_in(await self.bucket.read(key, confirmed=True), key)[0]


class _Dying:
    """What knows what is told, and never comes to tell anything."""

    def __init__(self, events: Events) -> None:
        self.told_until = events.told_until

    def tell(self, key: str, record: User | Negotiation, revision: int, since: int) -> None:
        """Die before that."""


class Eventful:
    """One presence process that tells the stream of events what it changes."""

    def __init__(self, broker: Broker, requests: Requests) -> None:
        self.broker = broker
        self.bucket = Bucket(broker, requests, SUBJECTS.namespace)
        streams = Streams(broker, SUBJECTS, SETTINGS, 40.0)
        self.process = _OverBucket()
        self.process.bucket = self.bucket
        self.events = Events(broker, requests, [self.bucket], SUBJECTS, streams, self.process.clock)
        self.process.outbox = self.events
        self.process.over(self.bucket)
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to tell, as a process does before it serves."""
        self._running = asyncio.create_task(self.events.run())
        await self.events.know()

    def leaves_telling(self) -> None:
        """Commit from now on, and tell nothing: as who dies in between does, or is of an older version."""
        self.process.outbox = _Dying(self.events)
        self.process.over(self.bucket)

    async def stop(self) -> None:
        """End at once, as a process that dies does; what it has committed is committed."""
        if self._running is not None:
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._running

    async def refused(self, user: str, to: str, frame: str) -> None:
        """Let an offer be refused."""
        check: Check = await self.process.check(user, to, "OFFER", frame)
        reply = await self.process.ask(check)
        assert isinstance(reply, Refused)
        self.events.refused(check, reply.reason)

    async def told(self) -> list[dict[str, Any]]:
        """All events that the stream has, in its order."""
        context = self.broker.client.jetstream()
        name = SUBJECTS.event_stream()
        try:
            state = (await context.stream_info(name)).state
        except NotFoundError:
            return []
        numbers = range(state.first_seq, state.last_seq + 1) if state.messages else ()
        stored = [await context.get_msg(name, seq=number) for number in numbers]
        return [json.loads(message.data or b"") for message in stored]

    async def kinds(self, subject: str = "") -> list[str]:
        """The kinds of all events, or of those about one subject."""
        return [
            event["type"].removeprefix("tieline.")
            for event in await self.told()
            if event["subject"].startswith(subject)
        ]
