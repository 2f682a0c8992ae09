"""A presence process as far as timers go, over the bucket of a real broker."""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Final

from nats.js.api import ConsumerInfo
from nats.js.errors import NotFoundError

from presence.announce import Announcer
from presence.bucket import Bucket
from presence.changes import Changes
from presence.gateways import Gateways
from presence.listeners import Listeners
from presence.old_calls import OldCalls
from presence.operations import Operations
from presence.record_codec import user_in
from presence.records import Records
from presence.rosters import Rosters
from presence.rules.signals import Terms
from presence.second_look import SecondLooks
from presence.store import NOTHING_KNOWN, ListedStore, Record
from presence.timers import Timers
from tests.broker.presence.conftest import SUBJECTS
from tests.support.waiting import until_true
from tests.unit.presence.lifetime import FakeMail, FakeRoomLog, Life
from tests.unit.presence.presence_process import in_words
from tests.unit.presence.rules.frames import NOW
from tieline.runtime.broker import Broker
from tieline.wire import jetstream_headers
from tieline.wire.ids import GatewayId, RoomId, UserId
from tieline.wire.internal.directions import PresenceReply, PresenceRequest
from tieline.wire.permissions import TIMERS
from tieline.wire.subjects import Keys

SOON_S: Final = 1.0
"""The shortest time that a timer can be set for."""

LONG_S: Final = 600.0


class FaultyStore:
    """A store of which one read of each of some keys goes wrong."""

    def __init__(self, store: ListedStore) -> None:
        self._store = store
        self.faults: dict[str, Exception] = {}
        self.before: dict[str, Callable[[], Awaitable[object]]] = {}
        """What is done once, before that key is read."""
        self.write = store.write
        self.put = store.put
        self.keys = store.keys
        self.read_few = store.read_few
        self.read_dated = store.read_dated
        self.delete = store.delete

    async def read(
        self, *keys: str, confirmed: bool = False, known: Mapping[str, Record] = NOTHING_KNOWN
    ) -> dict[str, Record]:
        """See `Store.read`."""
        for key in keys:
            if key in self.before:
                await self.before.pop(key)()
            if key in self.faults:
                raise self.faults.pop(key)
        return await self._store.read(*keys, confirmed=confirmed, known=known)


class Publisher:
    """Keeps what others are told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def send(self, subject: str, payload: bytes, reply: str = "", headers: bytes = b"") -> None:
        """Keep what is for users."""
        assert not reply
        del headers
        _, kind, user, *_ = subject.split(".")
        if kind == "user":
            self.told.append((user, in_words(payload)))


class Presence:
    """One presence process, as far as timers go. Its times are as short as they can be."""

    def __init__(self, broker: Broker, bucket: Bucket) -> None:
        self.bucket = bucket
        self.store = FaultyStore(bucket)
        self.publisher = Publisher()
        self.living: set[GatewayId] = set()
        records = Records(self.store, LONG_S)
        announcer = Announcer(self.publisher, SUBJECTS)
        listeners = Listeners(self.store, lambda: NOW)
        log = FakeRoomLog(Life())
        changes = Changes(
            records, Rosters(records, 9), announcer, lambda: NOW, log, listeners.are_all, OldCalls()
        )
        gateways = Gateways(records, changes, self._is_alive, SOON_S, SOON_S, listeners)
        looks = SecondLooks(records, changes.end_offered, FakeMail())
        terms = Terms("hold", SOON_S)
        self._operations = Operations(records, changes, gateways, terms, SOON_S, log, looks)
        self.closed: list[RoomId] = []
        """Rooms of which more of the members are to be put out."""
        self.timers = Timers(broker, bucket.stream, bucket.prefix, gateways, changes, close=self._note_closed)
        self.running = asyncio.create_task(self.timers.run())
        self._context = broker.client.jetstream()

    async def ask(self, request: PresenceRequest) -> PresenceReply:
        """Carry out a request, and what comes after its answer."""
        reply, afterwards = await self._operations.carry_out(request)
        if afterwards is not None:
            await afterwards()
        return reply

    async def _note_closed(self, room: RoomId) -> None:
        self.closed.append(room)

    async def _is_alive(self, gateway: GatewayId, _patience_s: float) -> bool:
        return gateway in self.living

    async def consumer(self) -> ConsumerInfo | None:
        """What the broker says of the consumer of markers, when it is there."""
        try:
            info: ConsumerInfo = await self._context.consumer_info(self.bucket.stream, TIMERS)
        except NotFoundError:
            return None
        return info

    async def has_acknowledged(self, stored: int) -> bool:
        """Whether everything about timers is acknowledged, up to this place in the stream at least."""
        info = await self.consumer()
        if info is None or info.ack_floor is None:
            return False
        return info.ack_floor.stream_seq >= stored and not info.num_ack_pending and not info.num_pending

    async def marker_of(self, key: str) -> int | None:
        """Find the marker of an expired timer, or what has replaced it; returns its place in the stream."""
        try:
            stored = await self._context.get_last_msg(self.bucket.stream, self.bucket.prefix + key)
        except NotFoundError:  # it was carried out, and is gone
            return 1
        is_over = jetstream_headers.has_expired(stored.headers) or "KV-Operation" in (stored.headers or {})
        return stored.seq if is_over else None

    async def has_expired(self, *keys: str) -> None:
        """Wait until these timers have expired, and all that has come is acknowledged."""
        markers = [await until_true(functools.partial(self.marker_of, key)) for key in keys]
        await until_true(lambda: self.has_acknowledged(max(markers)))

    async def status(self, user: UserId) -> str:
        """How a user is."""
        key = Keys.user(user)
        record, _ = user_in(await self.bucket.read(key), key)
        return "unknown" if record is None else record.session.status

    async def stop(self) -> None:
        """Stop consuming."""
        self.timers.stop()
        self.running.cancel()
        with suppress(asyncio.CancelledError):
            await self.running
