"""The stream of events on a real broker: made, adapted, and what it keeps once."""

import pytest

from presence.event_stream import EventStream, make_event_stream
from presence.store import StoreUnavailable
from tests.broker.presence.conftest import SUBJECTS
from tests.support.waiting import until
from tieline.runtime.broker import Broker
from tieline.runtime.requests import Requests
from tieline.wire import cloud_events
from tieline.wire.cloud_events import Member
from tieline.wire.ids import RoomId, UserId

NAME = SUBJECTS.event_stream()
EVENT = cloud_events.of_member("t", "member.joined", "one", 0, Member(RoomId("hall"), UserId("alice")))


async def test_an_event_is_kept_once_however_often_it_is_told(broker: Broker, requests: Requests) -> None:
    await make_event_stream(broker, SUBJECTS, "memory", 1, 60, 1 << 20)
    stream = EventStream(requests, SUBJECTS)
    for _ in range(3):
        await stream.stored(stream.begin(EVENT))
    info = await broker.client.jetstream().stream_info(NAME)
    assert info.state.messages == 1


async def test_another_age_and_size_are_taken_over(broker: Broker) -> None:
    await make_event_stream(broker, SUBJECTS, "memory", 1, 60, 1 << 20)
    await make_event_stream(broker, SUBJECTS, "memory", 1, 3600, 1 << 21)
    config = (await broker.client.jetstream().stream_info(NAME)).config
    assert (config.max_age, config.max_bytes, config.duplicate_window) == (3600, 1 << 21, 1800)


async def test_without_a_stream_an_event_is_not_told(requests: Requests) -> None:
    stream = EventStream(requests, SUBJECTS)
    begun = stream.begin(EVENT)
    with pytest.raises(StoreUnavailable):
        await stream.stored(begun)


async def test_what_becomes_of_an_event_is_called_back(broker: Broker, requests: Requests) -> None:
    stream = EventStream(requests, SUBJECTS)
    outcomes: list[str | None] = []
    stream.tell(EVENT, outcomes.append)
    await until(lambda: bool(outcomes))
    assert outcomes == ["no answer"]
    await make_event_stream(broker, SUBJECTS, "memory", 1, 60, 1 << 20)
    for _ in range(2):
        stream.tell(EVENT, outcomes.append)
    await until(lambda: len(outcomes) == 3)
    assert outcomes[1:] == [None, None]
    assert (await broker.client.jetstream().stream_info(NAME)).state.messages == 1


async def test_an_event_that_the_stream_refuses_is_said_to_be(broker: Broker, requests: Requests) -> None:
    await make_event_stream(broker, SUBJECTS, "memory", 1, 60, 1 << 20)
    context = broker.client.jetstream()
    current = (await context.stream_info(NAME)).config
    await context.update_stream(current.evolve(max_msg_size=10))
    outcomes: list[str | None] = []
    EventStream(requests, SUBJECTS).tell(EVENT, outcomes.append)
    await until(lambda: bool(outcomes))
    assert "maximum" in str(outcomes[0])


async def test_a_stream_for_which_there_is_no_room_is_said_to_be_that(broker: Broker) -> None:
    with pytest.raises(StoreUnavailable, match="no stream of events"):
        await make_event_stream(broker, SUBJECTS, "memory", 1, 60, 1 << 50)
