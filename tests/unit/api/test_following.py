"""Callers who follow the events: what each is told, and how it ends."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from api.following import Following, Full
from tests.support.waiting import PATIENCE_S, until
from tests.unit.api.told import FakeStream, following, joined, offered
from tieline.event_stream import NoStream
from tieline.webhook_bucket import Unavailable
from tieline.wire.server_sent import Reader, Told


class Hearing:
    """One who follows, and hears what it is told."""

    def __init__(
        self,
        all_of_them: Following,
        after: int | None = None,
        user: str = "",
        room: str = "",
        for_s: float | None = None,
    ) -> None:
        self._all_of_them = all_of_them
        self._wanted = after, user, room, for_s
        self._told: asyncio.Queue[Told] = asyncio.Queue()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Hearing"]:
        self.follower = await self._all_of_them.begin(*self._wanted)
        async with asyncio.TaskGroup() as listening:
            task = listening.create_task(self._listen())
            assert (await self.told()).data == b""  # the beginning
            yield self
            task.cancel()

    async def _listen(self) -> None:
        reader = Reader()
        with self.follower:
            async for frame in self.follower.frames():
                for told in reader.feed(frame):
                    self._told.put_nowait(told)

    async def told(self) -> Told:
        async with asyncio.timeout(PATIENCE_S):
            return await self._told.get()

    async def places(self, count: int) -> list[int]:
        return [int((await self.told()).id) for _ in range(count)]


async def test_what_happens_is_told_in_order(stream: FakeStream, tasks: asyncio.TaskGroup) -> None:
    stream.tell(joined("before"))
    async with Hearing(following(stream, tasks)).running() as hearing:
        places = [stream.tell(joined(f"user {number}")) for number in range(5)]
        assert await hearing.places(5) == places


async def test_one_goes_on_behind_the_last_that_came(stream: FakeStream, tasks: asyncio.TaskGroup) -> None:
    places = [stream.tell(joined(f"user {number}")) for number in range(5)]
    async with Hearing(following(stream, tasks), after=places[1]).running() as hearing:
        assert await hearing.places(3) == places[2:]


async def test_a_place_that_is_not_yet_is_the_last_one(stream: FakeStream, tasks: asyncio.TaskGroup) -> None:
    async with Hearing(following(stream, tasks), after=9 * 10**18).running() as hearing:
        place = stream.tell(joined("alice"))
        assert await hearing.places(1) == [place]


async def test_only_what_names_the_user_is_told(stream: FakeStream, tasks: asyncio.TaskGroup) -> None:
    async with Hearing(following(stream, tasks), user="bob").running() as hearing:
        stream.tell(joined("alice"))
        wanted = [stream.tell(joined("bob")), stream.tell(offered("alice", "bob"))]
        stream.tell(offered("alice", "carol"))
        wanted.append(stream.tell(offered("bob", "carol")))
        assert await hearing.places(3) == wanted


async def test_only_what_names_the_room_is_told(stream: FakeStream, tasks: asyncio.TaskGroup) -> None:
    async with Hearing(following(stream, tasks), room="hall").running() as hearing:
        stream.tell(joined("alice", "cellar"))
        wanted = stream.tell(joined("alice", "hall"))
        assert await hearing.places(1) == [wanted]


async def test_what_cannot_be_read_or_is_for_one_webhook_is_not_told(
    stream: FakeStream, tasks: asyncio.TaskGroup
) -> None:
    async with Hearing(following(stream, tasks)).running() as hearing:
        stream.tell(None)
        stream.tell(joined("again"), only_for="history")
        wanted = stream.tell(joined("alice"))
        assert await hearing.places(1) == [wanted]


async def test_who_has_nothing_to_hear_is_told_up_to_where(
    stream: FakeStream, tasks: asyncio.TaskGroup
) -> None:
    async with Hearing(following(stream, tasks, heartbeat_s=0.01), user="bob").running() as hearing:
        place = stream.tell(joined("alice"))
        while (told := await hearing.told()).id != str(place):
            assert not told.data
        assert not told.data


async def test_who_comes_too_late_is_told_how_many_are_gone(
    stream: FakeStream, tasks: asyncio.TaskGroup
) -> None:
    places = [stream.tell(joined(f"user {number}")) for number in range(6)]
    stream.gone = 4
    async with Hearing(following(stream, tasks), after=places[0]).running() as hearing:
        gap = await hearing.told()
        assert (gap.name, gap.data) == ("gap", b'{"lost":3}')
        assert await hearing.places(2) == places[4:]


async def test_of_a_stream_that_was_lost_whole_nobody_knows_how_many(
    stream: FakeStream, tasks: asyncio.TaskGroup
) -> None:
    places = [stream.tell(joined("alice"))]
    stream.events[0] = stream.events[0]._replace(sequence=10**15)
    async with Hearing(following(stream, tasks), after=places[0] - 1).running() as hearing:
        assert (await hearing.told()).data == b'{"lost":0}'


async def test_those_who_are_at_one_place_share_a_reading(
    stream: FakeStream, tasks: asyncio.TaskGroup
) -> None:
    all_of_them = following(stream, tasks)
    async with contextlib.AsyncExitStack() as stack:
        hearing = [await stack.enter_async_context(Hearing(all_of_them).running()) for _ in range(8)]
        stream.readings = 0
        for _ in range(4):
            place = stream.tell(joined("alice"))
            for each in hearing:
                assert await each.places(1) == [place]
    assert stream.readings < 8 * 4  # which is what they would read by themselves, at least


async def test_no_more_than_so_many_may_follow(stream: FakeStream, tasks: asyncio.TaskGroup) -> None:
    all_of_them = following(stream, tasks, most=1)
    async with Hearing(all_of_them).running():
        with pytest.raises(Full):
            await all_of_them.begin(None, "", "")
    async with Hearing(all_of_them).running():
        assert len(all_of_them) == 1


async def test_without_events_nobody_follows(stream: FakeStream, tasks: asyncio.TaskGroup) -> None:
    all_of_them = following(stream, tasks)
    stream.is_away = True
    with pytest.raises(Unavailable):
        await all_of_them.begin(None, "", "")
    stream.is_there = False
    with pytest.raises(NoStream):
        await all_of_them.begin(None, "", "")
    assert len(all_of_them) == 0


async def test_a_stream_that_is_away_for_a_moment_loses_nothing(
    stream: FakeStream, tasks: asyncio.TaskGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.following.RETRY_S", 0.001)
    async with Hearing(following(stream, tasks)).running() as hearing:
        stream.is_away, before = True, stream.readings
        place = stream.tell(joined("alice"))
        await until(lambda: stream.readings > before + 2)
        stream.is_away = False
        assert await hearing.places(1) == [place]


async def test_a_stream_that_stays_away_ends_with_that_word(
    stream: FakeStream, tasks: asyncio.TaskGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.following.RETRY_S", 0.001)
    async with Hearing(following(stream, tasks, away_s=0)).running() as hearing:
        stream.is_away = True
        stream.tell(joined("alice"))
        end = await hearing.told()
        assert (end.id, end.name, end.data) == (str(stream.last - 1), "end", b'{"reason":"unavailable"}')


async def test_who_may_follow_no_longer_hears_that_and_no_more(
    stream: FakeStream, tasks: asyncio.TaskGroup
) -> None:
    all_of_them = following(stream, tasks)
    async with Hearing(all_of_them, for_s=0.01).running() as hearing:
        end = await hearing.told()
        assert (end.name, end.data) == ("end", b'{"reason":"expired"}')
        await until(lambda: len(all_of_them) == 0)


async def test_a_process_that_ends_says_so_to_all(stream: FakeStream, tasks: asyncio.TaskGroup) -> None:
    all_of_them = following(stream, tasks)
    async with Hearing(all_of_them).running() as one, Hearing(all_of_them).running() as other:
        all_of_them.end()
        for each in (one, other):
            end = await each.told()
            assert (end.name, end.data) == ("end", b'{"reason":"stopping"}')
        with pytest.raises(Full):
            await all_of_them.begin(None, "", "")
