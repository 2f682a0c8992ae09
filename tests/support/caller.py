"""A user who talks to a bot: a client and a WebRTC peer, which do what a test says, step by step."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

from tests.support.frames import Json, new_id, token
from tests.support.http_get import HOST
from tests.support.waiting import PATIENCE_S
from tieline.cli.call.peer import Description, Peer
from tieline.cli.call.sound import tones
from tieline.cli.call.tone import Heard, measure
from tieline.cli.call.trickle import IceCandidate, read_candidate
from tieline.client import Answer, Candidate, Client, Event, Hangup, MemberJoined, Offer, connect

EventT = TypeVar("EventT", bound=Event)

LISTEN_S = 0.5
"""Of sound, to tell a tone by."""


class Caller:
    """One end of a call, in a room."""

    def __init__(self, client: Client, room: str, hz: float) -> None:
        self.client = client
        self.room = room
        self.user = str(client.welcome.user_id)
        self.peer = Peer(tones(hz))
        self._hz = hz
        self._peers = [self.peer]

    async def next(self, kind: type[EventT]) -> EventT:
        """Wait for the next event of a kind. Candidates that come before it go to the peer."""
        async with asyncio.timeout(PATIENCE_S):
            async for event in self.client.events():
                if isinstance(event, kind):
                    return event
                if isinstance(event, Candidate):
                    await self._add(event)
        raise AssertionError(f"no {kind.__name__} came: {self.client.closed}")

    async def sees(self, user: str) -> None:
        """Wait until somebody is in the room."""
        roster = await self.client.members(self.room)
        while all(member.user_id != user for member in roster.members):
            await self.next(MemberJoined)
            roster = await self.client.members(self.room)

    async def offer(self, to: str) -> Description:
        """Offer, and say nothing yet of how to be reached."""
        offer = await self.peer.offer()
        await self.client.call(to, offer.description)
        return offer

    async def trickle(self, to: str, candidates: list[IceCandidate]) -> None:
        """Say how to be reached."""
        for candidate in candidates:
            await self.client.candidate(to, candidate)

    async def settle(self) -> Json:
        """Wait for the answer, and take it."""
        answer = (await self.next(Answer)).description
        await self.peer.accept(answer)
        return dict(answer)

    async def call(self, to: str) -> None:
        """Make a call that is answered."""
        offer = await self.offer(to)
        await self.trickle(to, offer.candidates)
        await self.settle()
        await self.is_connected()

    async def accept(self, offer: Offer) -> None:
        """Answer a call."""
        answer = await self.peer.answer(offer.description)
        await self.client.answer(offer.sender, answer.description)
        await self.trickle(offer.sender, answer.candidates)
        await self.is_connected()

    async def is_connected(self) -> None:
        """Wait until sound flows, taking in how the other end can be reached."""
        async with asyncio.timeout(PATIENCE_S):
            connecting = asyncio.ensure_future(self.peer.connected())
            following = asyncio.ensure_future(self._follow())
            await asyncio.wait((connecting, following), return_when=asyncio.FIRST_COMPLETED)
            following.cancel()
            await connecting

    async def hears(self) -> Heard:
        """Listen for a moment."""
        return measure(await self.peer.listen(LISTEN_S))

    def restart(self) -> None:
        """Begin anew with another peer, as after a change of the network; the former just falls silent."""
        self.peer = Peer(tones(self._hz))
        self._peers.append(self.peer)

    async def is_hung_up(self) -> str:
        """Wait until the other end hangs up; returns the reason."""
        return (await self.next(Hangup)).reason

    async def _follow(self) -> None:
        async for event in self.client.events():
            if isinstance(event, Candidate):
                await self._add(event)

    async def _add(self, event: Candidate) -> None:
        candidate = read_candidate(event.candidate)
        assert candidate is not None
        await self.peer.add(candidate)

    async def close(self) -> None:
        """Stop sending and listening."""
        for peer in self._peers:
            await peer.close()


@asynccontextmanager
async def calling(port: int, room: str, hz: float = 440, user: str = "") -> AsyncIterator[Caller]:
    """Be in the room while the block runs."""
    url = f"ws://{HOST}:{port}/ws"
    async with connect(url, token(user or new_id("caller")), resume=True) as client:
        await client.join(room)
        caller = Caller(client, room, hz)
        try:
            yield caller
        finally:
            await caller.close()
