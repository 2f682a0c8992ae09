"""Of several copies of one order one counts: what they leave is what the answer says, wherever each stood.

One copy stands still at each of its awaits while another one is carried out, or dies at one of its own, and
what decides whether the order is refused turns in between. Then the first goes on, or dies, too. Of all cases
a run takes a sample, and a soak every one.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Literal, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from presence.once import CLAIM_MS
from tests.support.examples import scaled
from tests.unit.presence.presence_process import PresenceProcess
from tests.unit.presence.requests import opening
from tests.unit.presence.standing_still import StandingStill
from tests.unit.presence.test_overtaken import (
    HALL,
    IS_SOAK,
    ORDERS,
    answer_of,
    demand,
    demand_agreement,
    numbered,
    rings,
    seen,
)
from tieline.wire.ids import GatewayId, RoomId, UserId
from tieline.wire.internal.answers import Refused
from tieline.wire.internal.backend import (
    AddMember,
    Affected,
    Disconnect,
    EndCall,
    LookAtRoom,
    RemoveMember,
    RoomSeen,
)
from tieline.wire.internal.directions import BackendOrder, PresenceReply

ALICE, BOB, CAROL = UserId("alice"), UserId("bob"), UserId("carol")

Act = Callable[[PresenceProcess], Awaitable[object]]

End = Literal["goes on", "dies"]

LAST: Final = 1_000
"""No order has so many awaits."""


class Case(NamedTuple):
    """Where an order begins, and what happens between two copies of it."""

    kind: str
    start: str
    turns: str = ""
    """What decides whether it is refused, and turns when the first copy stands still; empty: nothing does."""
    is_given: bool = False
    """Whether an earlier order has made Alice a member, and she has left by herself."""


class Turn(NamedTuple):
    """Circumstances that turn, with what has them begin."""

    begin: Act
    turn: Act


async def carol_comes(process: PresenceProcess) -> None:
    await process.open(opening("carol", "hall", hears=True))


async def carol_leaves(process: PresenceProcess) -> None:
    await process.leave("carol", "hall")


async def many_are_given(process: PresenceProcess) -> None:
    for each in range(3):
        await process.ask(AddMember(f"a{each}", 60.0, ALICE, RoomId(f"room{each}")))


async def one_is_taken(process: PresenceProcess) -> None:
    await process.ask(RemoveMember("b0", 60.0, ALICE, RoomId("room0")))


async def two_are_given(process: PresenceProcess) -> None:
    for each in range(2):
        await process.ask(AddMember(f"a{each}", 60.0, ALICE, RoomId(f"room{each}")))


async def one_more_is_given(process: PresenceProcess) -> None:
    await process.ask(AddMember("a2", 60.0, ALICE, RoomId("room2")))


async def nothing(_process: PresenceProcess) -> None:
    """Let it be as it is."""


TURNS: Final = {
    "": Turn(nothing, nothing),
    "is full, then free": Turn(carol_comes, carol_leaves),
    "is free, then full": Turn(nothing, carol_comes),
    "too many, then fewer": Turn(many_are_given, one_is_taken),
    "few, then too many": Turn(two_are_given, one_more_is_given),
}

CASES: Final = [
    *(Case(kind, start) for kind in ORDERS for start in ("member", "elsewhere", "away", "offline")),
    *(
        Case("add", start, turns, is_given)
        for start in ("elsewhere", "away elsewhere", "offline")
        for turns in TURNS
        for is_given in (False, True)
        if turns or is_given
    ),
]

ENDS: Final[list[End]] = ["goes on", "dies"]


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let whoever looks again and again look at once."""
    monkeypatch.setattr("presence.moderation.AGAIN_S", 0.0)
    monkeypatch.setattr("presence.once.LOOK_S", 0.0)


async def begun(case: Case) -> PresenceProcess:
    """Bob is in the hall, where two have room, and Alice where the case begins."""
    process = PresenceProcess(max_members=2)
    process.living_gateways.add(GatewayId("g1"))
    await process.open(opening("bob", "hall", hears=True))
    if case.start != "offline":
        rooms = ("cellar",) if "elsewhere" in case.start else ("hall", "cellar")
        await process.open(opening("alice", *rooms, secret="alice", hears=True))
    if case.is_given:
        await process.ask(AddMember("00", 60.0, ALICE, HALL))
        await process.leave("alice", "hall")
    await rings(process)
    if "away" in case.start:
        await process.end("alice", resumable=True)
    await TURNS[case.turns].begin(process)
    return process


class Copies:
    """Two copies of one order, of which the first stands still at one of its awaits."""

    def __init__(self, case: Case, process: PresenceProcess, order: BackendOrder) -> None:
        self._case = case
        self.process = process
        self.order = order
        self.answers: list[PresenceReply | None] = []

    async def asked_again(self) -> BackendOrder:
        """Return the order as the API asks for it again: what none takes back has a new number then."""
        if isinstance(self.order, Disconnect | EndCall):
            return msgspec.structs.replace(self.order, number=await self.process.number())
        return self.order

    async def first(self, at: int) -> "tuple[StandingStill, asyncio.Task[PresenceReply]] | None":
        """Have a copy stand still; None: it has ended before."""
        slow = StandingStill(self.process, at)
        asked = await slow.is_at_it(self.order)
        return None if asked is None else (slow, asked)

    async def second(self, at: int) -> None:
        """Have the API ask again when the claim has run out: this copy dies at one of its awaits, or ends."""
        self.process.clock.pass_s(CLAIM_MS / 1000)
        slow = StandingStill(self.process, at)
        asked = await slow.is_at_it(await self.asked_again())
        if asked is not None:
            await die(asked)
            return
        self.answers.append(slow.answer)

    async def end(self, slow: StandingStill, asked: "asyncio.Task[PresenceReply]", how: End) -> None:
        """Let the first copy end."""
        self.process.clock.pass_s(CLAIM_MS / 1000)
        if how == "dies":
            await die(asked)
            return
        slow.still.goes_on.set()
        late = await answer_of(asked)
        self.answers.extend([] if late is None else [late])


async def die(asked: "asyncio.Task[PresenceReply]") -> None:
    asked.cancel()
    await asyncio.wait((asked,))


async def lists_alice(process: PresenceProcess) -> bool:
    """Whether the hall lists Alice as a member by the backend's word."""
    page = await process.ask(LookAtRoom(HALL))
    assert isinstance(page, RoomSeen)
    return any(member.user == ALICE and member.is_given for member in page.members)


async def ended(copies: Copies, case: Case) -> None:
    """Demand that what is stored is what all were answered, and that another copy changes nothing."""
    found = await seen(copies.process)
    assert await lists_alice(copies.process) is (HALL in found.standing.given)
    if not copies.answers:  # nobody was answered, so it may have been carried out, or not
        copies.process.clock.pass_s(CLAIM_MS / 1000)
        copies.answers.append(await copies.process.ask(await copies.asked_again()))
        found = await seen(copies.process)
    (answer,) = set(copies.answers)
    if isinstance(answer, Affected):
        demand_agreement(found)
        demand(case.kind, found)
    else:
        assert isinstance(answer, Refused)
        assert found.is_indexed is (HALL in found.standing.given) is case.is_given
        assert HALL not in found.rooms
    assert await copies.process.ask(await copies.asked_again()) == answer
    assert await seen(copies.process) == found
    copies.process.clock.pass_s(2 * CLAIM_MS / 1000)


async def copied(case: Case, at: int, dies_at: int, how: End, *, turns_back: bool = False) -> bool:
    """Let one copy stand still while another is carried out, or dies; False: it never stood still."""
    process = await begun(case)
    copies = Copies(case, process, await numbered(process, case.kind, "01"))
    first = await copies.first(at)
    if first is None:
        return False
    turn = TURNS[case.turns]
    await turn.turn(process)
    await copies.second(dies_at)
    if turns_back and case.turns == "is full, then free":
        await carol_comes(process)
    await copies.end(*first, how)
    await ended(copies, case)
    return True


async def awaits_of(case: Case) -> int:
    """Count the points at which a copy may stand still."""
    process = await begun(case)
    slow = StandingStill(process, 0)
    assert await slow.is_at_it(await numbered(process, case.kind, "01")) is None
    return slow.still.count


def named(case: Case) -> str:
    return " ".join((case.kind, case.start, case.turns, "given" * case.is_given)).strip()


WHOLE: Final = [case for case in CASES if IS_SOAK or case.turns or case.start == "member"]


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("case", WHOLE, ids=named)
async def test_of_two_copies_the_answered_one_counts(case: Case, how: End) -> None:
    at = 1
    while await copied(case, at, LAST, how):
        at += 1
    assert at > 3, "it has some awaits"


@pytest.mark.parametrize("case", CASES if IS_SOAK else [Case("allow", "offline")], ids=named)
async def test_of_two_copies_either_may_die_anywhere(case: Case) -> None:
    last = await awaits_of(case)
    for at in range(1, last + 1):
        for dies_at in range(1, last + 1):
            assert await copied(case, at, dies_at, ENDS[(at + dies_at) % 2])


@settings(max_examples=scaled(300))
@given(case=st.sampled_from(CASES), how=st.sampled_from(ENDS), turns_back=st.booleans(), data=st.data())
async def test_of_two_copies_one_counts_whatever_becomes_of_them(
    case: Case, how: End, turns_back: bool, data: st.DataObject
) -> None:
    last = await awaits_of(case)
    at = data.draw(st.integers(1, last), "at")
    dies_at = data.draw(st.one_of(st.integers(1, last), st.just(LAST)), "dies at")
    assert await copied(case, at, dies_at, how, turns_back=turns_back)
