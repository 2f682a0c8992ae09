"""The ends of connections that a gateway tells together, and what lost connections mean for others."""

import asyncio
from typing import Final

import pytest

from presence.rules.session import MIN_TIMER_S
from presence.store import StoreUnavailable
from tests.unit.presence.counting_store import CountingStore
from tests.unit.presence.lifetime import BusyStore
from tests.unit.presence.presence_process import RESUME_WINDOW_S, PresenceProcess
from tests.unit.presence.requests import opening
from tieline.wire.ids import ConnectionId, UserId
from tieline.wire.internal.answers import Done
from tieline.wire.internal.directions import PresenceReply
from tieline.wire.internal.sessions import EndSession
from tieline.wire.subjects import Keys

ALICE, ALICES = UserId("alice"), ConnectionId("alice-c1")
MANY: Final = tuple(f"user-{number}" for number in range(20))


def end(user: str, *, resumable: bool = True, lost_for_s: float = 0.0) -> EndSession:
    """The end of a user's first connection."""
    return EndSession(UserId(user), ConnectionId(f"{user}-c1"), resumable, lost_for_s=lost_for_s)


def together(first: EndSession, *others: EndSession) -> EndSession:
    """Several ends in one request."""
    return EndSession(first.user, first.connection, first.resumable, lost_for_s=first.lost_for_s, also=others)


async def with_all(*users: str) -> PresenceProcess:
    """All of them are in the hall, and can resume."""
    process = PresenceProcess()
    for user in users:
        await process.open(opening(user, "hall", secret=f"{user}'s"))
    process.recorder.sent.clear()
    return process


async def statuses(process: PresenceProcess, *users: str) -> list[str]:
    """Say who is where."""
    records = [await process.user(user) for user in users]
    return ["unknown" if record is None else record.session.status for record in records]


async def test_each_of_the_ends_is_carried_out_and_counted() -> None:
    process = await with_all("alice", "bob", "carol")

    ends = together(end("alice"), end("bob", resumable=False), end("nobody"))

    assert await process.ask(ends) == Done(3)
    assert await statuses(process, "alice", "bob", "carol") == ["away", "offline", "online"]


async def test_ends_that_are_told_again_change_nothing() -> None:
    process = await with_all("alice", "bob")
    ends = together(end("alice"), end("bob"))
    await process.ask(ends)
    told = await process.told()

    assert await process.ask(ends) == Done(2)

    assert await process.told() == told


async def test_ends_that_are_told_again_meanwhile_are_waited_for() -> None:
    process = await with_all("alice", "bob")
    counting = CountingStore(process.store)
    process.over(counting)
    ends = together(end("alice"), end("bob"))
    replies: list[PresenceReply] = []

    async def ask_thrice() -> None:
        replies.extend(await asyncio.gather(*(process.ask(ends) for _ in range(3))))

    await counting.count(ask_thrice())

    assert replies == [Done(2)] * 3
    assert counting.asked["write"] == 2


async def test_the_records_of_all_who_are_lost_are_read_together() -> None:
    process = PresenceProcess()
    for user in MANY:
        await process.open(opening(user, secret=f"{user}'s"))
    counting = CountingStore(process.store)
    process.over(counting)

    await counting.count(process.ask(together(*map(end, MANY))))

    assert counting.asked == {"read": 1, "put": len(MANY), "write": len(MANY), "one-way write": len(MANY)}


async def test_one_end_that_fails_leaves_all_of_them_unanswered() -> None:
    process = await with_all("alice", "bob")
    process.over(BusyStore(process.store, Keys.user(ALICE)))

    with pytest.raises(StoreUnavailable):
        await process.ask(together(end("alice"), end("bob")))

    assert await statuses(process, "bob") == ["away"]


async def test_the_window_for_resuming_begins_with_the_loss() -> None:
    process = await with_all("alice")
    await process.ask(end("alice", lost_for_s=3.0))
    assert process.store.time_to_live(Keys.away_timer(ALICE, ALICES)) == RESUME_WINDOW_S - 3


async def test_a_loss_that_is_told_very_late_leaves_a_moment() -> None:
    process = await with_all("alice")
    await process.ask(end("alice", lost_for_s=1000.0))
    assert process.store.time_to_live(Keys.away_timer(ALICE, ALICES)) == MIN_TIMER_S


@pytest.mark.parametrize("gateway", ["g1", "g2"])
async def test_who_resumes_before_the_loss_is_told_was_never_away(gateway: str) -> None:
    process = await with_all("alice", "bob")

    opened = await process.open(opening("alice", number=2, gateway=gateway, secret="2", resume="alice's"))
    await process.ask(end("alice"))  # of the connection that was lost, too late to mean anything

    assert opened.resumed
    assert process.heard_by("bob") == []
    assert await statuses(process, "alice") == ["online"]
    (close,) = process.heard_elsewhere("gateway")
    assert close.subject == "tieline.gateway.g1.close"
