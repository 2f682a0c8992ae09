"""An offer to somebody who is not there, and what crosses it: whatever the order, nothing is lost or left."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

import pytest

from presence.rules.negotiated import Negotiation
from tests.unit.presence.lifetime import uneven
from tests.unit.presence.presence_process import PresenceProcess
from tests.unit.presence.requests import opening
from tests.unit.presence.waking_process import ALICE, BOB, HALL, WINDOW_S, delivered, given, sent_to
from tieline.wire.ids import RoomId
from tieline.wire.internal.answers import Refused
from tieline.wire.internal.backend import Ban, RemoveMember
from tieline.wire.internal.directions import PresenceReply
from tieline.wire.internal.rooms import LeaveRoom
from tieline.wire.internal.signals import Relay

SEEDS: Final = 60

Act = Callable[[PresenceProcess], Awaitable[object]]


class Crossing:
    """Two processes over one store, whose operations wait for each other as chance has it."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.one = PresenceProcess(wake_window_s=WINDOW_S, watches=True)
        self.other = PresenceProcess(wake_window_s=WINDOW_S, watches=True, beside=self.one)

    async def begin(self) -> None:
        """Let Alice be there, and Bob a member who is not."""
        await given(self.one, BOB)
        await self.one.open(opening("alice", "hall", secret="alice"))

    async def cross(self, act: Act) -> PresenceReply:
        """Let Alice ring Bob while this happens; returns what her router is told."""
        for process in (self.one, self.other):
            process.store.lingers = uneven(self.chance)
            assert process.watch is not None
            process.watch.lags = lambda: self.chance.random() < 0.3
        ring = self.one.rings("alice", "bob", "offer")
        reply, _ = await asyncio.gather(ring, self._later(act))
        for process in (self.one, self.other):
            process.store.lingers = None
            assert process.watch is not None
            process.watch.lags = None
            process.watch.catch_up()
        return reply

    async def _later(self, act: Act) -> None:
        for _ in range(self.chance.randrange(60)):
            await asyncio.get_running_loop().create_task(_nothing())
        await act(self.other)

    async def pair(self) -> Negotiation:
        return await self.one.pair("alice", "bob")


async def _nothing() -> None:
    """Take a turn of the loop."""


def crossings() -> Iterator[Crossing]:
    return map(Crossing, range(SEEDS))


async def bob_comes(process: PresenceProcess) -> None:
    await process.open(opening("bob", gateway="g2"))


async def bob_comes_and_goes(process: PresenceProcess) -> None:
    await bob_comes(process)
    await process.end("bob")


async def test_who_comes_at_that_moment_has_the_offer_once() -> None:
    outcomes = set()
    for crossing in crossings():
        await crossing.begin()
        reply = await crossing.cross(bob_comes)
        assert isinstance(reply, Relay)
        sent = set(sent_to(crossing.one, "bob"))  # what two processes send is one frame to the mailbox
        expected = ({"offer"}, []) if reply.ack == "held" else (set(), ["bob-s1: own"])
        assert (sent, delivered(reply)) == expected
        pair = await crossing.pair()
        assert (pair.session_of(BOB), pair.kept_until) == ("bob-s1", 0)
        outcomes.add(reply.ack)
    assert outcomes == {"held", "relayed"}


async def test_who_comes_and_goes_leaves_no_call_behind() -> None:
    for crossing in crossings():
        await crossing.begin()
        await crossing.cross(bob_comes_and_goes)
        pair = await crossing.pair()
        assert pair.waits_for(BOB) or not pair.is_active


@pytest.mark.parametrize(
    "act",
    [
        lambda process: process.ask(RemoveMember("1", 60.0, BOB, HALL)),
        lambda process: process.ask(Ban("1", 60.0, BOB, 60.0)),
        lambda process: process.ask(Ban("1", 60.0, ALICE, 60.0)),
        lambda process: process.end("alice"),
        lambda process: process.ask(LeaveRoom(ALICE, opening("alice").session, RoomId("hall"))),
    ],
    ids=["callee removed", "callee banned", "caller banned", "caller ended", "caller left"],
)
async def test_what_may_not_wait_does_not(act: Act) -> None:
    kept = 0
    for crossing in crossings():
        await crossing.begin()
        reply = await crossing.cross(act)
        assert not (await crossing.pair()).is_active
        kept += not isinstance(reply, Refused)
        assert sent_to(crossing.one, "bob") == []
    assert kept
