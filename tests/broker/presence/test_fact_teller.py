"""Facts reach the stream of events of a real broker, each once, whoever dies in between."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from presence import fact_teller as module
from presence.bucket import make_bucket
from presence.fact_teller import OLD_MS
from tests.broker.presence.conftest import SUBJECTS
from tests.broker.presence.eventful import Eventful
from tests.support.nats_server import NatsServer
from tests.support.waiting import until, until_true
from tests.unit.presence.requests import opening
from tieline.runtime.broker import Broker, connect
from tieline.runtime.requests import Requests

CALL = ["call.offered", "call.answered", "call.established", "call.ended"]


@pytest.fixture
async def one(broker: Broker, requests: Requests) -> AsyncIterator[Eventful]:
    """A process that does not tell yet."""
    await make_bucket(broker, SUBJECTS.namespace, "memory", 1)
    process = Eventful(broker, requests)
    yield process
    await process.stop()


@pytest.fixture
async def other(pip_nats: NatsServer, one: Eventful) -> AsyncIterator[Eventful]:
    """Another process, on a connection of its own."""
    connected = await connect(pip_nats.url, "other")
    requests = Requests(connected, SUBJECTS.replies("presence", "2"))
    await requests.start()
    process = Eventful(connected, requests)
    yield process
    await process.stop()
    await connected.close()


async def a_whole_call(presence: Eventful, number: int = 0) -> None:
    """Alice calls Bob, who answers; she hangs up."""
    process = presence.process
    await process.signal("alice", "bob", "OFFER", f"offer {number}")
    await process.signal("bob", "alice", "ANSWER", f"answer {number}")
    await process.signal("alice", "bob", "HANGUP", f"hangup {number}")


async def both_come(presence: Eventful) -> None:
    for user in ("alice", "bob"):
        await presence.process.open(opening(user, "hall"))


async def test_a_call_and_its_members_are_told_in_order(one: Eventful) -> None:
    one.start()
    await both_come(one)
    await a_whole_call(one)
    await one.process.leave("alice", "hall")
    await until_true(lambda: has(one, "member.left"))
    assert await one.kinds("call/") == CALL
    assert await one.kinds("room/") == ["member.joined", "member.joined", "member.left"]


async def has(presence: Eventful, kind: str, count: int = 1) -> bool:
    return (await presence.kinds()).count(kind) >= count


async def test_what_a_dead_process_has_not_told_another_one_tells(one: Eventful, other: Eventful) -> None:
    await both_come(one)
    await a_whole_call(one)  # and it dies, before it has told anything
    other.start()
    await until_true(lambda: has(other, "call.ended"))
    assert await other.kinds("call/") == CALL


async def test_two_processes_tell_each_fact_once(one: Eventful, other: Eventful) -> None:
    one.start()
    other.start()
    await both_come(one)
    for number in range(6):
        await a_whole_call((one, other)[number % 2], number)
    await until_true(lambda: has(one, "call.ended", 6))
    events = await one.told()
    assert len({event["id"] for event in events}) == len(events) == 2 + 6 * len(CALL)


async def test_a_fact_is_told_although_its_record_has_changed_since(one: Eventful, other: Eventful) -> None:
    await both_come(one)
    await one.process.join("alice", "cellar")
    await other.process.leave("alice", "cellar")
    await other.process.end("alice")
    one.start()
    await until_true(lambda: has(one, "member.left", 2))
    assert await one.kinds("room/cellar") == ["member.joined", "member.left"]
    assert await one.kinds("room/hall") == ["member.joined", "member.joined", "member.left"]


async def test_a_lost_stream_is_made_anew_and_holds_nobody_up(one: Eventful, broker: Broker) -> None:
    one.start()
    await both_come(one)
    await until_true(lambda: has(one, "member.joined", 2))
    await broker.client.jetstream().delete_stream(SUBJECTS.event_stream())
    await a_whole_call(one)
    await until_true(lambda: has(one, "call.ended"))
    assert await one.kinds() == CALL


async def test_records_keep_no_facts_that_are_told(one: Eventful, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FLOOR_EVERY_S", 0.01)
    one.start()
    await both_come(one)
    watching = asyncio.create_task(one.events.tellers[0].watch(0.01))
    await until_true(lambda: has(one, "member.joined", 2))
    revision = (await one.bucket.read("user.alice"))["user.alice"].revision
    await until(lambda: bool(one.events.tellers[0].told_until(revision, 0)))
    await one.process.join("alice", "cellar")
    watching.cancel()
    record = await one.process.user("alice")
    assert record is not None
    assert [fact.rooms for fact in record.facts] == [("cellar",)]


async def test_what_was_told_long_ago_is_not_told_again_in_doubt(one: Eventful) -> None:
    one.start()
    await both_come(one)
    teller = one.events.tellers[0]
    await teller.knows()
    revision = (await one.bucket.read("user.alice"))["user.alice"].revision
    await until_true(lambda: _floor(one, revision))
    teller._doubt()
    now = one.process.clock()
    assert teller.told_until(revision, now) == now - OLD_MS
    assert teller.told_until(revision + 100, now) == 0


async def _floor(presence: Eventful, revision: int) -> bool:
    await presence.events.tellers[0]._look()
    return presence.events.tellers[0].told_until(revision, 0) > 0


async def test_a_refused_offer_is_told_with_its_reason(one: Eventful) -> None:
    one.start()
    await both_come(one)
    await one.process.end("bob")
    await one.refused("alice", "bob", "offer")
    await until_true(lambda: has(one, "call.refused"))
    (refused,) = [event for event in await one.told() if event["type"] == "tieline.call.refused"]
    assert refused["data"] == {"caller": "alice", "callee": "bob", "reason": "target_offline"}


async def test_a_stranger_in_the_bucket_holds_nothing_up(one: Eventful) -> None:
    await one.bucket.put("user.=zz", b"\xc1garbage", 60)
    await one.bucket.put("pair.a.b", b"\xc1garbage", 60)
    one.start()
    await both_come(one)
    await until_true(lambda: has(one, "member.joined", 2))
