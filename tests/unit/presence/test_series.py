"""Candidates that go together, over a store: one read and one write for all, and answers one by one."""

import asyncio

import msgspec

from presence.rules.negotiation import MAX_HELD, MAX_INLINE_BYTES
from tests.unit.presence.counting_store import CountingStore
from tests.unit.presence.presence_process import PresenceProcess
from tests.unit.presence.requests import opening
from tests.unit.presence.test_lagging_replicas import behind
from tieline.wire.ids import SessionId, UserId
from tieline.wire.internal.answers import SessionGone
from tieline.wire.internal.signals import Delivery, Relay, Verdict, Verdicts

ALICE, BOB = UserId("alice"), UserId("bob")


async def called() -> PresenceProcess:
    """Alice has called Bob."""
    process = PresenceProcess()
    await process.open(opening("alice", "hall"))
    await process.open(opening("bob", "hall"))
    await process.signal("alice", "bob", "OFFER", "offer")
    return process


def verdicts(reply: object) -> tuple[Verdict, ...]:
    assert isinstance(reply, Verdicts)
    return reply.verdicts


async def test_candidates_that_go_together_cost_what_one_costs() -> None:
    process = await called()
    counting = CountingStore(process.store)

    alone = await counting.count(process.over(counting).signal("alice", "bob", "ICE_CANDIDATE", "c0"))
    together = await counting.count(process.over(counting).series("alice", "bob", "c1", "c2", "c3"))

    assert alone == together
    assert [held.frame for held in (await process.pair("alice", "bob")).held] == [b"c0", b"c1", b"c2", b"c3"]


async def test_an_offer_and_its_candidates_cost_what_the_offer_costs() -> None:
    process = await called()
    await process.open(opening("carol", "hall"))
    counting = CountingStore(process.store)

    alone = await counting.count(process.over(counting).signal("alice", "carol", "OFFER", "offer"))
    together = await counting.count(
        process.over(counting).series("bob", "carol", "offer", "c1", "c2", cmd="OFFER")
    )

    assert alone == together
    assert [held.frame for held in (await process.pair("bob", "carol")).held] == [b"c1", b"c2"]


async def test_what_follows_an_answer_is_not_judged() -> None:
    process = await called()

    reply = await process.series("bob", "alice", "answer", "c1", cmd="ANSWER")

    assert isinstance(reply, Relay)
    assert reply.grant_seconds > 0


async def test_a_refusal_among_others_is_confirmed_by_the_leader() -> None:
    first = await called()
    frames = [f"held {number}" for number in range(MAX_HELD - 1)]
    for start in range(0, len(frames), 16):
        await first.series("alice", "bob", *frames[start : start + 16])
    lagging = await behind(first)
    await first.signal("bob", "alice", "ANSWER", "answer")

    reply = await lagging.series("alice", "bob", "c1", "c2")

    assert all(isinstance(verdict, Relay) and verdict.ack == "relayed" for verdict in verdicts(reply))


async def test_frames_apart_come_with_the_first_candidate_after_them() -> None:
    process = await called()
    long = "x" * MAX_INLINE_BYTES
    await process.series("alice", "bob", "c1")
    held = verdicts(await process.series("alice", "bob", "c2", long, "c3"))
    assert [verdict.ack for verdict in held if isinstance(verdict, Relay)] == ["held"] * 3
    await process.signal("bob", "alice", "ANSWER", "answer")

    first, second = verdicts(await process.series("alice", "bob", "c4", "c5"))

    assert isinstance(first, Relay)
    assert [each.frame for each in first.deliveries] == [b"c1", b"c2", long.encode(), b"c3", None]
    assert isinstance(second, Relay)
    assert second.deliveries == (Delivery(BOB, SessionId("bob-s1"), None),)


async def test_a_session_that_is_gone_is_told_so_of_each() -> None:
    process = await called()
    check = await process.check("alice", "bob", "ICE_CANDIDATE", "c1")
    await process.end("alice")

    (first, second) = verdicts(await process.ask(msgspec.structs.replace(check, then=(b"c2",))))

    assert first == second == SessionGone(replaced=False)


async def test_copies_of_a_series_cost_what_one_costs() -> None:
    process = await called()
    counting = CountingStore(process.store)
    process.over(counting)
    alone = await counting.count(process.series("alice", "bob", "c1", "c2"))
    replies = []

    async def copies() -> None:
        replies.extend(await asyncio.gather(*(process.series("alice", "bob", "c3", "c4") for _ in range(3))))

    assert await counting.count(copies()) == alone
    assert replies == [replies[0]] * 3
    assert len(verdicts(replies[0])) == 2


async def test_a_copy_by_a_router_that_has_carried_less_is_no_copy() -> None:
    process = await called()
    await process.series("alice", "bob", "c1")
    await process.signal("bob", "alice", "ANSWER", "answer")
    relay = await process.signal("alice", "bob", "ICE_CANDIDATE", "c2")
    assert isinstance(relay, Relay)
    check = await process.check("alice", "bob", "ICE_CANDIDATE", "c3")
    has_carried = msgspec.structs.replace(check, carried=relay.releases)

    short, whole = await asyncio.gather(process.ask(has_carried), process.ask(check))

    assert isinstance(short, Relay)
    assert isinstance(whole, Relay)
    assert [each.frame for each in short.deliveries] == [None]
    assert [each.frame for each in whole.deliveries] == [b"c1", None]
