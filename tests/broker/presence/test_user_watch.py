"""A watch of users over a real broker: what it tells, and when users are unknown."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from nats.js.api import AckPolicy, ConsumerConfig

from presence.bucket import Bucket, make_bucket
from presence.memory import Memory
from presence.records import Records
from presence.user_watch import Pace, UserWatch
from tests.broker.runtime.watching import happens, watch
from tests.support.nats_server import NatsServer
from tests.support.waiting import until
from tests.unit.presence.rules.people import online
from tieline.runtime.broker import Broker, connect
from tieline.runtime.requests import Requests
from tieline.wire.ids import SessionId, UserId
from tieline.wire.subjects import Keys, Subjects

ALICE = Keys.user(UserId("alice"))
SOON = Pace(after_gap=0.01, after_refusal=0.01)
_names = (f"watched-{number}" for number in itertools.count())


class HearingMemory(Memory):
    """A memory that counts how often its watch is heard."""

    times = 0

    def heard(self, at: int = 0) -> None:
        """Count."""
        self.times += 1
        super().heard(at)


class Watched:
    """A bucket, a memory with its watch, and another connection that writes."""

    def __init__(self, broker: Broker, requests: Requests, name: str) -> None:
        self.bucket = Bucket(broker, requests, name)
        self.memory = HearingMemory()
        self.watch = UserWatch(broker, requests, self.bucket.stream, self.bucket.prefix, self.memory, SOON)
        self.records = Records(self.bucket, 60.0, self.memory)
        self._context = broker.client.jetstream()

    async def write(self, session: str, revision: int = 0) -> int:
        """Write Alice's record as another process does, of which this one hears by its watch alone."""
        others = Records(self.bucket, 60.0)
        return await others.write_user(ALICE, online(SessionId(session)), revision)

    def revision(self) -> int | None:
        """The revision of Alice's record that this process remembers."""
        found = self.memory.users((ALICE,))
        return None if found is None else found[ALICE].revision

    async def inbox(self) -> str:
        """Where the broker pushes what the watch tells."""
        (consumer,) = await self._context.consumers_info(self.bucket.stream)
        subject = consumer.config.deliver_subject
        assert subject is not None
        return subject

    async def push_again(self, subject: str) -> None:
        """Have the broker push all users there once more, numbered from 1."""
        config = ConsumerConfig(deliver_subject=subject, ack_policy=AckPolicy.NONE)
        await self._context.add_consumer(self.bucket.stream, config)


@asynccontextmanager
async def watched(broker: Broker, name: str, *, has_bucket: bool = True) -> AsyncIterator[Watched]:
    """Watch the users of a bucket of its own."""
    requests = Requests(broker, Subjects(name).replies("presence", "1"))
    await requests.start()
    if has_bucket:
        await make_bucket(broker, name, "memory", 1)
    scene = Watched(broker, requests, name)
    running = asyncio.create_task(scene.watch.run())
    try:
        yield scene
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def known(is_so: Callable[[], bool]) -> None:
    """Wait until something is known."""
    await until(is_so)


async def test_a_user_who_is_kept_changes_with_what_others_write(broker: Broker) -> None:
    async with watched(broker, next(_names)) as scene:
        await known(lambda: scene.memory.knows_users)
        first = await scene.records.write_user(ALICE, online(SessionId("one")), 0)
        assert scene.revision() == first
        second = await scene.write("two", first)
        await known(lambda: scene.revision() == second)
        found = scene.memory.users((ALICE,))
        assert found is not None
        alice = scene.records.users_in(found, [UserId("alice")])[UserId("alice")]
        assert alice.session.id == "two"


async def test_what_is_read_is_kept_and_watched(broker: Broker) -> None:
    async with watched(broker, next(_names)) as scene:
        first = await scene.write("one")
        await known(lambda: scene.memory.knows_users)
        await scene.records.read_negotiation((ALICE,), "pair.alice.bob")
        assert scene.revision() == first
        second = await scene.write("two", first)
        await known(lambda: scene.revision() == second)


async def test_a_quiet_watch_goes_on(broker: Broker) -> None:
    async with watched(broker, next(_names)) as scene:
        await known(lambda: scene.memory.knows_users)
        first = await scene.records.write_user(ALICE, online(SessionId("one")), 0)
        await known(lambda: scene.memory.times > 4)  # heartbeats among them
        assert scene.revision() == first


@pytest.mark.parametrize("kind", ["change", "heartbeat"])
async def test_a_gap_makes_all_users_unknown_until_another_watch(broker: Broker, kind: str) -> None:
    async with watched(broker, next(_names)) as scene:
        await known(lambda: scene.memory.knows_users)
        await scene.records.write_user(ALICE, online(SessionId("one")), 0)
        await known(lambda: scene.revision() is not None)
        before = await scene.inbox()
        if kind == "change":
            await scene.push_again(before)
        else:
            broker.send(before, b"", headers=b"NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 9\r\n\r\n")
        await known(lambda: scene.revision() is None)
        await known(lambda: scene.memory.knows_users)
        assert scene.revision() is None


async def test_what_no_consumer_has_pushed_tells_nothing(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    async with watched(broker, next(_names)) as scene:
        await known(lambda: scene.memory.knows_users)
        first = await scene.records.write_user(ALICE, online(SessionId("one")), 0)
        broker.send(await scene.inbox(), b"x")
        await known(lambda: bool(caplog.messages))
        assert scene.revision() == first


async def test_without_a_bucket_users_are_read(broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    name = next(_names)
    async with watched(broker, name, has_bucket=False) as scene:
        await known(lambda: "users are not watched, but read" in caplog.messages)
        assert not scene.memory.knows_users
        await make_bucket(broker, name, "memory", 1)
        await known(lambda: scene.memory.knows_users)


async def test_nothing_is_known_of_a_broker_that_comes_back(pip_nats: NatsServer) -> None:
    broker = await connect(pip_nats.url, "watch")
    async with watched(broker, next(_names)) as scene:
        await known(lambda: scene.memory.knows_users)
        await scene.records.write_user(ALICE, online(SessionId("one")), 0)
        scene.memory.keep_pair("pair.alice.bob", (await scene.bucket.read(ALICE))[ALICE])
        away, back = watch(broker)
        pip_nats.kill()
        await happens(away)
        assert len(scene.memory) == 0
        pip_nats.start()
        await happens(back)
    await broker.close()
