"""One call of the bot, between two peers in this process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.waiting import within
from tieline.cli.call.bot_call import BotCall, MediaEvent, MediaFlows, MediaStopped
from tieline.cli.call.peer import Peer
from tieline.cli.call.sound import tones


class Other:
    """The other end of the call, and the events that the call has reported."""

    def __init__(self, tasks: asyncio.TaskGroup, record: Path | None) -> None:
        self.peer = Peer(tones(660))
        self.events: asyncio.Queue[MediaEvent] = asyncio.Queue()
        self.call = BotCall("ann", record, tasks, self.events.put_nowait)

    async def negotiate(self) -> None:
        """Let the call begin, or go on, with a peer that answers this one's offer."""
        bots = Peer(tones(440))
        await self.call.use(bots)
        offer = await self.peer.offer()
        answer = await bots.answer(offer.description)
        await self.peer.accept(answer.description)
        self.call.answered()
        for peer, candidates in ((bots, offer.candidates), (self.peer, answer.candidates)):
            for candidate in candidates:
                await peer.add(candidate)


@asynccontextmanager
async def calling(record: Path | None = None) -> AsyncIterator[Other]:
    async with asyncio.TaskGroup() as tasks:
        other = Other(tasks, record)
        yield other
        await other.call.close()
        await other.peer.close()


async def test_flowing_media_is_reported_with_its_path() -> None:
    async with calling() as other:
        await other.negotiate()
        flows = await within(other.events.get())
        assert isinstance(flows, MediaFlows)
        assert flows == MediaFlows(other.call, flows.path)
        assert " to " in flows.path
        assert other.call.is_answered


async def test_an_end_by_the_other_peer_is_reported_as_a_hangup() -> None:
    async with calling() as other:
        await other.negotiate()
        await within(other.events.get())
        await other.peer.close()
        assert await within(other.events.get()) == MediaStopped(other.call, "hangup")


async def test_a_closed_call_reports_nothing_more() -> None:
    async with calling() as other:
        await other.negotiate()
        await within(other.events.get())
        await other.call.close()
        assert other.call.peer is None
    assert other.events.empty()


async def test_a_call_without_sound_says_so() -> None:
    async with calling() as other:
        assert not other.call.has_heard
        assert other.call.summary == "heard nothing"


@pytest.mark.parametrize("name", ["heard.wav", "missing/heard.wav"])
async def test_the_summary_says_where_the_sound_is_kept(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    async with calling(file) as other:
        kept = "; recorded in " if file.parent.is_dir() else "; could not be recorded in "
        assert other.call.summary.startswith(f"heard nothing{kept}{file}")
