"""What expires in the bucket of a real broker, and what becomes of it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from presence import timers as module
from presence.bucket import Bucket, make_bucket
from presence.rules.negotiated import WaitingOffer
from presence.store import StoreUnavailable
from tests.broker.presence.conftest import SUBJECTS
from tests.broker.presence.presence_with_timers import LONG_S, SOON_S, Presence
from tests.support.metrics import value_of
from tests.support.nats_server import NatsServer
from tests.support.waiting import until, until_true
from tests.unit.presence.requests import opening
from tests.unit.presence.rules.frames import NOW
from tieline import metrics
from tieline.runtime.broker import Broker, connect
from tieline.runtime.message import Message
from tieline.runtime.requests import Requests
from tieline.wire.digests import digest
from tieline.wire.ids import ConnectionId, GatewayId, RoomId, SessionId, UserId
from tieline.wire.internal.sessions import EndSession, KeepLease
from tieline.wire.internal.signals import Check
from tieline.wire.subjects import Keys

ALICE, BOB, CAROL, G1 = UserId("alice"), UserId("bob"), UserId("carol"), GatewayId("g1")
HERS = ConnectionId("alice-c1")


def fired(kind: str) -> float:
    """How many timers of a kind have been handled by the processes of all tests."""
    return value_of(metrics.TIMERS_FIRED.labels(kind))


@pytest.fixture
async def presence(broker: Broker, requests: Requests) -> AsyncIterator[Presence]:
    """A presence process that consumes expiries."""
    await make_bucket(broker, SUBJECTS.namespace, "memory", 1)
    process = Presence(broker, Bucket(broker, requests, SUBJECTS.namespace))
    yield process
    await process.stop()


@pytest.fixture
async def another(pip_nats: NatsServer, presence: Presence) -> AsyncIterator[Presence]:
    """Another one, which shares its work."""
    connected = await connect(pip_nats.url, "another")
    requests = Requests(connected, SUBJECTS.replies("presence", "2"))
    await requests.start()
    process = Presence(connected, Bucket(connected, requests, SUBJECTS.namespace))
    yield process
    await process.stop()
    await connected.close()


async def test_offers_that_nobody_answers_time_out_once(presence: Presence, another: Presence) -> None:
    callers = [UserId(f"caller{number}") for number in range(5)]
    await presence.ask(opening("bob", "hall"))
    before = fired("offer")
    for caller in callers:
        await presence.ask(opening(caller, "hall"))
        offer = digest(caller.encode())
        await presence.ask(Check(caller, SessionId(f"{caller}-s1"), BOB, "WEBRTC_OFFER", offer, b""))
    presence.publisher.told.clear()

    timers = (
        Keys.offer_timer(caller, BOB, WaitingOffer(caller, digest(caller.encode()), NOW).generation)
        for caller in callers
    )
    await presence.has_expired(*timers)

    assert fired("offer") - before == len(callers)
    assert sorted(presence.publisher.told + another.publisher.told) == sorted(
        told
        for caller in callers
        for told in ((BOB, f"hangup of {caller}: timeout"), (caller, "hangup of bob: timeout"))
    )


async def test_a_timer_that_has_fired_leaves_nothing_behind(presence: Presence) -> None:
    await presence.ask(opening("bob", "hall"))
    await presence.ask(opening("alice", "hall"))
    await presence.ask(Check(ALICE, SessionId("alice-s1"), BOB, "WEBRTC_OFFER", digest(b"offer"), b""))
    timer = Keys.offer_timer(ALICE, BOB, WaitingOffer(ALICE, digest(b"offer"), NOW).generation)
    assert (await presence.bucket.read(Keys.timers())).keys() == {timer}

    await presence.has_expired(timer)

    async def is_gone() -> bool:
        return not await presence.bucket.read(Keys.timers())

    await until_true(is_gone)


async def test_a_session_that_is_not_resumed_ends_once(presence: Presence, another: Presence) -> None:
    before = fired("away")
    await presence.ask(opening("bob", "hall"))
    await presence.ask(opening("alice", "hall", secret="alice's"))
    await presence.ask(EndSession(ALICE, HERS, resumable=True))
    presence.publisher.told.clear()

    await presence.has_expired(Keys.away_timer(ALICE, HERS))

    assert fired("away") - before == 1
    assert await presence.status(ALICE) == "offline"
    assert presence.publisher.told + another.publisher.told == [("bob", "alice left hall: disconnected")]


async def test_the_sessions_of_a_dead_gateway_end_once(presence: Presence, another: Presence) -> None:
    before = fired("lease")
    await presence.ask(opening("carol", "hall", gateway="g2"))
    await presence.ask(opening("alice", "hall"))
    await presence.ask(KeepLease(G1))
    presence.publisher.told.clear()

    await presence.has_expired(Keys.lease_timer(G1))

    assert fired("lease") - before == 1
    assert [await presence.status(user) for user in (ALICE, CAROL)] == ["offline", "online"]
    assert presence.publisher.told + another.publisher.told == [("carol", "alice left hall: disconnected")]


async def test_offers_time_out_while_a_gateway_is_looked_after(presence: Presence) -> None:
    begun, may_go_on = asyncio.Event(), asyncio.Event()

    async def take_long() -> None:
        begun.set()
        await may_go_on.wait()

    for user in ("alice", "bob"):
        await presence.ask(opening(user, "hall", gateway="g2"))
    presence.store.before[Keys.sessions_of(G1)] = take_long
    await presence.ask(KeepLease(G1))
    await begun.wait()
    presence.publisher.told.clear()

    await presence.ask(Check(ALICE, SessionId("alice-s1"), BOB, "WEBRTC_OFFER", digest(b"offer"), b""))

    await until(lambda: len(presence.publisher.told) == 2)
    assert sorted(presence.publisher.told) == [
        (ALICE, "hangup of bob: timeout"),
        (BOB, "hangup of alice: timeout"),
    ]
    may_go_on.set()


async def test_no_more_are_fetched_than_there_are_places(
    presence: Presence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 1)
    callers = [UserId(f"caller{number}") for number in range(3)]
    await presence.ask(opening("bob", "hall"))
    for caller in callers:
        await presence.ask(opening(caller, "hall"))
    presence.publisher.told.clear()
    for caller in callers:
        offer = digest(caller.encode())
        await presence.ask(Check(caller, SessionId(f"{caller}-s1"), BOB, "WEBRTC_OFFER", offer, b""))

    await until(lambda: len(presence.publisher.told) == 2 * len(callers))


async def test_timers_that_are_set_meanwhile_are_fetched_together(
    presence: Presence, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GATHER_S", 1.5)
    fetches: list[Message] = []
    await broker.subscribe("$JS.API.CONSUMER.MSG.NEXT.>", fetches.append)
    keys = [Keys.away_timer(ALICE, ConnectionId(f"alice-c{number}")) for number in range(11)]
    first = await presence.store.put(keys[0], b"", LONG_S)
    await until_true(lambda: presence.has_acknowledged(first))
    before = len(fetches)
    last = [await presence.store.put(key, b"", LONG_S) for key in keys[1:]][-1]
    await until_true(lambda: presence.has_acknowledged(last))

    assert len(fetches) - before <= 3


async def test_a_gateway_that_answers_is_left_alone(presence: Presence) -> None:
    presence.living.add(G1)
    before = fired("lease")
    await presence.ask(opening("alice", "hall"))
    await presence.ask(KeepLease(G1))

    await presence.has_expired(Keys.lease_timer(G1))

    assert fired("lease") - before == 1
    assert await presence.status(ALICE) == "online"


async def test_what_is_no_expiry_is_acknowledged_and_means_nothing(presence: Presence) -> None:
    key = Keys.away_timer(ALICE, HERS)
    before = fired("away")
    await presence.ask(opening("alice", secret="alice's"))
    await presence.store.put(key, b"", LONG_S)
    set_again = await presence.store.put(key, b"", LONG_S)
    await until_true(lambda: presence.has_acknowledged(set_again))
    await presence.store.delete(key, set_again)
    await until_true(lambda: presence.has_acknowledged(set_again + 1))

    assert fired("away") == before
    assert await presence.status(ALICE) == "online"


async def test_a_timer_of_no_known_kind_is_acknowledged(
    presence: Presence, caplog: pytest.LogCaptureFixture
) -> None:
    await presence.store.put("timer.tea.5", b"", SOON_S)

    await presence.has_expired("timer.tea.5")

    (record,) = (record for record in caplog.records if record.levelname == "ERROR")
    assert record.getMessage() == "a timer of no known kind"
    assert not presence.running.done()


async def test_an_expiry_that_fails_is_carried_out_later(presence: Presence) -> None:
    before = fired("away")
    await presence.ask(opening("alice", secret="alice's"))
    await presence.ask(EndSession(ALICE, HERS, resumable=True))
    presence.store.faults[Keys.user(ALICE)] = StoreUnavailable("for a moment")

    await presence.has_expired(Keys.away_timer(ALICE, HERS))

    assert fired("away") - before == 2
    assert await presence.status(ALICE) == "offline"


async def test_an_expiry_that_meets_a_bug_takes_no_other_along(
    presence: Presence, caplog: pytest.LogCaptureFixture
) -> None:
    before = fired("away")
    presence.store.faults[Keys.user(ALICE)] = RuntimeError("a bug")
    for user in (ALICE, BOB):
        await presence.store.put(Keys.away_timer(user, ConnectionId("c")), b"", SOON_S)

    await until(lambda: fired("away") - before == 2)

    async def is_only_the_other_acknowledged() -> bool:
        info = await presence.consumer()
        return info is not None and not info.num_pending and info.num_ack_pending == 1

    await until_true(is_only_the_other_acknowledged)
    assert [record.getMessage() for record in caplog.records if record.exc_info] == [
        "expiry not carried out: a bug"
    ]
    assert not presence.running.done()


async def test_it_stops_when_it_is_told_to(presence: Presence) -> None:
    await until_true(presence.consumer)
    presence.timers.stop()
    await presence.store.put("timer.tea.5", b"", LONG_S)

    assert await until(presence.running.done)
    assert presence.running.exception() is None


@pytest.mark.parametrize(
    "key", ["timer.offer.=ZZ.b.c", "timer.away.=zz.c", "timer.away.a.=ZZ", "timer.lease.=ZZ"]
)
async def test_a_timer_of_nobody_is_dropped_and_removed(
    presence: Presence, caplog: pytest.LogCaptureFixture, key: str
) -> None:
    dropped = metrics.UNREADABLE_MESSAGES.labels("timer")
    before = value_of(dropped)
    await presence.store.put(key, b"", SOON_S)

    await presence.has_expired(key)

    await until(lambda: value_of(dropped) == before + 1)
    assert not any(record.exc_info for record in caplog.records)
    assert not presence.running.done()


async def test_a_room_that_is_being_closed_is_gone_on_with_once(
    presence: Presence, another: Presence
) -> None:
    await presence.store.put(Keys.close_timer(RoomId("hall. *")), b"", SOON_S)
    await until(lambda: presence.closed or another.closed)
    assert presence.closed + another.closed == ["hall. *"]
