"""An order that is carried out after a later one changes nothing, wherever its process stood still.

Each order stands still at each of its awaits while its opposite is carried out. Of all others, and of where
Alice may be, a run takes a sample, as `tests.support.examples` has it, and a soak every one.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from presence.once import CLAIM_MS
from presence.rules import standing as standings
from presence.rules.closing import read as closing_in
from presence.rules.orders import OVERTAKEN
from presence.store import StoreUnavailable
from tests.support.examples import scaled
from tests.unit.presence.lifetime import uneven
from tests.unit.presence.presence_process import PresenceProcess
from tests.unit.presence.requests import opening
from tests.unit.presence.standing_still import StandingStill
from tieline.wire.ids import GatewayId, RoomId, UserId
from tieline.wire.internal.answers import Refused
from tieline.wire.internal.backend import (
    AddMember,
    Affected,
    Ban,
    CloseRoom,
    Disconnect,
    EndCall,
    RemoveMember,
    SetVoice,
)
from tieline.wire.internal.directions import BackendOrder, OrderedChange, PresenceReply
from tieline.wire.internal.sessions import Opened
from tieline.wire.subjects import Keys

ALICE, BOB, HALL = UserId("alice"), UserId("bob"), RoomId("hall")

ORDERS: Final[dict[str, Callable[[str], BackendOrder]]] = {
    "add": lambda once: AddMember(once, 60.0, ALICE, HALL),
    "remove": lambda once: RemoveMember(once, 60.0, ALICE, HALL),
    "kick": lambda once: RemoveMember(once, 60.0, ALICE, HALL, 600.0),
    "close": lambda once: CloseRoom(once, 60.0, HALL),
    "ban": lambda once: Ban(once, 60.0, ALICE, 600.0),
    "unban": lambda once: Ban(once, 60.0, ALICE, 0.0),
    "silence": lambda once: SetVoice(once, 60.0, ALICE, is_allowed=False),
    "allow": lambda once: SetVoice(once, 60.0, ALICE, is_allowed=True),
    "disconnect": lambda once: Disconnect(once, 60.0, ALICE),
    "hang up": lambda once: EndCall(once, 60.0, ALICE, BOB),
}

ABOUT: Final = (("add", "remove", "kick", "close"), ("ban", "unban"), ("silence", "allow"))
"""Which of them are about the same, so that the later one counts alone."""

STARTS: Final = ("member", "elsewhere", "away", "offline")

OPPOSITES: Final = (
    ("elsewhere", "add", "remove"),
    ("elsewhere", "add", "close"),
    ("member", "add", "kick"),
    ("member", "remove", "add"),
    ("member", "kick", "add"),
    ("member", "close", "add"),
    ("member", "ban", "unban"),
    ("member", "unban", "ban"),
    ("member", "silence", "allow"),
    ("member", "allow", "silence"),
    ("member", "disconnect", "disconnect"),  # nothing takes these two back
    ("member", "hang up", "hang up"),
)
"""Each order where it has the most steps, and what takes it back."""

PAIRS: Final = [(earlier, later) for earlier in ORDERS for later in ORDERS]


def are_about_the_same(one: str, other: str) -> bool:
    return one == other or any(one in some and other in some for some in ABOUT)


CASES: Final = [
    (start, *pair) for pair in PAIRS for start in STARTS if start == "member" or are_about_the_same(*pair)
]

PASSES_S: Final = (0.0, 2.0, 660.0)
"""How long a copy is late: by less than any answer is remembered, or by more, and than anybody is banned."""

COPIES: Final = [(start, kind) for kind in ORDERS for start in STARTS]

IS_SOAK: Final = scaled(1) > 1


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let whoever looks for a user again and again look at once."""
    monkeypatch.setattr("presence.moderation.AGAIN_S", 0.0)


class Seen(NamedTuple):
    """All that orders are about."""

    standing: standings.Standing
    is_indexed: bool
    session: str
    status: str
    rooms: frozenset[RoomId]
    voice: bool
    has_call: bool


async def begun(start: str) -> PresenceProcess:
    """Alice is where it begins; Bob is in the hall, and in a call with her if she is as well."""
    process = PresenceProcess()
    process.living_gateways.add(GatewayId("g1"))
    await process.open(opening("bob", "hall", hears=True))
    if start == "offline":
        return process
    rooms = ("cellar",) if start == "elsewhere" else ("hall", "cellar")
    await process.open(opening("alice", *rooms, secret="alice", hears=True))
    await rings(process)
    if start == "away":
        await process.end("alice", resumable=True)
    return process


async def rings(process: PresenceProcess) -> None:
    await process.signal("alice", "bob", "OFFER", f"offer {process.store.last_revision()}")


async def seen(process: PresenceProcess) -> Seen:
    found = await process.store.read(Keys.standing(ALICE), Keys.given(HALL, ALICE))
    standing, index = found.get(Keys.standing(ALICE)), found.get(Keys.given(HALL, ALICE))
    decided = standings.read(standing.value) if standing is not None and standing.value else standings.NONE
    is_indexed, has_call = bool(index and index.value), (await process.pair("alice", "bob")).is_active
    decided = msgspec.structs.replace(decided, orders=(), gifts=())
    user = await process.user("alice")
    if user is None or not user.is_reachable:
        return Seen(decided, is_indexed, "", "offline", frozenset(), False, has_call)
    session = user.session
    return Seen(decided, is_indexed, session.id, session.status, frozenset(user.rooms), user.voice, has_call)


def demand(kind: str, found: Seen) -> None:
    """Demand that all records say what an order wants."""
    is_there, here = found.session != "", HALL in found.rooms
    match kind:
        case "add":
            assert HALL in found.standing.given
            assert here or not is_there
        case "remove" | "kick" | "close":
            assert HALL not in found.standing.given
            assert not here
            assert kind == "close" or (kind == "kick") is bool(found.standing.kept_out)
        case "ban":
            assert found.standing.banned_until
            assert not is_there
        case "unban":
            assert not found.standing.banned_until
        case "silence":
            assert found.standing.is_silenced
            assert not found.voice
            assert not found.has_call
        case "allow":
            assert not found.standing.is_silenced
            assert found.voice or not is_there
        case _:
            pass


def without_kept_out(found: Seen) -> Seen:
    return found._replace(standing=msgspec.structs.replace(found.standing, kept_out=()))


def demand_agreement(found: Seen) -> None:
    """Demand that what is decided is so, and that what is stored of it says the same."""
    assert found.is_indexed is (HALL in found.standing.given)
    if found.session:
        assert HALL in found.rooms or HALL not in found.standing.given
        assert found.voice is not found.standing.is_silenced
        assert not found.standing.banned_until


async def goes_on_with_its_day(process: PresenceProcess, later: str) -> None:
    """Let Alice do what she may do after the later order, which the earlier one would undo."""
    now = await seen(process)
    if later in ("unban", "disconnect") and not (now.session or now.standing.banned_until):
        await process.open(opening("alice", "hall", "cellar", number=7, hears=True))
    if later in ("remove", "close") and (await seen(process)).session:
        await process.join("alice", "hall")
    if later in ("allow", "hang up"):  # a call that began before an order ends with it, however late
        await process.signal("alice", "bob", "HANGUP", "hangup")
        await rings(process)


async def numbered(process: PresenceProcess, kind: str, once: str) -> BackendOrder:
    order = ORDERS[kind](once)
    if isinstance(order, OrderedChange):
        order = msgspec.structs.replace(order, number=await process.number())
    return order


async def answer_of(asked: "asyncio.Task[PresenceReply]") -> PresenceReply | None:
    try:
        return await asked
    except StoreUnavailable:  # nobody waits for it any more
        return None


async def awaits_of(start: str, kind: str) -> int:
    """Count the points at which an order may stand still."""
    process = await begun(start)
    slow = StandingStill(process, 0)
    assert await slow.is_at_it(await numbered(process, kind, "01")) is None
    assert slow.still.count > 3, "it has some awaits"
    return slow.still.count


async def stood_still(start: str, earlier: str, later: str, at: int) -> bool:
    """Let the earlier order stand still until the later one is carried out; False: it never did."""
    process = await begun(start)
    slow = StandingStill(process, at)
    asked = await slow.is_at_it(await numbered(process, earlier, "01"))
    if asked is None:
        return False
    reply = await process.ask(await numbered(process, later, "02"))
    is_made = isinstance(reply, Affected)
    if is_made:
        demand(later, await seen(process))
        await goes_on_with_its_day(process, later)
    before = await seen(process)
    process.clock.pass_s(CLAIM_MS / 1000 + 2)  # the caller of the earlier one has given up before the later
    slow.still.goes_on.set()
    late = await answer_of(asked)
    after = await seen(process)
    assert late is None or isinstance(late, Affected | Refused)
    if later == "close":  # of who is not in the room it says nothing, nor for how long that is kept out
        after, before = without_kept_out(after), without_kept_out(before)
    if earlier == "close":  # it puts Bob out, of whom nothing is ordered later, and so ends the call
        after, before = after._replace(has_call=False), before._replace(has_call=False)
    if is_made and are_about_the_same(earlier, later):
        assert after == before, f"{late} at {at}"
    elif is_made and later not in ("disconnect", "hang up", "remove", "close", "unban", "allow"):
        demand(later, after)
    demand_agreement(after)
    return True


async def copied(start: str, kind: str, at: int, passes_s: float) -> bool:
    """Let an order stand still until its copy is carried out, and so long; False: it never did."""
    process = await begun(start)
    slow = StandingStill(process, at)
    order = await numbered(process, kind, "01")
    asked = await slow.is_at_it(order)
    if asked is None:
        return False
    process.clock.pass_s(CLAIM_MS / 1000)  # its claim has run out, and the API has sent a copy
    reply = await process.ask(order)
    assert isinstance(reply, Affected)
    await goes_on_with_its_day(process, kind)
    if kind == "add" and (await seen(process)).session:
        await process.leave("alice", "hall")
    before = await seen(process)
    process.clock.pass_s(passes_s)
    slow.still.goes_on.set()
    late = await answer_of(asked)
    is_remembered = passes_s < order.kept_s
    assert late in (None, reply, OVERTAKEN) or at < 3 or not is_remembered, f"{late} at {at}"
    assert await seen(process) == before, f"{late} at {at}"
    return True


@pytest.mark.parametrize(("start", "earlier", "later"), CASES if IS_SOAK else OPPOSITES)
async def test_the_later_order_stands(start: str, earlier: str, later: str) -> None:
    at = 1
    while await stood_still(start, earlier, later, at):
        at += 1
    assert at > 3, "it has some awaits"


@settings(max_examples=scaled(150))
@given(case=st.sampled_from(CASES), data=st.data())
async def test_the_later_order_stands_whatever_the_two_are(
    case: tuple[str, str, str], data: st.DataObject
) -> None:
    start, earlier, later = case
    at = data.draw(st.integers(1, await awaits_of(start, earlier)), "at")
    assert await stood_still(start, earlier, later, at)


@pytest.mark.parametrize(
    ("start", "kind"), COPIES if IS_SOAK else [case for case in COPIES if case[0] == "member"]
)
async def test_a_copy_that_is_late_undoes_nothing(start: str, kind: str) -> None:
    for passes_s in PASSES_S if IS_SOAK else (PASSES_S[0], PASSES_S[-1]):
        at = 1
        while await copied(start, kind, at, passes_s):
            at += 1
        assert at > 3


@settings(max_examples=scaled(60))
@given(case=st.sampled_from(COPIES), passes_s=st.sampled_from(PASSES_S), data=st.data())
async def test_a_copy_that_is_late_undoes_nothing_wherever_its_user_is(
    case: tuple[str, str], passes_s: float, data: st.DataObject
) -> None:
    start, kind = case
    at = data.draw(st.integers(1, await awaits_of(start, kind)), "at")
    assert await copied(start, kind, at, passes_s)


@pytest.mark.parametrize(("earlier", "later"), [pair for pair in PAIRS if are_about_the_same(*pair)])
async def test_of_orders_at_one_instant_either_counts_everywhere(earlier: str, later: str) -> None:
    for seed in range(scaled(10)):
        chance = random.Random(seed)
        process = await begun(chance.choice(STARTS))
        other = PresenceProcess(beside=process)
        first, second = [await numbered(process, kind, kind) for kind in (f"{earlier}", f"{later}")]
        if earlier == later:
            second = msgspec.structs.replace(second, once="another")
        process.store.lingers, other.store.lingers = uneven(chance), uneven(chance)
        async with asyncio.TaskGroup() as asking:
            asked = asking.create_task(process.ask(first))
            asked_then = asking.create_task(other.ask(second))
        process.store.lingers = other.store.lingers = None
        found = await seen(process)
        demand_agreement(found)
        if isinstance(await asked_then, Affected):
            demand(later, found)
        elif isinstance(await asked, Affected):
            demand(earlier, found)


async def test_a_change_asked_for_again_is_no_later_than_it_was() -> None:
    process = await begun("elsewhere")
    slow = StandingStill(process, 6)
    first = await numbered(process, "add", "01")
    asked = await slow.is_at_it(first)
    assert asked is not None
    assert await process.ask(await numbered(process, "remove", "02")) == Affected(0)
    process.clock.pass_s(CLAIM_MS / 1000)
    again = await numbered(process, "add", "01")  # the same request, with the same Idempotency-Key
    assert await process.ask(again) == OVERTAKEN
    slow.still.goes_on.set()
    assert await answer_of(asked) == OVERTAKEN
    assert await process.ask(await numbered(process, "add", "03")) == Affected(1)
    assert await process.ask(again) == OVERTAKEN


async def test_an_order_that_is_older_than_what_is_remembered_is_too_late() -> None:
    process = await begun("elsewhere")
    late = await numbered(process, "add", "01")
    await process.ask(await numbered(process, "kick", "02"))
    process.clock.pass_s(standings.NUMBERS_KEPT_MS / 1000 + 1)
    assert Keys.standing(ALICE) not in process.store.contents()
    assert await process.ask(late) == OVERTAKEN


async def test_who_is_added_after_a_closing_stays_whatever_is_late() -> None:
    process = await begun("offline")
    late = await numbered(process, "close", "01")
    await process.ask(await numbered(process, "add", "02"))
    assert await process.ask(late) == Affected(1)  # Bob, whom nobody has added since
    demand("add", await seen(process))
    found = await process.store.read(Keys.closing(HALL))
    closing = closing_in(found[Keys.closing(HALL)].value)
    assert closing is not None
    assert closing.is_done


async def test_an_order_from_before_a_room_was_closed_adds_nobody() -> None:
    process = await begun("offline")
    late = await numbered(process, "add", "01")
    closed = await numbered(process, "close", "02")
    assert await process.ask(closed) == Affected(1)
    assert await process.ask(late) == OVERTAKEN
    demand("close", await seen(process))
    assert isinstance(await process.ask(opening("alice", "hall", number=3)), Opened)
    earlier = msgspec.structs.replace(closed, once="00", number=closed.number - 1)  # type: ignore[union-attr]
    assert await process.ask(earlier) == OVERTAKEN
    assert HALL in (await seen(process)).rooms
