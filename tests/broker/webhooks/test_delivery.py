"""One endpoint is told what happens: each event, in order, whatever its receiver does and whoever dies."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest
from msgspec import structs

from presence.event_stream import make_event_stream
from tests.broker.webhooks.conftest import SUBJECTS, Events, Lagging
from tests.support.metrics import value_of
from tests.support.receiver import SECRET, Receiver
from tests.support.waiting import until, until_true, within
from tieline import metrics
from tieline.event_stream import EventStream, News
from tieline.runtime.broker import Broker
from tieline.webhook_bucket import Bucket, Conflict, Unavailable
from tieline.wire import webhooks
from tieline.wire.webhooks import Endpoint, EndpointId, Keys
from webhooks import queue as queue_module
from webhooks.delivery import NOTED_EVERY_MS, Delivery
from webhooks.sender import Sender

ONE = EndpointId("one")


class Away(Bucket):
    """The bucket, which may take no writes for a while."""

    is_away = False
    tries = 0

    async def write(self, key: str, value: bytes, revision: int, ttl_s: int | None = None) -> int:
        if self.is_away:
            self.tries += 1
            raise Unavailable
        return await super().write(key, value, revision, ttl_s)


@pytest.fixture
def away(bucket: Bucket, requests: Lagging) -> Away:
    return Away(requests, SUBJECTS.webhooks())


class Telling:
    """Makes deliveries, as the workers of one system do."""

    def __init__(self, bucket: Bucket, stream: EventStream, news: News, sender: Sender, url: str) -> None:
        self._parts = bucket, stream, news, sender
        self.endpoint = Endpoint(ONE, url, (SECRET,))
        self.clock = Clock()
        self.retry_for_ms = 3_600_000
        self._running: list[tuple[Delivery, asyncio.Task[None]]] = []

    def delivery(self) -> Delivery:
        """Make another one."""
        bucket, stream, news, sender = self._parts
        return Delivery(
            self.endpoint, bucket, stream, news, sender, self.clock, 10, self.retry_for_ms, round_s=0.2
        )

    def begin(self) -> Delivery:
        """Let another worker serve the endpoint."""
        delivery = self.delivery()
        self._running.append((delivery, asyncio.create_task(delivery.run())))
        return delivery

    async def began(self) -> Delivery:
        """Let another worker serve it, and wait until it does."""
        delivery = self.begin()
        await until(lambda: delivery.queue is not None)
        return delivery

    async def die(self) -> None:
        """Let the newest worker die in the middle of whatever it does."""
        _, task = self._running.pop()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def end_of(self, delivery: Delivery) -> None:
        """Wait until one has ended, and raise what it raised."""
        (task,) = [task for each, task in self._running if each is delivery]
        self._running = [each for each in self._running if each[0] is not delivery]
        await task


class Clock:
    """The time, which tests may put forward."""

    ahead_ms = 0

    def __call__(self) -> int:
        return int(time.time() * 1000) + self.ahead_ms


@pytest.fixture
async def telling(
    away: Away,
    stream: EventStream,
    news: News,
    receiver: Receiver,
    events: Events,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Telling]:
    monkeypatch.setattr(queue_module, "FIRST_MS", 20)
    monkeypatch.setattr(queue_module, "SPLIT_MS", 5)
    async with Sender(0.5, may_be_private=True) as sender:
        all_of_them = Telling(away, stream, news, sender, receiver.url)
        yield all_of_them
        while all_of_them._running:
            await all_of_them.die()


def ids(receiver: Receiver) -> list[str]:
    return [event["id"] for event in receiver.taken]


async def test_what_happens_is_told_at_once_and_in_order(
    telling: Telling, events: Events, receiver: Receiver
) -> None:
    await telling.began()
    told = [await events.tell(f"call {number % 3}") for number in range(30)]
    await until(lambda: ids(receiver) == told)
    assert all(post.is_signed() for post in receiver.posts)
    sequences = [event["sequence"] for event in receiver.taken]
    assert sequences == sorted(sequences)


async def test_a_new_endpoint_hears_nothing_of_what_was_before(
    telling: Telling, events: Events, receiver: Receiver
) -> None:
    await events.tell("old")
    await telling.began()
    new = await events.tell("new")
    await until(lambda: ids(receiver) == [new])


async def test_only_what_an_endpoint_wants_is_told(
    telling: Telling, events: Events, receiver: Receiver
) -> None:
    telling.endpoint = Endpoint(ONE, telling.endpoint.url, (SECRET,), ("call.ended",))
    await telling.began()
    await events.tell("a")
    wanted = await events.tell("a", "call.ended")
    await until(lambda: ids(receiver) == [wanted])


@pytest.mark.parametrize("manner", ["refuses", "hangs up", "answers garbage", "is gone"])
async def test_nothing_is_lost_while_a_receiver_fails(
    manner: str, telling: Telling, events: Events, receiver: Receiver
) -> None:
    receiver.manner = manner  # type: ignore[assignment]
    await telling.began()
    told = [await events.tell("a") for _ in range(5)]
    await until(lambda: len(receiver.posts) > 3)
    receiver.manner = "takes"
    await until(lambda: len(ids(receiver)) >= 5)
    assert ids(receiver) == told


async def test_a_refused_call_holds_up_no_other_and_comes_in_order_later(
    telling: Telling, events: Events, receiver: Receiver
) -> None:
    receiver.refuses = {"call/bad"}
    await telling.began()
    bad = [await events.tell("bad") for _ in range(3)]
    good = [await events.tell(f"good {number}") for number in range(20)]
    await until(lambda: sorted(ids(receiver)) == sorted(good))
    receiver.refuses = set()
    await until(lambda: len(ids(receiver)) == 23)
    assert [name for name in ids(receiver) if name in bad] == bad


async def test_what_a_lagging_replica_does_not_have_is_told_all_the_same(
    telling: Telling, events: Events, receiver: Receiver, requests: Lagging
) -> None:
    receiver.manner = "refuses"
    await telling.began()
    told = await events.tell("a")
    await until(lambda: len(receiver.posts) > 1)
    await telling.die()
    receiver.manner = "takes"
    requests.behind = 2
    telling.begin()
    await until(lambda: ids(receiver) == [told])


async def test_what_comes_before_a_beginning_is_written_down_is_told(
    telling: Telling, events: Events, receiver: Receiver, away: Away
) -> None:
    await events.tell("old")
    away.is_away = True
    telling.begin()
    await until(lambda: away.tries > 0)
    told = await events.tell("a")
    away.is_away = False
    await until(lambda: ids(receiver) == [told])


async def test_all_is_told_of_a_stream_that_is_made_later(
    telling: Telling, broker: Broker, events: Events, receiver: Receiver
) -> None:
    await broker.client.jetstream().delete_stream(SUBJECTS.event_stream())
    delivery = telling.begin()
    await within(delivery.begun.wait())
    await make_event_stream(broker, SUBJECTS, "memory", 1, 3600, 1 << 24)
    lost_before = value_of(metrics.WEBHOOK_EVENTS.labels("lost"))
    told = await events.tell("a")
    await until(lambda: ids(receiver) == [told])
    assert value_of(metrics.WEBHOOK_EVENTS.labels("lost")) == lost_before


async def test_a_worker_has_begun_though_the_stream_of_what_waits_is_gone(
    telling: Telling, broker: Broker, events: Events, receiver: Receiver
) -> None:
    receiver.manner = "refuses"
    await telling.began()
    await events.tell("a")
    await until(lambda: bool(receiver.posts))
    await telling.die()
    await broker.client.jetstream().delete_stream(SUBJECTS.event_stream())
    await within(telling.begin().begun.wait())


async def test_who_is_to_stop_does_not_wait_for_a_bucket_that_is_away(
    telling: Telling, events: Events, receiver: Receiver, away: Away
) -> None:
    delivery = await telling.began()
    away.is_away = True
    await events.tell("a")
    await until(lambda: away.tries > 0)
    delivery.stop()
    with pytest.raises(Unavailable):
        await within(telling.end_of(delivery))
    away.is_away = False
    await telling.began()
    await until(lambda: len(ids(receiver)) == 2)  # it was taken, and nobody had written that down


async def test_a_worker_that_dies_loses_nothing(telling: Telling, events: Events, receiver: Receiver) -> None:
    receiver.manner = "hangs"
    await telling.began()
    told = [await events.tell(f"call {number % 2}") for number in range(12)]
    await until(lambda: bool(receiver.posts))
    await telling.die()
    receiver.manner = "takes"
    telling.begin()
    await until(lambda: set(ids(receiver)) == set(told))


async def test_what_a_dead_worker_had_delivered_may_come_twice_in_order(
    telling: Telling, events: Events, receiver: Receiver
) -> None:
    told = []
    for _ in range(4):
        await telling.began()
        told += [await events.tell("a") for _ in range(3)]
        await until(lambda: bool(receiver.taken))
        await telling.die()
    await telling.began()
    await until(lambda: set(ids(receiver)) == set(told))
    first_times = list(dict.fromkeys(ids(receiver)))
    assert first_times == told


async def test_of_two_workers_one_finds_that_it_is_not_its_turn(
    telling: Telling, events: Events, receiver: Receiver
) -> None:
    one = await telling.began()
    await telling.began()
    await events.tell("a")
    with pytest.raises(Conflict):
        await telling.end_of(one)
    await events.tell("a")
    await until(lambda: len(set(ids(receiver))) == 2)


async def test_what_is_not_taken_in_its_time_is_kept_as_a_dead_letter(
    telling: Telling, events: Events, receiver: Receiver, bucket: Bucket
) -> None:
    dead_before = value_of(metrics.WEBHOOK_EVENTS.labels("dead"))
    telling.retry_for_ms = 1
    receiver.manner = "refuses"
    await telling.began()
    told = await events.tell("a")
    found = await until_true(lambda: bucket.read(Keys.dead_of(ONE)))
    ((_, record),) = found.items()
    letter = webhooks.read_dead(record.value)
    assert letter is not None
    assert told.encode() in bytes(letter.event)
    assert value_of(metrics.WEBHOOK_EVENTS.labels("dead")) == dead_before + 1
    receiver.manner = "takes"
    later = await events.tell("a")
    await until(lambda: ids(receiver) == [later])


async def test_who_stood_still_buries_nothing_that_another_one_told(
    telling: Telling, events: Events, receiver: Receiver, bucket: Bucket
) -> None:
    receiver.manner = "refuses"
    one = await telling.began()
    told = await events.tell("a")
    await until(lambda: receiver.posts)
    receiver.manner = "hangs"
    await until(lambda: len(receiver.posts) == 2)
    telling.clock.ahead_ms = 2 * telling.retry_for_ms
    receiver.manner = "takes"
    await telling.began()
    await until(lambda: ids(receiver) == [told])
    with pytest.raises(Conflict):
        await telling.end_of(one)
    assert not await bucket.read(Keys.dead_of(ONE))


async def test_an_event_that_is_told_again_comes_to_its_endpoint_alone(
    telling: Telling, events: Events, receiver: Receiver, broker: Broker, stream: EventStream
) -> None:
    await telling.began()
    told = await events.tell("a")
    await until(lambda: ids(receiver) == [told])
    body = (await stream.read(0))[0].event
    assert body is not None
    for endpoint in ("two", "one"):
        await broker.client.jetstream().publish(SUBJECTS.replayed(endpoint), body.body)
    await until(lambda: len(ids(receiver)) == 2)
    assert ids(receiver) == [told, told]


async def test_what_the_stream_has_lost_is_counted(
    telling: Telling, events: Events, receiver: Receiver, broker: Broker
) -> None:
    lost_before = value_of(metrics.WEBHOOK_EVENTS.labels("lost"))
    await telling.began()
    await telling.die()
    for _ in range(3):
        await events.tell("a")
    await broker.client.jetstream().purge_stream(SUBJECTS.event_stream())
    await telling.began()
    told = await events.tell("a")
    await until(lambda: ids(receiver) == [told])
    assert value_of(metrics.WEBHOOK_EVENTS.labels("lost")) == lost_before + 3


async def test_what_was_not_wanted_is_not_said_to_be_lost(
    telling: Telling,
    events: Events,
    receiver: Receiver,
    broker: Broker,
    bucket: Bucket,
    stream: EventStream,
) -> None:
    lost_before = value_of(metrics.WEBHOOK_EVENTS.labels("lost"))
    telling.endpoint = Endpoint(ONE, telling.endpoint.url, (SECRET,), ("call.ended",))
    await telling.began()
    for _ in range(3):
        await events.tell("a")
    last = await stream.begin()

    async def is_noted() -> bool:
        telling.clock.ahead_ms += NOTED_EVERY_MS
        progress = webhooks.read_progress((await bucket.read_one(Keys.progress(ONE))).value)
        return progress is not None and progress.read == last

    await until_true(is_noted)
    await telling.die()
    await broker.client.jetstream().purge_stream(SUBJECTS.event_stream())
    await telling.began()
    told = await events.tell("a", "call.ended")
    await until(lambda: ids(receiver) == [told])
    assert value_of(metrics.WEBHOOK_EVENTS.labels("lost")) == lost_before


async def test_one_that_is_made_anew_hears_nothing_of_what_waited(
    telling: Telling, events: Events, receiver: Receiver, stream: EventStream, bucket: Bucket
) -> None:
    async with Receiver().listening() as former:
        former.manner = "refuses"
        telling.endpoint = structs.replace(telling.endpoint, url=former.url, made="older")
        older = await telling.began()
        await events.tell("a")
        await until(lambda: bool(former.posts))
        since = await stream.begin()
        telling.endpoint = structs.replace(telling.endpoint, url=receiver.url, made="newer", since=since)
        soon = await events.tell("a")
        await telling.began()
        with pytest.raises(Conflict):
            await telling.end_of(older)
        later = await events.tell("a")
        await until(lambda: later in ids(receiver))
    assert ids(receiver) == [soon, later]
    progress = webhooks.read_progress((await bucket.read_one(Keys.progress(ONE))).value)
    assert progress is not None
    assert progress.made == "newer"


async def test_one_that_is_another_one_by_now_is_told_nothing(
    telling: Telling, events: Events, receiver: Receiver, bucket: Bucket
) -> None:
    del events

    async def no() -> bool:
        return False

    delivery = telling.delivery()
    await delivery.run(no)
    assert (await bucket.read_one(Keys.progress(ONE))).revision == 0
    assert receiver.posts == []


async def test_a_stop_lets_the_delivery_end(telling: Telling, events: Events, receiver: Receiver) -> None:
    delivery = await telling.began()
    told = await events.tell("a")
    await until(lambda: ids(receiver) == [told])
    delivery.stop()
    await telling.end_of(delivery)
    assert delivery.oldest_s == 0
