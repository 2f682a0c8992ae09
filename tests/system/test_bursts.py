"""What a client sends at once becomes of it what becomes of it one by one.

Two groups of three do the same, in random calls with one another: of the one each sends what it has to say in
one write, of the other each waits for every answer. `TIELINE_FUZZ_SEED` has the same again, and
`TIELINE_BURST_ROUNDS` says how often.
"""

import asyncio
import difflib
import json
import os
import random
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

import pytest

from tests.support.frames import ANSWER, CANDIDATE, HANGUP, OFFER, command, new_id
from tests.support.people import People, Person
from tests.support.raw_client import Opcode, frame
from tests.support.seed import SAME_AGAIN, SEED
from tests.support.waiting import within

ROUNDS: Final = int(os.environ.get("TIELINE_BURST_ROUNDS") or 12)

INFO: Final = "WEBRTC_INFO"
COMMANDS: Final = (OFFER, OFFER, ANSWER, *[CANDIDATE] * 14, HANGUP, INFO, "PING")
MOST_OFFERS: Final = 20
"""Of one to another, in a round: more are over a limit."""

_CALL_OF_ACK: Final = re.compile(r',"call":"[0-9a-f]{16}"')
_CALL: Final = re.compile(r'"call": ?"([0-9a-f]{16})"')


class Said(NamedTuple):
    """One message, as both groups send it."""

    request_id: str
    cmd: str
    to: int
    size: int
    call: int | None
    """Which of the calls that its sender has heard of it is about; None: it does not say."""


Heard = dict[str, list[str]]
"""What somebody has heard, by sender."""

Burst = tuple[int, list[Said]]
"""Who sends what at once."""


def script(chance: random.Random) -> list[Burst]:
    """Make up what three say. Some of it is said twice, to the byte; most offers are answered."""
    bursts: list[Burst] = []
    offers: dict[tuple[int, int], int] = {}
    offered: tuple[int, int] | None = None
    for _ in range(chance.randrange(3, 12)):
        sender, said = chance.randrange(3), list[Said]()
        peer = chance.choice([each for each in range(3) if each != sender])
        if offered is not None and chance.randrange(4):
            peer, sender = offered
            said.append(Said(new_id("said"), ANSWER, peer, 0, None))
            offered = None
        for _ in range(chance.choice((1, 2, 5, 12, 25))):
            if said and chance.randrange(12) == 0:
                said.append(chance.choice(said))
                continue
            to = peer if chance.randrange(8) else 3 - sender - peer
            cmd = chance.choice(COMMANDS)
            if cmd == OFFER:
                offers[sender, to] = offers.get((sender, to), 0) + 1
                cmd, offered = (OFFER if offers[sender, to] <= MOST_OFFERS else CANDIDATE), (sender, to)
            size = chance.choice((0, 0, 0, 0, 100, 600, 2_500, 9_000))
            call = None if chance.randrange(8) else chance.randrange(1, 4)
            said.append(Said(new_id("said"), cmd, to, size, call))
        bursts.append((sender, said))
    return bursts


class Group:
    """Three who do what is written, and a beacon: what each of them hears from it comes behind all else."""

    def __init__(self, people: Sequence[Person], beacon: Person, *, at_once: bool) -> None:
        self._people = people
        self._beacon = beacon
        self._at_once = at_once
        self.heard: list[list[str]] = [[] for _ in people]
        self._answered: list[asyncio.Queue[None]] = [asyncio.Queue() for _ in people]
        self._calls: list[list[str]] = [[] for _ in people]
        """Of which calls each has heard, the newest last."""
        self._flashes: list[asyncio.Queue[None]] = [asyncio.Queue() for _ in people]

    async def listen(self, place: int) -> None:
        """Keep all that one of them hears."""
        while True:
            text = (await self._people[place].connection.receive()).decode()
            message = json.loads(text)
            if (message["data"] or {}).get("from") == self._beacon.user:
                self._flashes[place].put_nowait(None)
                continue
            if message["cmd"] == CANDIDATE and message.get("ack"):
                text = _CALL_OF_ACK.sub("", text)  # which it may lack
            self.heard[place].append(text)
            for call in _CALL.findall(text):
                if call not in self._calls[place]:
                    self._calls[place].append(call)
            if message.get("data") is None or message["cmd"] == "PONG":
                self._answered[place].put_nowait(None)

    async def flash(self, cmd: str) -> None:
        """Wait until each of them has heard all that was stored for it."""
        for person in self._people:
            self._beacon.say(cmd, person)
        for flashes in self._flashes:
            await within(flashes.get())

    async def play(self, bursts: Sequence[Burst], cuts: random.Random) -> None:
        """Do what is written."""
        await self.flash(OFFER)
        for sender, said in bursts:
            person = self._people[sender]
            frames = [frame(Opcode.TEXT, self._written(sender, each)) for each in said]
            if self._at_once:
                whole = b"".join(frames)
                cut = cuts.randrange(len(whole)) if cuts.randrange(3) == 0 else len(whole)
                for some in filter(None, (whole[:cut], whole[cut:])):
                    person.connection.write(some)
                    await person.connection.flush()
            for each in frames:
                if not self._at_once:
                    person.connection.write(each)
                await within(self._answered[sender].get())
            await self.flash(INFO)

    def _written(self, sender: int, said: Said) -> bytes:
        me, you = self._people[sender].user, self._people[said.to].user
        if said.cmd == "PING":
            return command("PING", {"x": said.size}, said.request_id)
        data: dict[str, object] = {
            "from": me,
            "to": you,
            "data": {"is": said.request_id, "x": "x" * said.size},
        }
        known = self._calls[sender]
        if said.call is not None and len(known) >= said.call:
            data["call"] = known[-said.call]
        return command(said.cmd, data, said.request_id)

    def normal(self) -> list[Heard]:
        """List what each has heard from whom, without what differs from group to group: names and calls."""
        names = {person.user: f"user {place}" for place, person in enumerate(self._people)}
        calls: dict[str, str] = {}
        normal: list[Heard] = []
        for heard in self.heard:
            of_whom: Heard = {}
            for text in heard:
                for call in _CALL.findall(text):
                    calls.setdefault(call, f"call {len(calls)}")
                for old, new in (*names.items(), *calls.items()):
                    text = text.replace(f'"{old}"', f'"{new}"')
                data = json.loads(text)["data"] or {}
                of_whom.setdefault(data.get("from", ""), []).append(text)
            normal.append(of_whom)
        return normal


def differences(ones: Sequence[Heard], others: Sequence[Heard]) -> list[str]:
    """List what was heard in one of two groups alone, or in another place."""
    found: list[str] = []
    for place, (one, other) in enumerate(zip(ones, others, strict=True)):
        for sender in sorted(one.keys() | other.keys()):
            lines = difflib.unified_diff(other.get(sender, []), one.get(sender, []), n=2, lineterm="")
            found += [f"user {place} from {sender or 'the server'}: {line[:300]}" for line in lines]
    return found


async def played(people: People, bursts: Sequence[Burst], cuts: random.Random, *, at_once: bool) -> Group:
    """Have what is written done by three, and hear all that comes of it."""
    room = new_id("burst")
    there: list[Person] = []
    for name in ("p", "p", "p", "beacon"):
        person = await people.connect(name, claims={"join": [room]}, options={"calls": "1"})
        for other in there:
            await other.hears_joined(room, person.user)
        there.append(person)
    group = Group(there[:3], there[3], at_once=at_once)
    listening = [asyncio.create_task(group.listen(place)) for place in range(3)]
    try:
        await group.play(bursts, cuts)
    finally:
        for each in listening:
            each.cancel()
        await asyncio.gather(*listening, return_exceptions=True)
    return group


@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("system", ["one", "three"], indirect=True)
async def test_what_is_sent_at_once_fares_as_it_does_one_by_one(people: People) -> None:
    print(SAME_AGAIN)
    for number in range(ROUNDS):
        chance = random.Random(f"{SEED}-{number}")
        bursts = script(chance)
        together = await played(people, bursts, chance, at_once=True)
        alone = await played(people, bursts, chance, at_once=False)
        found = differences(together.normal(), alone.normal())
        assert not found, f"round {number}:\n" + "\n".join(found[:40])
