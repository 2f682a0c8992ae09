"""Reading the stream of events of a real broker, from a place on."""

import asyncio

import pytest

from tests.broker.webhooks.conftest import SUBJECTS, Events, Lagging, events, news, requests, stream
from tests.support.waiting import until
from tieline.event_stream import EventStream, News, NoStream
from tieline.runtime.broker import Broker
from tieline.webhook_bucket import Unavailable

__all__ = ["events", "news", "requests", "stream"]


async def test_what_is_behind_a_place_is_read_in_order(events: Events, stream: EventStream) -> None:
    begun = await stream.begin()
    for number in range(5):
        await events.tell(f"call {number % 2}")
    read = await stream.read(begun)
    assert [each.event.subject for each in read if each.event] == [f"call/call {n}" for n in (0, 1, 0, 1, 0)]
    assert [each.sequence for each in read] == [begun + number for number in range(1, 6)]
    assert len(await stream.read(begun, 2)) == 2
    assert await stream.read(read[-1].sequence) == []


async def test_places_are_read_again_but_for_those_that_are_gone(events: Events, stream: EventStream) -> None:
    begun = await stream.begin()
    for _ in range(3):
        await events.tell("a")
    read = await stream.read_those([begun + 1, begun + 3, begun + 9])
    assert [each.sequence for each in read] == [begun + 1, begun + 3]


async def test_what_a_replica_does_not_have_yet_is_not_gone(
    events: Events, stream: EventStream, requests: Lagging
) -> None:
    begun = await stream.begin()
    await events.tell("a")
    requests.behind = 1
    with pytest.raises(Unavailable, match="lags"):
        await stream.read_those([begun + 1])
    (read,) = await stream.read_those([begun + 1])
    assert read.sequence == begun + 1


async def test_without_a_stream_it_is_said_what_is_missing(stream: EventStream) -> None:
    with pytest.raises(NoStream):
        await stream.begin()
    with pytest.raises(Unavailable):
        await stream.read(0)


async def test_what_is_no_event_is_passed_over(events: Events, stream: EventStream, broker: Broker) -> None:
    begun = await stream.begin()
    await broker.client.jetstream().publish(SUBJECTS.cloud_event("call.offered"), b"garbage")
    await events.tell("a")
    assert [each.event is None for each in await stream.read(begun)] == [True, False]


async def test_an_event_that_is_told_again_is_for_one_endpoint(
    events: Events, stream: EventStream, broker: Broker
) -> None:
    begun = await stream.begin()
    await events.tell("a")
    (first,) = await stream.read(begun)
    assert first.event is not None
    await broker.client.jetstream().publish(SUBJECTS.replayed("one.two"), first.event.body)
    (again,) = await stream.read(first.sequence)
    assert (again.kind, again.only_for) == ("call.offered", "one=2Etwo")


async def test_news_say_how_far_the_stream_has_got(events: Events, stream: EventStream, news: News) -> None:
    begun = await stream.begin()
    waiting = asyncio.create_task(news.after(begun, 60.0))
    await events.tell("a")
    await waiting
    assert news.last == begun + 1


async def test_who_waits_in_vain_waits_no_longer_than_it_wants(news: News) -> None:
    await news.after(0, 0.01)


async def test_what_the_stream_has_not_said_is_no_news(events: Events, broker: Broker, news: News) -> None:
    broker.send(SUBJECTS.told_events()[1].replace(">", "call.offered"), b"")
    await events.tell("a")
    await until(lambda: news.last > 0)
