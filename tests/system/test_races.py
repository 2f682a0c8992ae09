"""Candidates trickled while the answer is in flight, hundreds of times over.

They test rule 6 of docs/protocol.md#the-rules-of-the-four-webrtc-commands.
"""

import asyncio
import json
import os
from collections.abc import Iterable
from typing import Final

import pytest

from tests.support import frames
from tests.support.frames import ANSWER, CANDIDATE, HANGUP, OFFER, Json, signal
from tests.support.people import People, Person

PAIRS: Final = int(os.environ.get("TIELINE_RACING_PAIRS") or 20)
"""Who all do the same at once; `make soak` has 50 of them, a thousand races."""

ROUNDS = [range(first, first + 5) for first in (0, 5, 10, 15)]
"""Of each pair, in four tests: a busy machine needs more than a minute for all."""

CANDIDATES = 30
REPLIES = 3
"""Candidates of the callee, sent right behind its answer."""

VANISHING = 50


class Race:
    """One pair, one call after the other."""

    def __init__(self, one: Person, other: Person) -> None:
        self._one = one
        self._other = other

    async def run(self, rounds: Iterable[int]) -> None:
        caller, callee = self._one, self._other
        for number in rounds:
            # The answer leaves when so many candidates have been judged: it meets each of them in some round.
            await self._round(caller, callee, after=(number * 7) % (CANDIDATES + 1))
            caller, callee = callee, caller

    async def _round(self, caller: Person, callee: Person, after: int) -> None:
        offer = signal(OFFER, caller.user, callee.user)
        trickled = [signal(CANDIDATE, caller.user, callee.user) for _ in range(CANDIDATES)]
        answer = signal(ANSWER, callee.user, caller.user)
        replies = [signal(CANDIDATE, callee.user, caller.user) for _ in range(REPLIES)]
        judged = asyncio.Event()
        for frame in (offer, *trickled):
            caller.connection.send(frame)

        async def call() -> None:
            acks: list[Json] = []
            heard: list[bytes] = []
            while len(acks) < CANDIDATES + 1 or len(heard) < REPLIES + 1:
                message = await caller.hear_frame()
                if b'"ack"' in message:
                    acks.append(json.loads(message))
                else:
                    heard.append(message)
                if len(acks) == after + 1:
                    judged.set()
            assert heard == [answer, *replies]
            held = sum(ack["ack"] == "held" for ack in acks)
            assert acks == [
                frames.ack(offer, "relayed"),
                *(frames.ack(frame, "held") for frame in trickled[:held]),
                *(frames.ack(frame, "relayed") for frame in trickled[held:]),
            ]

        async def be_called() -> None:
            assert await callee.hear_frame() == offer
            await judged.wait()
            for frame in (answer, *replies):  # nothing has come before this
                callee.connection.send(frame)
            await callee.hear_all(trickled, besides=[answer, *replies])

        async with asyncio.TaskGroup() as racing:
            racing.create_task(call())
            racing.create_task(be_called())
        await caller.relays(HANGUP, callee)


@pytest.mark.parametrize("system", ["three"], indirect=True)
@pytest.mark.parametrize("rounds", ROUNDS, ids=str)
async def test_races_lose_double_and_reorder_no_candidate(people: People, rounds: range) -> None:
    racers = [
        await people.connect("racer", claims={"join": [f"{people.room}-{n // 2}"]}) for n in range(2 * PAIRS)
    ]
    async with asyncio.TaskGroup() as racing:
        for one, other in zip(racers[::2], racers[1::2], strict=True):
            await one.hears_joined(one.welcome["data"]["rooms"][0], other.user)
            racing.create_task(Race(one, other).run(rounds))


@pytest.mark.parametrize("system", ["three"], indirect=True)
async def test_an_offer_of_somebody_who_vanishes_with_it_does_not_ring_on(people: People) -> None:
    bob = await people.enter("bob")
    for _ in range(VANISHING):
        caller = await people.connect("caller", claims={"join": [people.room]})
        await bob.hears_joined(people.room, caller.user)
        offer = caller.say(OFFER, bob)
        await caller.connection.drop()
        heard = await bob.hear_frame()
        if heard == offer:
            await bob.hears_hangup(caller.user, "disconnected")
            heard = await bob.hear_frame()
        assert json.loads(heard)["cmd"] == "MEMBER_LEFT"
    await bob.pings()
