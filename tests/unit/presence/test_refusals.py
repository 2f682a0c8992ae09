"""Refused offers reach the stream of events, also when it does not answer at once."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from presence import refusals as module
from presence.refusals import Refusals, event_of
from presence.store import StoreUnavailable
from tests.support.waiting import until
from tieline.runtime.once import Once
from tieline.wire.cloud_events import Call, CloudEvent
from tieline.wire.digests import digest
from tieline.wire.ids import SessionId, UserId
from tieline.wire.internal.signals import Check

NOW = 1_700_000_000_000


def offer(name: str = "offer", at: int = NOW) -> Check:
    alice, bob = UserId("alice"), UserId("bob")
    return Check(alice, SessionId("s"), bob, "WEBRTC_OFFER", digest(name.encode()), b"", at=at)


class Stream:
    """A stream that fails as often as it is told to."""

    def __init__(self) -> None:
        self.fails = 0
        self.handed: list[str] = []
        self.has: list[CloudEvent] = []
        self._begun: dict[int, CloudEvent] = {}

    def begin(self, event: CloudEvent) -> Once:
        self.handed.append(event.id)
        once = Once("", asyncio.get_running_loop().create_future(), 0.0, 0.0, is_one=True)
        self._begun[id(once)] = event
        return once

    async def stored(self, begun: Once) -> None:
        if self.fails:
            self.fails -= 1
            raise StoreUnavailable
        self.has.append(self._begun[id(begun)])


@pytest.fixture
async def stream() -> Stream:
    return Stream()


@pytest.fixture
async def refusals(stream: Stream) -> AsyncIterator[Refusals]:
    telling = Refusals("blue", stream, lambda: NOW)
    task = asyncio.create_task(telling.run(retry_s=0.0))
    yield telling
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_refused_offer_is_told_with_its_reason(refusals: Refusals, stream: Stream) -> None:
    refusals.note(offer(), "TARGET_OFFLINE")
    assert stream.handed  # at once: the reply leaves after it
    await until(lambda: bool(stream.has))
    (event,) = stream.has
    assert event.type == "tieline.call.refused"
    assert isinstance(event.data, Call)
    assert event.data.reason == "target_offline"


async def test_what_is_not_stored_is_told_again_in_order(refusals: Refusals, stream: Stream) -> None:
    stream.fails = 3
    for name in ("one", "two"):
        refusals.note(offer(name), "TARGET_OFFLINE")
    await until(lambda: len(stream.has) == 2)
    assert [event.id for event in stream.has] == stream.handed[:2]


async def test_of_too_many_the_oldest_are_given_up(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 2)
    refusals = Refusals("blue", stream, lambda: NOW)
    for name in ("one", "two", "three"):
        refusals.note(offer(name), "TARGET_OFFLINE")
    task = asyncio.create_task(refusals.run(retry_s=0.0))
    await until(lambda: len(stream.has) == 2)
    assert [event.id for event in stream.has] == stream.handed[1:]
    task.cancel()


def test_the_same_request_again_makes_the_same_event() -> None:
    assert event_of("blue", offer(), "X", NOW).id == event_of("blue", offer(), "X", NOW + 500).id


def test_the_same_frame_sent_later_makes_another_event() -> None:
    assert event_of("blue", offer(), "X", NOW).id != event_of("blue", offer(at=NOW + 1), "X", NOW).id
