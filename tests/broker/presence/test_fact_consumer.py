"""Facts reach the stream of events of a real broker, each once, whoever dies before they are told."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from presence import fact_consumer as module
from presence.bucket import make_bucket
from presence.fact_consumer import OLD_MS
from presence.fact_teller import LATE_MS
from presence.store import StoreUnavailable
from tests.broker.presence.conftest import SUBJECTS
from tests.broker.presence.eventful import Eventful
from tests.support.nats_server import NatsServer
from tests.support.waiting import until, until_true
from tests.unit.presence.requests import opening
from tieline.runtime.broker import Broker, connect
from tieline.runtime.requests import Requests
from tieline.wire.ids import UserId
from tieline.wire.permissions import FACTS
from tieline.wire.subjects import Keys

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
    await one.start()
    await both_come(one)
    await a_whole_call(one)
    await one.process.leave("alice", "hall")
    await until_true(lambda: has(one, "member.left"))
    assert await one.kinds("call/") == CALL
    assert await one.kinds("room/") == ["member.joined", "member.joined", "member.left"]


async def has(presence: Eventful, kind: str, count: int = 1) -> bool:
    return (await presence.kinds()).count(kind) >= count


async def test_what_a_dead_process_has_not_told_another_one_tells(one: Eventful, other: Eventful) -> None:
    one.leaves_telling()
    await both_come(one)
    await a_whole_call(one)
    await other.start()
    await until_true(lambda: has(other, "call.ended"))
    assert await other.kinds("call/") == CALL


async def test_two_processes_tell_each_fact_once(one: Eventful, other: Eventful) -> None:
    await one.start()
    await other.start()
    await both_come(one)
    for number in range(6):
        await a_whole_call((one, other)[number % 2], number)
    await until_true(lambda: has(one, "call.ended", 6))
    events = await one.told()
    assert len({event["id"] for event in events}) == len(events) == 2 + 6 * len(CALL)


async def test_a_fact_is_told_although_its_record_has_changed_since(one: Eventful, other: Eventful) -> None:
    one.leaves_telling()
    other.leaves_telling()
    await both_come(one)
    await one.process.join("alice", "cellar")
    await other.process.leave("alice", "cellar")
    await other.process.end("alice")
    await one.start()
    await until_true(lambda: has(one, "member.left", 2))
    assert await one.kinds("room/cellar") == ["member.joined", "member.left"]
    assert await one.kinds("room/hall") == ["member.joined", "member.joined", "member.left"]


async def test_a_lost_stream_is_made_anew_and_holds_nobody_up(one: Eventful, broker: Broker) -> None:
    await one.start()
    await both_come(one)
    await until_true(lambda: has(one, "member.joined", 2))
    await broker.client.jetstream().delete_stream(SUBJECTS.event_stream())
    await a_whole_call(one)
    await until_true(lambda: has(one, "call.ended"))
    assert await one.kinds() == CALL


async def test_records_keep_no_facts_that_are_told(one: Eventful, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FLOOR_EVERY_S", 0.01)
    await one.start()
    await both_come(one)
    watching = asyncio.create_task(one.events.consumers[0].watch(0.01))
    await until_true(lambda: has(one, "member.joined", 2))
    revision = (await one.bucket.read("user.alice"))["user.alice"].revision
    await until(lambda: bool(one.events.consumers[0].told_until(revision, 0)))
    await one.process.join("alice", "cellar")
    watching.cancel()
    record = await one.process.user("alice")
    assert record is not None
    assert [fact.rooms for fact in record.facts] == [("cellar",)]


async def test_what_was_told_long_ago_is_not_told_again_in_doubt(one: Eventful) -> None:
    await one.start()
    await both_come(one)
    consumer = one.events.consumers[0]
    await consumer.knows()
    revision = (await one.bucket.read("user.alice"))["user.alice"].revision
    await until_true(lambda: _floor(one, revision))
    consumer._doubt()
    now = one.process.clock()
    assert consumer.told_until(revision, now) == now - OLD_MS
    assert consumer.told_until(revision + 100, now) == 0


async def _floor(presence: Eventful, revision: int) -> bool:
    await presence.events.consumers[0]._look()
    return presence.events.consumers[0].told_until(revision, 0) > 0


async def test_a_refused_offer_is_told_with_its_reason(one: Eventful) -> None:
    await one.start()
    await both_come(one)
    await one.process.end("bob")
    await one.refused("alice", "bob", "offer")
    await until_true(lambda: has(one, "call.refused"))
    (refused,) = [event for event in await one.told() if event["type"] == "tieline.call.refused"]
    assert refused["data"] == {"caller": "alice", "callee": "bob", "reason": "target_offline"}


async def test_a_stranger_in_the_bucket_holds_nothing_up(one: Eventful) -> None:
    await one.bucket.put("user.=zz", b"\xc1garbage", 60)
    await one.bucket.put("pair.a.b", b"\xc1garbage", 60)
    await one.start()
    await both_come(one)
    await until_true(lambda: has(one, "member.joined", 2))


async def published(broker: Broker) -> list[str]:
    """Collect the ids of what is given to the stream of events from now on, each as often as it is given."""
    names: list[str] = []
    await broker.subscribe(
        SUBJECTS.cloud_events(), lambda message: names.append(message.header(b"Nats-Msg-Id"))
    )
    await broker.settle()
    return names


async def all_is_acknowledged(presence: Eventful) -> bool:
    """Whether everything that was handed out is done with, and nothing waits."""
    info = await presence.broker.client.jetstream().consumer_info(presence.bucket.stream, FACTS)
    return not info.num_pending and not info.num_ack_pending


async def test_whoever_writes_tells_by_itself_and_once(
    one: Eventful, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EVERY_S", 0.05)
    names = await published(broker)
    await one.start()
    await both_come(one)
    await a_whole_call(one)
    await until_true(lambda: has(one, "call.ended"))
    await until_true(lambda: all_is_acknowledged(one))
    assert len(names) == len(set(names)) == 2 + len(CALL)


async def test_events_do_not_wait_for_the_consumer(one: Eventful, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY_S", 3600.0)
    await one.start()
    await both_come(one)
    await a_whole_call(one)
    await until_true(lambda: has(one, "call.ended"))
    assert await one.kinds("call/") == CALL


async def test_what_one_process_writes_behind_another_is_in_order(one: Eventful, other: Eventful) -> None:
    await one.start()
    await other.start()
    one.leaves_telling()
    await both_come(one)
    await one.process.signal("alice", "bob", "OFFER", "offer")
    await other.process.signal("bob", "alice", "ANSWER", "answer")
    await other.process.signal("alice", "bob", "HANGUP", "hangup")
    await until_true(lambda: has(other, "call.ended"))
    assert await other.kinds("call/") == CALL


async def test_the_next_write_drops_what_its_process_has_told(one: Eventful) -> None:
    await one.start()
    await both_come(one)
    key = "user.alice"

    async def is_told() -> bool:
        record = await one.process.user("alice")
        return record is not None and one.events.teller.has_told(key, record)

    await until_true(is_told)
    await one.process.join("alice", "cellar")
    record = await one.process.user("alice")
    assert record is not None
    assert [fact.rooms for fact in record.facts] == [("cellar",)]


async def test_who_has_stood_still_takes_old_facts_to_be_told(one: Eventful) -> None:
    consumer = one.events.consumers[0]
    clock = one.process.clock
    assert consumer.told_until(1, clock()) == 0
    clock.pass_s(LATE_MS / 1000 + 1)
    assert consumer.told_until(1, clock()) == clock() - OLD_MS
    await consumer._look()
    assert consumer.told_until(1, clock()) == 0


async def test_a_consumer_that_is_gone_is_made_again(
    one: Eventful, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EVERY_S", 0.05)
    await one.start()
    await broker.client.jetstream().delete_consumer(one.bucket.stream, FACTS)
    one.leaves_telling()
    await both_come(one)
    await until_true(lambda: has(one, "member.joined", 2))


async def test_more_than_is_handed_out_at_once_is_told(
    one: Eventful, other: Eventful, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 3)
    one.leaves_telling()
    for number in range(10):
        await one.process.open(opening(f"user{number}", "hall"))
    await other.start()
    await until_true(lambda: has(other, "member.joined", 10))
    await until_true(lambda: all_is_acknowledged(other))


async def test_who_stops_tells_and_acknowledges_first(one: Eventful, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY_S", 3600.0)
    await one.start()
    await both_come(one)
    await one.events.finish()
    assert await one.kinds() == ["member.joined", "member.joined"]
    await until_true(lambda: all_is_acknowledged(one))


async def test_who_stops_acknowledges_what_it_did_not_wait_for(
    one: Eventful, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records that forget something are written so, also amid many others."""
    monkeypatch.setattr(module, "EVERY_S", 3600.0)
    await one.start()
    await both_come(one)
    await until_true(lambda: has(one, "member.joined", 2))
    for number in range(200):
        await one.bucket.write(Keys.user(UserId(f"user{number}")), b"", 0, confirm=False)
    await one.events.finish()
    await until_true(lambda: all_is_acknowledged(one))


async def test_who_stops_while_it_starts_acknowledges_first(one: Eventful) -> None:
    """The consumer is there from before, so that nothing else of a start waits for it."""
    await one.start()
    await one.stop()
    await both_come(one)
    await one.start()
    await one.events.finish()
    await one.stop()
    assert await one.kinds() == ["member.joined", "member.joined"]
    await until_true(lambda: all_is_acknowledged(one))


async def test_who_stops_waits_for_what_the_broker_hands_out_later(
    one: Eventful, other: Eventful, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that is busy says for a while that nothing waits, of what it has confirmed to be stored."""
    monkeypatch.setattr(module, "EVERY_S", 3600.0)
    await one.start()
    await both_come(one)
    await one.events.finish()
    other.leaves_telling()
    stream = (await broker.client.jetstream().stream_info(one.bucket.stream)).state
    finishing = asyncio.create_task(one.events.consumers[0].finish(stream.last_seq + 1))
    assert not (await asyncio.wait((finishing,), timeout=0.2))[0]
    await other.process.leave("alice", "hall")
    await finishing
    await one.stop()
    await until_true(lambda: all_is_acknowledged(one))
    assert await one.kinds() == ["member.joined", "member.joined", "member.left"]


async def test_who_stops_acknowledges_where_the_newest_is_not_known(
    one: Eventful, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a partition without a leader: what was told there and elsewhere is acknowledged anyway."""
    monkeypatch.setattr(module, "EVERY_S", 3600.0)
    await one.start()
    await both_come(one)
    await until_true(lambda: has(one, "member.joined", 2))

    async def refuse(*_patterns: str) -> int:
        raise StoreUnavailable("no leader")

    monkeypatch.setattr(one.bucket, "newest", refuse)
    await one.events.finish()
    await one.stop()
    await until_true(lambda: all_is_acknowledged(one))
