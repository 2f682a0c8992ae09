"""A stream of events for tests, and callers who follow it."""

import asyncio
from typing import Final

from api.following import Following
from tieline.event_stream import News, NoStream, Read
from tieline.webhook_bucket import Unavailable
from tieline.wire import cloud_events
from tieline.wire.cloud_events import Call, CloudEvent, Member, StoredEvent
from tieline.wire.ids import CallId, RoomId, UserId

FIRST: Final = 1_000


class FakeStream:
    """Keeps events, and may be away, or not be there at all."""

    def __init__(self, news: News) -> None:
        self.news = news
        self.events: list[Read] = []
        self.gone = 0
        """So many of the oldest are kept no more."""
        self.readings = 0
        self.is_away = False
        self.is_there = True

    @property
    def last(self) -> int:
        return FIRST + len(self.events)

    async def begin(self) -> int:
        if not self.is_there:
            raise NoStream("none")
        if self.is_away:
            raise Unavailable("away")
        return self.last

    async def read(self, after: int) -> list[Read]:
        self.readings += 1
        await asyncio.sleep(0)
        if self.is_away:
            raise Unavailable("away")
        return [each for each in self.events[self.gone :] if each.sequence > after][:2]

    def tell(self, event: CloudEvent | None, only_for: str = "") -> int:
        """Store an event, and say so; returns its place."""
        place = self.last + 1
        stored = None
        if event is not None:
            body = cloud_events.numbered(cloud_events.encode(event), place)
            stored = StoredEvent(place, event.subject, event.id, place, body)
        self.events.append(Read(place, "", stored, only_for))
        self.say()
        return place

    def say(self) -> None:
        """Say how far the stream has got."""
        self.news.last = self.last
        changed, self.news._changed = self.news._changed, asyncio.Event()
        changed.set()


def joined(user: str, room: str = "hall") -> CloudEvent:
    return cloud_events.of_member("t", "member.joined", user, 0, Member(RoomId(room), UserId(user)))


def offered(caller: str, callee: str) -> CloudEvent:
    call = Call(UserId(caller), UserId(callee), CallId("c1"))
    return cloud_events.of_call("t", "call.offered", caller, 0, call)


def following(
    stream: FakeStream, tasks: asyncio.TaskGroup, most: int = 8, heartbeat_s: float = 60, away_s: float = 60
) -> Following:
    return Following(stream, stream.news, most, tasks, heartbeat_s, away_s)
