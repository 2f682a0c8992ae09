"""An offer that crosses an end goes out at once; if the look afterwards finds the end, it ends after it."""

import asyncio

import pytest

from presence.second_look import TRIES
from presence.store import Dated, ListedStore, StoreUnavailable
from tests.unit.presence.changing import WatchedStore
from tests.unit.presence.lifetime import Died
from tests.unit.presence.presence_process import PresenceProcess
from tests.unit.presence.requests import opening
from tieline.runtime.requests import NoAnswer
from tieline.wire.digests import digest, name_of
from tieline.wire.ids import UserId
from tieline.wire.internal.signals import Relay, Verdicts
from tieline.wire.subjects import Keys

ALICE, BOB = UserId("alice"), UserId("bob")
PAIR, USERS = Keys.pair(ALICE, BOB), f"{Keys.user(ALICE)} {Keys.user(BOB)}"


async def with_both() -> PresenceProcess:
    """Alice and Bob are in the hall."""
    process = PresenceProcess()
    for user in ("alice", "bob"):
        await process.open(opening(user, "hall"))
    process.recorder.sent.clear()
    return process


class CrossedStore(WatchedStore):
    """A store whose process may be told that the answer to a dated read is older than it is."""

    def __init__(self, store: ListedStore) -> None:
        super().__init__(store)
        self.is_undated = False

    async def read_dated(self, *keys: str) -> Dated:
        """See `DatedStore.read_dated`."""
        found, up_to, _ = await super().read_dated(*keys)
        return Dated(found, 0 if self.is_undated else up_to)


async def crossing(user: str, *, leaves: str = "") -> tuple[PresenceProcess, CrossedStore]:
    """Have somebody go, or leave a room, when the next offer is about to be stored."""
    process = await with_both()
    another = PresenceProcess(beside=process)
    store = CrossedStore(process.store)
    store.before[f"write {PAIR}"] = lambda: another.leave(user, leaves) if leaves else another.end(user)
    return process.over(store), store


async def test_the_reply_does_not_wait_for_the_look() -> None:
    process = await with_both()
    store = WatchedStore(process.store)
    process.over(store)
    reply, afterwards = await process.operations.carry_out(await process.check("alice", "bob", "OFFER", "o"))
    assert isinstance(reply, Relay)
    assert store.said[-1] == f"write {PAIR}"
    assert afterwards is not None
    store.said.clear()
    await afterwards()
    assert store.said == [f"read {USERS}"]
    assert process.mail.asked == []


@pytest.mark.parametrize(("gone", "told"), [("alice", "bob"), ("bob", "alice")])
async def test_an_offer_that_crosses_the_end_of_a_session_ends_once(gone: str, told: str) -> None:
    process, _ = await crossing(gone)
    reply = await process.signal("alice", "bob", "OFFER", "offer")
    assert isinstance(reply, Relay)
    assert [each.user for each in reply.deliveries] == ["bob"]
    assert process.heard_by(told).count(f"hangup of {gone}: disconnected") == 1
    assert process.mail.asked == [name_of(BOB, digest(b"offer"))]
    assert not (await process.pair("alice", "bob")).is_active


async def test_an_offer_with_candidates_that_crosses_an_end_ends_too() -> None:
    process, _ = await crossing("bob")
    assert isinstance(await process.series("alice", "bob", "offer", "c1", cmd="OFFER"), Verdicts)
    assert process.heard_by("alice").count("hangup of bob: disconnected") == 1
    assert process.mail.asked == [name_of(BOB, digest(b"offer"))]
    assert not (await process.pair("alice", "bob")).is_active


async def test_an_offer_that_crosses_the_leaving_of_a_room_ends_for_both() -> None:
    process, _ = await crossing("bob", leaves="hall")
    await process.signal("alice", "bob", "OFFER", "offer")
    assert "hangup of bob: left" in process.heard_by("alice")
    assert "hangup of alice: left" in process.heard_by("bob")
    assert not (await process.pair("alice", "bob")).is_active


async def test_an_end_under_way_is_first_and_tells_nobody_who_left() -> None:
    process = await with_both()
    process.pace = process.pace._replace(endings=1_000)
    process.over(process.store)
    reply, look = await process.operations.carry_out(await process.check("alice", "bob", "OFFER", "offer"))
    assert isinstance(reply, Relay)
    assert look is not None
    another = PresenceProcess(beside=process)
    store = WatchedStore(process.store)
    looking: list[asyncio.Task[object]] = []

    async def have_it_looked_at() -> None:
        looking.append(asyncio.ensure_future(look()))
        for _ in range(100):
            await asyncio.sleep(0)

    store.before[f"write {PAIR}"] = have_it_looked_at
    await another.over(store).leave("alice", "hall")
    await asyncio.gather(*looking)
    assert len(looking) == 1
    assert "hangup of bob: left" not in process.heard_by("alice")
    assert process.heard_by("bob").count("hangup of alice: left") == 1


async def test_an_end_whose_process_has_died_is_waited_for_no_more() -> None:
    process = await with_both()
    reply, look = await process.operations.carry_out(await process.check("alice", "bob", "OFFER", "offer"))
    assert isinstance(reply, Relay)
    assert look is not None
    another = PresenceProcess(beside=process)
    another.life.begin(1)
    with pytest.raises(Died):
        await another.leave("alice", "hall")
    assert (await process.pair("alice", "bob")).is_active
    await look()
    assert not (await process.pair("alice", "bob")).is_active


async def test_an_end_waits_until_its_offer_is_stored() -> None:
    process, store = await crossing("alice")
    process.mail.answers = [0, NoAnswer(), 7]
    process.mail.before = lambda: store.said.append("asked the mailbox")
    await process.signal("alice", "bob", "OFFER", "offer")
    asked = [place for place, said in enumerate(store.said) if said == "asked the mailbox"]
    ended = max(place for place, said in enumerate(store.said) if said == f"write {PAIR}")
    assert len(asked) == 3
    assert max(asked) < ended


async def test_an_offer_that_is_never_stored_ends_all_the_same() -> None:
    process, _ = await crossing("alice")
    process.mail.answers = [0] * 9
    await process.signal("alice", "bob", "OFFER", "offer")
    assert not (await process.pair("alice", "bob")).is_active


async def test_an_end_waits_no_longer_for_a_silent_mailbox() -> None:
    process, store = await crossing("alice")
    process.mail.is_silent = True
    process.pace = process.pace._replace(until_stored=0.0)
    process.over(store)
    await process.signal("alice", "bob", "OFFER", "offer")
    assert process.heard_by("bob").count("hangup of alice: disconnected") == 1


async def test_the_leader_is_asked_where_a_replica_may_lag_behind() -> None:
    process, store = await crossing("alice")
    store.is_undated = True
    await process.signal("alice", "bob", "OFFER", "offer")
    assert f"confirm {USERS}" in store.said
    assert not (await process.pair("alice", "bob")).is_active


@pytest.mark.parametrize("failures", [1, TRIES])
async def test_a_look_that_fails_is_tried_again_and_then_given_up(
    failures: int, caplog: pytest.LogCaptureFixture
) -> None:
    process, store = await crossing("alice")

    async def fails() -> None:
        nonlocal failures
        failures -= 1
        if failures:
            store.before[f"read {USERS}"] = fails
        raise StoreUnavailable("away")

    store.before[f"read {USERS}"] = fails
    is_given_up = failures == TRIES
    await process.signal("alice", "bob", "OFFER", "offer")
    assert (await process.pair("alice", "bob")).is_active == is_given_up
    assert "an offer not looked at again" in caplog.messages
