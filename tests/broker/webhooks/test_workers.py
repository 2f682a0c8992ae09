"""Endpoints are shared out among workers, each has one at a time, and none stays alone."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from tests.broker.webhooks.conftest import Events
from tests.support.receiver import SECRET, Receiver
from tests.support.waiting import PATIENCE_S, until, within
from tieline.event_stream import EventStream, News
from tieline.webhook_bucket import Bucket, Record, Unavailable
from tieline.wire import webhooks
from tieline.wire.webhooks import Endpoint, EndpointId, Keys
from webhooks.delivery import Delivery
from webhooks.sender import Sender
from webhooks.share import server_of
from webhooks.workers import ALONE_S, Worker


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Team:
    """Workers of one system, in one process."""

    def __init__(
        self, bucket: Bucket, stream: EventStream, news: News, sender: Sender, tasks: asyncio.TaskGroup
    ) -> None:
        self._parts = stream, news, sender
        self._bucket = bucket
        self._tasks = tasks
        self.clock = Clock()
        self.remade = 0

    def worker(self, name: str, own: Endpoint | None = None, bucket: Bucket | None = None) -> Worker:
        stream, news, sender = self._parts

        def make(endpoint: Endpoint) -> Delivery:
            now = lambda: int(time.time() * 1000)  # noqa: E731
            return Delivery(endpoint, self._bucket, stream, news, sender, now, 10, 3_600_000, round_s=0.2)

        return Worker(name, bucket or self._bucket, own, make, self._tasks, self.clock, self._remake)

    async def _remake(self) -> None:
        self.remade += 1


@pytest.fixture
async def team(bucket: Bucket, stream: EventStream, news: News, events: Events) -> AsyncIterator[Team]:
    async with Sender(0.5, may_be_private=True) as sender, asyncio.TaskGroup() as tasks:
        yield Team(bucket, stream, news, sender, tasks)
        for task in tasks._tasks:
            task.cancel()


async def add(bucket: Bucket, receiver: Receiver, *names: str, is_paused: bool = False) -> None:
    for name in names:
        endpoint = Endpoint(EndpointId(name), receiver.url, (SECRET,), is_paused=is_paused)
        await bucket.write(Keys.endpoint(endpoint.id), webhooks.encode(endpoint), 0)


async def test_endpoints_are_shared_out(team: Team, bucket: Bucket, receiver: Receiver) -> None:
    names = [f"endpoint {number}" for number in range(8)]
    await add(bucket, receiver, *names)
    one, other = team.worker("one"), team.worker("other")
    for _ in range(3):
        await one.look()
        await other.look()
    for name in names:
        serves = [worker for worker, who in (("one", one), ("other", other)) if name in who.serves]
        assert serves == [server_of(EndpointId(name), ("one", "other"))]


async def test_a_worker_that_goes_gives_all_away(
    team: Team, bucket: Bucket, receiver: Receiver, events: Events
) -> None:
    await add(bucket, receiver, "a", "b", "c")
    one, other = team.worker("one"), team.worker("other")
    await one.look()
    assert len(one.serves) == 3
    await one.stop()
    await other.look()
    assert len(other.serves) == 3
    await within(other.begun())
    told = await events.tell("call")
    await until(lambda: [event["id"] for event in receiver.taken] == [told] * 3)


async def test_a_paused_or_removed_endpoint_is_served_no_longer(
    team: Team, bucket: Bucket, receiver: Receiver
) -> None:
    await add(bucket, receiver, "a", "b")
    await add(bucket, receiver, "c", is_paused=True)
    one = team.worker("one")
    await one.look()
    assert sorted(one.serves) == ["a", "b"]
    key = Keys.endpoint(EndpointId("a"))
    await bucket.remove(key, (await bucket.read_one(key)).revision)
    await one.look()
    assert one.serves == ("b",)


async def test_a_changed_endpoint_goes_on_where_it_was(
    team: Team, bucket: Bucket, receiver: Receiver, events: Events
) -> None:
    await add(bucket, receiver, "a")
    one = team.worker("one")
    await one.look()
    await within(one.begun())
    first = await events.tell("call")
    await until(lambda: [event["id"] for event in receiver.taken] == [first])
    key = Keys.endpoint(EndpointId("a"))
    changed = Endpoint(EndpointId("a"), receiver.url, ("new", SECRET))
    await bucket.write(key, webhooks.encode(changed), (await bucket.read_one(key)).revision)
    await one.look()
    await one.look()
    second = await events.tell("call")
    await until(lambda: [event["id"] for event in receiver.taken] == [first, second])
    assert receiver.posts[-1].is_signed("new")


async def test_one_made_anew_under_its_name_begins_when_it_is_made(
    team: Team, bucket: Bucket, receiver: Receiver, events: Events, stream: EventStream
) -> None:
    key = Keys.endpoint(EndpointId("a"))
    async with Receiver().listening() as former:
        former.manner = "refuses"
        await add(bucket, former, "a")
        one = team.worker("one")
        await one.look()
        await one.begun()
        await events.tell("call")
        await until(lambda: bool(former.posts))
        await bucket.remove(key, (await bucket.read_one(key)).revision)
        anew = Endpoint(EndpointId("a"), receiver.url, ("new",), made="anew", since=await stream.begin())
        await bucket.write(key, webhooks.encode(anew), (await bucket.read_one(key)).revision)
        soon = await events.tell("call")
        team.clock.now += ALONE_S + 1
        await one.look()
        await one.look()
        await until(lambda: bool(receiver.taken))
    assert [event["id"] for event in receiver.taken] == [soon]
    assert receiver.posts[0].is_signed("new")


async def test_what_a_replica_still_has_is_not_served(
    team: Team, bucket: Bucket, receiver: Receiver, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add(bucket, receiver, "a")
    lagging = await bucket.read(Keys.endpoints())
    key = Keys.endpoint(EndpointId("a"))
    await bucket.remove(key, (await bucket.read_one(key)).revision)

    async def lags(*_: str) -> dict[str, Record]:
        return lagging

    monkeypatch.setattr(bucket, "read", lags)
    one = team.worker("one")
    await one.look()
    assert one.serves == ("a",)
    await events.tell("call")
    await until(lambda: all(served.running.done() for served in one._served.values()))
    assert receiver.posts == []


async def test_the_endpoint_of_the_settings_is_one_of_all(
    team: Team, receiver: Receiver, events: Events
) -> None:
    one = team.worker("one", Endpoint(EndpointId("settings"), receiver.url, (SECRET,)))
    await one.look()
    await within(one.begun())
    told = await events.tell("call")
    await until(lambda: [event["id"] for event in receiver.taken] == [told])


async def test_a_worker_that_is_cut_off_stops_before_others_begin(
    team: Team, bucket: Bucket, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add(bucket, receiver, "a")
    one = team.worker("one")
    await one.look()
    assert one.serves

    async def cut(*_: object) -> None:
        raise Unavailable

    monkeypatch.setattr(bucket, "put", cut)
    running = asyncio.create_task(one.run(round_s=0.01))
    team.clock.now += ALONE_S + 1
    await until(lambda: not one.serves and team.remade > 0)
    running.cancel()


async def test_a_lease_that_somebody_else_has_taken_ends_the_service(
    team: Team, bucket: Bucket, receiver: Receiver
) -> None:
    await add(bucket, receiver, "a")
    one = team.worker("one")
    await one.look()
    key = Keys.lease(EndpointId("a"))
    await bucket.write(key, b"other", (await bucket.read_one(key)).revision, 10)
    await one.look()
    assert one.serves == ()


async def test_a_lease_is_held_though_the_answer_to_its_write_was_lost(
    team: Team, bucket: Bucket, receiver: Receiver
) -> None:
    await add(bucket, receiver, "a")
    key = Keys.lease(EndpointId("a"))
    await bucket.write(key, b"one", 0, 10)
    one = team.worker("one")
    await one.look()
    assert one.serves == ("a",)
    await bucket.write(key, b"one", (await bucket.read_one(key)).revision, 10)
    for _ in range(2):
        await one.look()
        assert one.serves == ("a",)


async def test_a_worker_has_begun_when_it_tells_all_that_happens(
    team: Team, bucket: Bucket, receiver: Receiver, events: Events
) -> None:
    await add(bucket, receiver, "a", "b")
    one = team.worker("one")
    begun = asyncio.create_task(one.begun())
    await one.look()
    await within(begun)
    told = await events.tell("call")
    await until(lambda: [event["id"] for event in receiver.taken] == [told, told])


async def test_a_slow_receiver_holds_up_nobody_else(
    team: Team, bucket: Bucket, receiver: Receiver, events: Events
) -> None:
    async with Receiver().listening() as slow:
        slow.manner = "hangs"
        await add(bucket, slow, "slow")
        await add(bucket, receiver, "quick")
        one = team.worker("one")
        await one.look()
        await within(one.begun())
        for _ in range(20):
            await events.tell("call")
        await until(lambda: len(receiver.taken) == 20)
        assert slow.taken == []


async def test_no_round_waits_for_receivers_that_hang(
    bucket: Bucket, stream: EventStream, news: News, receiver: Receiver, events: Events
) -> None:
    names = [f"slow {number}" for number in range(3)]
    async with (
        Receiver().listening() as slow,
        Sender(PATIENCE_S, may_be_private=True) as sender,
        asyncio.TaskGroup() as tasks,
    ):
        slow.manner = "hangs"
        await add(bucket, slow, *names)
        await add(bucket, receiver, "quick")
        team = Team(bucket, stream, news, sender, tasks)
        one = team.worker("one")
        await one.look()
        await within(one.begun())
        await events.tell("call")
        await until(lambda: len(slow.posts) == len(names))
        for name in names:
            key = Keys.endpoint(EndpointId(name))
            await bucket.remove(key, (await bucket.read_one(key)).revision)
        await one.look()
        assert sorted(one.serves) == ["quick", *names]
        team.clock.now += ALONE_S + 1
        await one.look()
        assert one.serves == ("quick",)
        await one.stop()


async def test_who_stops_gives_all_but_what_hangs_away_at_once(
    bucket: Bucket, stream: EventStream, news: News, receiver: Receiver, events: Events
) -> None:
    async with (
        Receiver().listening() as slow,
        Sender(PATIENCE_S, may_be_private=True) as sender,
        asyncio.TaskGroup() as tasks,
    ):
        slow.manner = "hangs"
        await add(bucket, slow, "slow")
        await add(bucket, receiver, "quick", "other")
        team = Team(bucket, stream, news, sender, tasks)
        one, two = team.worker("one"), team.worker("two")
        await one.look()
        await within(one.begun())
        await events.tell("call")
        await until(lambda: len(slow.posts) == 1 and len(receiver.taken) == 2)
        stopping = asyncio.create_task(one.stop())
        await until(lambda: one.serves == ("slow",))
        await two.look()
        assert sorted(two.serves) == ["other", "quick"]
        told = await events.tell("call")
        await until(lambda: [event["id"] for event in receiver.taken[2:]] == [told, told])
        assert not stopping.done()
        slow.released.set()
        await within(stopping)
        await two.look()
        assert sorted(two.serves) == ["other", "quick", "slow"]
        slow.manner = "takes"
        await until(lambda: len(slow.taken) == 2)
        await two.stop()
