"""Presence processes are killed between a change and its telling: every event is told, once and in order."""

import asyncio
import json
from collections.abc import Iterator
from functools import partial

import pytest
from nats.js.errors import NotFoundError

from tests.support.frames import ANSWER, HANGUP, OFFER
from tests.support.partitions import partitions
from tests.support.people import People, Person
from tests.support.system import Service, System
from tests.support.waiting import until_true
from tieline.runtime.broker import Broker
from tieline.wire.jetstream import bucket_stream
from tieline.wire.permissions import FACTS
from tieline.wire.subjects import Subjects

CALL = ["call.offered", "call.answered", "call.established", "call.ended"]


@pytest.fixture(scope="module")
def system(nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with System(nats_url, tmp_path_factory.mktemp("telling"), settings={"EVENTS": "on"}) as running:
        yield running


async def told_of_calls(broker: Broker, system: System, people: People) -> list[list[str]]:
    """List what the stream tells of each call of these people."""
    context, stream = broker.client.jetstream(), Subjects(system.namespace).event_stream()
    calls: dict[str, list[str]] = {}
    try:
        state = (await context.stream_info(stream)).state
    except NotFoundError:
        return []
    for number in range(state.first_seq, state.last_seq + 1) if state.messages else ():
        event = json.loads((await context.get_msg(stream, seq=number)).data or b"")
        if people.room in event["data"].get("rooms", ()):
            calls.setdefault(event["subject"], []).append(event["type"].removeprefix("tieline."))
    return list(calls.values())


async def are_told(broker: Broker, system: System, people: People, calls: int) -> bool:
    """Whether so many calls are told to their end; what is told of them is what it must be then."""
    told = await told_of_calls(broker, system, people)
    if sum(map(len, told)) < calls * len(CALL):
        return False
    assert told == [CALL] * calls
    return True


async def all_is_acknowledged(broker: Broker, system: System) -> bool:
    """Whether everything that was to be told is done with, in each partition."""
    context = broker.client.jetstream()
    streams = [bucket_stream(part.bucket()) for part in Subjects(system.namespace, partitions()).parts()]
    consumers = [await context.consumer_info(stream, FACTS) for stream in streams]
    return not any(consumer.num_pending or consumer.num_ack_pending for consumer in consumers)


def living(system: System) -> Service:
    """The presence process that runs."""
    (process,) = (process for process in system.all("presence") if process.status is None)
    return process


async def a_call(caller: Person, callee: Person) -> None:
    await caller.relays(OFFER, callee)
    await callee.relays(ANSWER, caller)
    await caller.relays(HANGUP, callee)


@pytest.mark.parametrize("is_there", [True, False], ids=["at once", "without a stream"])
async def test_a_process_is_killed_before_it_has_told(system: System, broker: Broker, is_there: bool) -> None:
    """Without a stream it cannot have told anything."""
    stream = Subjects(system.namespace).event_stream()
    async with People(system) as people:
        alice, bob = await people.two()
        if not is_there:
            await broker.client.jetstream().delete_stream(stream)
        await a_call(alice, bob)
        living(system).kill()
        await asyncio.to_thread(system.add, "presence")
        await until_true(partial(are_told, broker, system, people, 1))  # though nobody has written it since
        await a_call(alice, bob)
        await until_true(partial(are_told, broker, system, people, 2))


async def test_a_process_that_is_told_to_end_tells_first(system: System, broker: Broker) -> None:
    async with People(system) as people:
        alice, bob = await people.two()
        await a_call(alice, bob)
        process = living(system)
        process.terminate()
        assert await asyncio.to_thread(process.wait) == 0
        assert await are_told(broker, system, people, 1)
        await until_true(partial(all_is_acknowledged, broker, system))  # what it sent: nobody else is there
        await asyncio.to_thread(system.add, "presence")
