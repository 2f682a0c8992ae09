"""How often presence waits for its store: figures that are only changed on purpose.

docs/performance.md#round-trips shows the same table, and says how to read it.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from presence.rules.change import Change, LookAgain
from presence.rules.negotiated import WaitingOffer
from presence.rules.negotiation import MAX_HELD
from presence.second_look import Offered
from tests.unit.presence.counting_store import CountingStore, Trips
from tests.unit.presence.presence_process import PresenceProcess
from tests.unit.presence.requests import opening, registering
from tests.unit.presence.rules.frames import NOW
from tieline.wire.digests import digest
from tieline.wire.ids import GatewayId, RoomId, SessionId, UserId
from tieline.wire.internal.answers import Done
from tieline.wire.internal.rooms import JoinRoom, ListMembers
from tieline.wire.internal.sessions import OpenSession

PAGE: Final = Path(__file__).parents[3] / "docs" / "performance.md"

ALICE, BOB, HALL = UserId("alice"), UserId("bob"), RoomId("hall")
ONE_ROOM: Final = ("hall",)
THREE_ROOMS: Final = ("hall", "cellar", "attic")

Act = Callable[[PresenceProcess], Awaitable[object]]


class Row(NamedTuple):
    """What an operation costs, and what it cost before version 0.1.0."""

    now: Trips
    before: Trips
    """Then each write was waited for."""


TABLE: Final = {
    "begin a session, in no room": Row(Trips(3, 3, 0), Trips(3, 3, 0)),
    "begin a session, in one room": Row(Trips(5, 6, 1), Trips(8, 8, 0)),
    "begin a session, in three rooms": Row(Trips(5, 12, 1), Trips(18, 18, 0)),
    "resume a session on the same gateway, in one room": Row(Trips(3, 3, 1), Trips(5, 5, 0)),
    "resume a session on another gateway, in one room": Row(Trips(4, 5, 1), Trips(6, 6, 0)),
    "resume a session on another gateway, in three rooms": Row(Trips(4, 7, 1), Trips(8, 8, 0)),
    "replace a live session, in one room": Row(Trips(10, 14, 1), Trips(18, 18, 0)),
    "join a room that its gateway does not know": Row(Trips(5, 5, 1), Trips(8, 8, 0)),
    "join a room": Row(Trips(5, 5, 1), Trips(8, 8, 0)),
    "list the members of a room": Row(Trips(3, 3, 0), Trips(3, 3, 0)),
    "leave a room": Row(Trips(4, 5, 1), Trips(6, 6, 0)),
    "leave a room, in a call": Row(Trips(6, 8, 2), Trips(10, 11, 0)),
    "lose the connection, in one room": Row(Trips(3, 4, 1), Trips(4, 4, 0)),
    "end a session, in one room": Row(Trips(5, 6, 1), Trips(9, 9, 0)),
    "end a session, in three rooms": Row(Trips(5, 10, 1), Trips(15, 15, 0)),
    "end a session, in a call": Row(Trips(7, 9, 2), Trips(13, 14, 0)),
    "register a session that is known": Row(Trips(1, 2, 0), Trips(5, 5, 0)),
    "register a session that is forgotten": Row(Trips(5, 7, 1), Trips(8, 8, 0)),
    "let an orphaned session wait to be resumed": Row(Trips(5, 6, 1), Trips(8, 8, 0)),
    "offer": Row(Trips(2, 3, 0), Trips(3, 5, 0)),
    "look at its users once more, when the offer has gone out": Row(Trips(1, 1, 0), Trips(1, 2, 0)),
    "offer anew, in a call": Row(Trips(2, 3, 0), Trips(2, 3, 0)),
    "answer": Row(Trips(2, 2, 0), Trips(2, 2, 0)),
    "candidate, before the answer": Row(Trips(2, 2, 0), Trips(2, 2, 0)),
    "candidate, in a call": Row(Trips(1, 1, 0), Trips(1, 1, 0)),
    "hang up": Row(Trips(2, 2, 0), Trips(2, 2, 0)),
    "refuse a signal": Row(Trips(2, 4, 0), Trips(2, 4, 0)),
    "refuse a candidate too many": Row(Trips(2, 2, 0), Trips(2, 4, 0)),
    "hold a candidate apart": Row(Trips(2, 3, 0), Trips(2, 3, 0)),
    "answer, with candidates apart": Row(Trips(3, 3, 0), Trips(3, 3, 0)),
    "expire an offer": Row(Trips(2, 2, 1), Trips(3, 3, 0)),
}


LOOKS_WHO_WAITS: Final = {
    "begin a session, in one room",
    "begin a session, in three rooms",
    "replace a live session, in one room",
    "register a session that is forgotten",
}
"""Operations that have nothing else to read when the record is written."""


async def nobody(process: PresenceProcess) -> None:
    """Bob is in the hall, on another gateway."""
    await process.open(opening("bob", "hall", gateway="g2"))


def alice_in(*rooms: str) -> Act:
    """Alice is in these rooms, and Bob in the hall."""

    async def begin(process: PresenceProcess) -> None:
        await nobody(process)
        await process.open(opening("alice", *rooms, secret="alice's"))

    return begin


def alice_away_from(*rooms: str) -> Act:
    """Alice has lost her connection."""

    async def begin(process: PresenceProcess) -> None:
        await alice_in(*rooms)(process)
        await process.end("alice", resumable=True)

    return begin


async def ringing(process: PresenceProcess) -> None:
    """Alice has made Bob an offer."""
    await alice_in("hall")(process)
    await process.signal("alice", "bob", "OFFER", "offer")


async def trickled(process: PresenceProcess) -> None:
    """Alice has made Bob an offer, and sent as many candidates as can be held."""
    await ringing(process)
    for number in range(MAX_HELD):
        await process.signal("alice", "bob", "ICE_CANDIDATE", f"{number}".ljust(200, "."))


async def in_a_call(process: PresenceProcess) -> None:
    """Bob has answered Alice's offer."""
    await ringing(process)
    await process.signal("bob", "alice", "ANSWER", "answer")


def opens(*rooms: str, number: int = 1, gateway: str = "g1", resume: str = "") -> Act:
    """Let Alice connect."""
    ask: OpenSession = opening(
        "alice", *rooms, number=number, gateway=gateway, secret="alice's", resume=resume
    )
    return lambda process: process.ask(ask)


def signals(user: str, to: str, cmd: str, frame: str) -> Act:
    """Let somebody send a WEBRTC message."""
    return lambda process: process.signal(user, to, cmd, frame)


async def offers(process: PresenceProcess) -> object:
    """Let Alice make Bob an offer; what is done when that is answered is not waited for."""
    return await process.operations.carry_out(await process.check("alice", "bob", "OFFER", "offer"))


async def looks_again(process: PresenceProcess) -> None:
    """Do what is done when an offer is answered whose users are still there."""
    look = LookAgain(lambda users: len(users) == 2, lambda _: False, lambda *_: Change(Done()), BOB, None)
    await process.second_looks.look(Offered(ALICE, BOB, look, revision=1))


def expires(process: PresenceProcess) -> Awaitable[None]:
    """Let Alice's offer have waited long enough."""
    return process.expire(ALICE, BOB, WaitingOffer(ALICE, digest(b"offer"), NOW).generation)


def registers(process: PresenceProcess) -> Awaitable[object]:
    """Let Alice's gateway say that it has her session."""
    return process.ask(registering(opening("alice", "hall", secret="alice's"), {"hall": NOW}))


def dies(process: PresenceProcess) -> Awaitable[object]:
    """Let Alice's gateway have died."""
    return process.gateways.lease_ran_out(GatewayId("g1"), before=1_000_000)


OPERATIONS: Final[dict[str, tuple[Act, Act]]] = {
    "begin a session, in no room": (nobody, opens()),
    "begin a session, in one room": (nobody, opens(*ONE_ROOM)),
    "begin a session, in three rooms": (nobody, opens(*THREE_ROOMS)),
    "resume a session on the same gateway, in one room": (
        alice_away_from(*ONE_ROOM),
        opens(number=2, resume="alice's"),
    ),
    "resume a session on another gateway, in one room": (
        alice_away_from(*ONE_ROOM),
        opens(number=2, gateway="g3", resume="alice's"),
    ),
    "resume a session on another gateway, in three rooms": (
        alice_away_from(*THREE_ROOMS),
        opens(number=2, gateway="g3", resume="alice's"),
    ),
    "replace a live session, in one room": (
        alice_in(*ONE_ROOM),
        opens(*ONE_ROOM, number=2, gateway="g3"),
    ),
    "join a room": (alice_in(), lambda process: process.ask(joins(lists=False))),
    "join a room that its gateway does not know": (
        alice_in(),
        lambda process: process.ask(joins(lists=True)),
    ),
    "list the members of a room": (
        alice_in("hall"),
        lambda process: process.ask(ListMembers(ALICE, SessionId("alice-s1"), HALL)),
    ),
    "leave a room": (alice_in("hall"), lambda process: process.leave("alice", "hall")),
    "leave a room, in a call": (in_a_call, lambda process: process.leave("alice", "hall")),
    "lose the connection, in one room": (
        alice_in("hall"),
        lambda process: process.end("alice", resumable=True),
    ),
    "end a session, in one room": (alice_in(*ONE_ROOM), lambda process: process.end("alice")),
    "end a session, in three rooms": (alice_in(*THREE_ROOMS), lambda process: process.end("alice")),
    "end a session, in a call": (in_a_call, lambda process: process.end("alice")),
    "register a session that is known": (alice_in("hall"), registers),
    "register a session that is forgotten": (nobody, registers),
    "let an orphaned session wait to be resumed": (alice_in("hall"), dies),
    "offer": (alice_in("hall"), offers),
    "look at its users once more, when the offer has gone out": (ringing, looks_again),
    "offer anew, in a call": (in_a_call, signals("alice", "bob", "OFFER", "another offer")),
    "answer": (ringing, signals("bob", "alice", "ANSWER", "answer")),
    "candidate, before the answer": (ringing, signals("alice", "bob", "ICE_CANDIDATE", "candidate")),
    "candidate, in a call": (in_a_call, signals("alice", "bob", "ICE_CANDIDATE", "candidate")),
    "hang up": (in_a_call, signals("alice", "bob", "HANGUP", "hangup")),
    "refuse a signal": (alice_in("hall"), signals("alice", "bob", "HANGUP", "hangup")),
    "refuse a candidate too many": (trickled, signals("alice", "bob", "ICE_CANDIDATE", "candidate")),
    "hold a candidate apart": (ringing, signals("alice", "bob", "ICE_CANDIDATE", "c" * 10_000)),
    "answer, with candidates apart": (trickled, signals("bob", "alice", "ANSWER", "answer")),
    "expire an offer": (ringing, expires),
}


def joins(*, lists: bool) -> JoinRoom:
    """Let Alice join the hall."""
    return JoinRoom(ALICE, SessionId("alice-s1"), RoomId("hall"), hears=True, lists=lists)


async def counted(
    name: str, *, by_another_process: bool = True, wake_window_s: float = 0.0
) -> tuple[Trips, Counter[str]]:
    """Carry out one operation of the table, after what came before it; returns its messages by kind, too."""
    before, act = OPERATIONS[name]
    process = PresenceProcess(wake_window_s=wake_window_s)
    process.do_all_hear = True
    if by_another_process:
        await before(process)
    counting = CountingStore(process.store)
    process.over(counting, counting, counting.count_keys)
    if not by_another_process:
        await before(process)
    return await counting.count(act(process)), counting.asked


def rendered() -> str:
    """The table as the page shows it."""
    head = "| operation | round trips, before | now | requests, before | now | one-way writes now |\n"
    lines = (
        f"| {name} | {before.rounds} | {now.rounds} | {before.requests} | {now.requests} | {now.one_way} |\n"
        for name, (now, before) in TABLE.items()
    )
    return head + "|---|---|---|---|---|---|\n" + "".join(lines)


def test_every_operation_of_the_table_is_counted() -> None:
    assert OPERATIONS.keys() == TABLE.keys()


@pytest.mark.parametrize("name", OPERATIONS)
async def test_an_operation_costs_what_the_table_says(name: str) -> None:
    trips, asked = await counted(name)
    assert trips == TABLE[name].now, asked


@pytest.mark.parametrize("name", OPERATIONS)
async def test_where_offers_may_be_kept_a_beginning_reads_who_waits(name: str) -> None:
    trips, asked = await counted(name, wake_window_s=40.0)
    now = TABLE[name].now
    assert trips == now._replace(requests=now.requests + (name in LOOKS_WHO_WAITS)), asked


@pytest.mark.parametrize("name", TABLE)
def test_no_operation_costs_more_than_in_the_first_version(name: str) -> None:
    now, before = TABLE[name]
    assert now.rounds <= before.rounds
    assert now.requests <= before.requests


@pytest.mark.parametrize("name", OPERATIONS)
async def test_the_process_that_wrote_last_does_not_have_to_ask_for_more(name: str) -> None:
    trips, asked = await counted(name, by_another_process=False)
    now = TABLE[name].now
    assert (trips.rounds, trips.requests) <= (now.rounds, now.requests), asked
    assert (trips.requests, trips.one_way) <= (now.requests, now.one_way), asked


def test_the_page_shows_this_table() -> None:
    page = PAGE.read_text(encoding="utf-8")
    shown = page.split("<!-- round-trips: begin -->\n\n")[1].split("\n<!-- round-trips: end -->")[0]
    assert shown == rendered()


async def test_what_is_asked_for_at_once_is_one_round_trip() -> None:
    process = PresenceProcess()
    counting = CountingStore(process.store)

    async def operation() -> None:
        await asyncio.gather(counting.read("a.*"), counting.put("b.1", b"", 60))
        await counting.read("a.1", "a.2", confirmed=True)
        await counting.write("a.1", b"x", 0, confirm=False)
        await asyncio.gather(counting.write("a.2", b"x", 0), counting.read("a.1"))

    assert await counting.count(operation()) == Trips(rounds=3, requests=6, one_way=1)
