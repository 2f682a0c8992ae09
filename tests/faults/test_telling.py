"""Presence processes are killed between a change and its telling: every event is told, once and in order."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import pytest
from nats.js.errors import NotFoundError

from tests.support.frames import ANSWER, HANGUP, OFFER
from tests.support.people import People, Person
from tests.support.system import System
from tests.support.waiting import until_true
from tieline.runtime.broker import Broker, connect
from tieline.wire.subjects import Subjects

CALL = ["call.offered", "call.answered", "call.established", "call.ended"]


@pytest.fixture(scope="module")
def system(nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with System(nats_url, tmp_path_factory.mktemp("telling"), settings={"EVENTS": "on"}) as running:
        yield running


@pytest.fixture
async def broker(nats_url: str) -> AsyncIterator[Broker]:
    connected = await connect(nats_url, "test")
    yield connected
    await connected.close()


async def told_of_calls(broker: Broker, stream: str, people: People) -> list[tuple[str, str]]:
    """List the calls of these people that the stream tells of, with what it tells of them."""
    context = broker.client.jetstream()
    try:
        state = (await context.stream_info(stream)).state
    except NotFoundError:
        return []
    told: list[tuple[str, str]] = []
    for number in range(state.first_seq, state.last_seq + 1) if state.messages else ():
        event = json.loads((await context.get_msg(stream, seq=number)).data or b"")
        if people.room in event["data"].get("rooms", ()):
            told.append((event["subject"], event["type"].removeprefix("tieline.")))
    return told


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
            with suppress(NotFoundError):
                await broker.client.jetstream().delete_stream(stream)
        await a_call(alice, bob)
        for process in system.all("presence"):
            if process.status is None:
                process.kill()
        await asyncio.to_thread(system.add, "presence")
        await a_call(alice, bob)

        async def all_are_told() -> list[tuple[str, str]] | None:
            told = await told_of_calls(broker, stream, people)
            return told if len(told) >= 2 * len(CALL) else None

        told = await until_true(all_are_told)
        calls = dict.fromkeys(subject for subject, _ in told)
        assert [[kind for subject, kind in told if subject == call] for call in calls] == [CALL, CALL]
