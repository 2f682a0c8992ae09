import asyncio
import random
from collections.abc import Mapping

import msgspec
import pytest

from presence.record_codec import user_in
from presence.records import IDLE_NEGOTIATION_TTL_S
from presence.rules import negotiation
from presence.rules.granting import GRANT_S
from presence.rules.negotiated import NOTHING, Negotiation, WaitingOffer
from presence.rules.negotiation import MAX_HELD, MAX_INLINE_BYTES, Incoming
from presence.rules.signals import KEPT_APART_S, MIN_TIMER_S
from presence.store import MAX_TRIES, NOTHING_KNOWN, ListedStore, Record, StoreUnavailable
from tests.unit.presence.counting_store import CountingStore, Trips
from tests.unit.presence.lifetime import BusyStore
from tests.unit.presence.presence_process import OFFER_TIMEOUT_S, PresenceProcess, refusal_in
from tests.unit.presence.requests import opening
from tests.unit.presence.rules.frames import NOW
from tests.unit.presence.rules.people import ended
from tieline.wire.digests import digest
from tieline.wire.ids import SessionId, UserId
from tieline.wire.internal.answers import SessionGone
from tieline.wire.internal.directions import PresenceReply
from tieline.wire.internal.signals import Delivery, Relay
from tieline.wire.subjects import Keys

ALICE, BOB, CAROL = UserId("alice"), UserId("bob"), UserId("carol")

CALL = negotiation.offer(
    NOTHING, Incoming(ALICE, BOB, SessionId("bob-s1"), digest(b"offer"), NOW, SessionId("alice-s1"))
).negotiation.call
"""The call that Alice's offer begins."""


async def with_both(*, secret: str = "") -> PresenceProcess:
    """Alice and Bob in the hall."""
    process = PresenceProcess()
    await process.open(opening("alice", "hall", secret=secret))
    await process.open(opening("bob", "hall"))
    process.recorder.sent.clear()
    return process


def events_of(process: PresenceProcess) -> list[tuple[str, dict[str, object]]]:
    """List what backends were told."""
    return [
        (sent.subject.removeprefix("tieline.events."), msgspec.json.decode(sent.payload))
        for sent in process.heard_elsewhere("events")
    ]


def offer_timer(frame: str, at: int = NOW, offerer: UserId = ALICE, target: UserId = BOB) -> str:
    """Name the timer of an offer."""
    return Keys.offer_timer(offerer, target, WaitingOffer(offerer, digest(frame.encode()), at).generation)


async def expires(process: PresenceProcess, frame: str) -> None:
    """Let an offer of Alice have waited long enough."""
    await process.expire(ALICE, BOB, WaitingOffer(ALICE, digest(frame.encode()), NOW).generation)


async def test_an_offer_is_stored_with_its_timer_and_backends_are_told() -> None:
    process = await with_both()
    verdict = await process.signal("alice", "bob", "OFFER", "offer")
    deliveries = (Delivery(BOB, SessionId("bob-s1"), None),)
    assert verdict == Relay("relayed", deliveries, call=CALL, target="online")
    assert (await process.pair("alice", "bob")).is_active
    assert process.store.time_to_live(offer_timer("offer")) == OFFER_TIMEOUT_S
    assert events_of(process) == [("offered", {"at": NOW, "user": "alice", "peer": "bob", "call": CALL})]


async def test_a_call_is_told_to_backends_and_its_end_to_routers() -> None:
    process = await with_both()
    await process.signal("alice", "bob", "OFFER", "offer")
    await process.signal("alice", "bob", "ICE_CANDIDATE", "c1")
    await process.signal("bob", "alice", "ANSWER", "answer")
    await process.signal("bob", "alice", "ICE_CANDIDATE", "c2")
    assert process.heard_elsewhere("changed") == []
    await process.signal("bob", "alice", "HANGUP", "hangup")
    assert events_of(process) == [
        ("offered", {"at": NOW, "user": "alice", "peer": "bob", "call": CALL}),
        ("answered", {"at": NOW, "user": "bob", "peer": "alice", "call": CALL}),
        ("ended", {"at": NOW, "user": "bob", "peer": "alice", "reason": "hangup", "call": CALL}),
    ]
    assert [sent.subject for sent in process.heard_elsewhere("changed")] == ["tieline.changed.bob"]


async def test_a_retry_tells_what_was_told_with_the_time_of_the_first() -> None:
    process = await with_both()
    await process.signal("alice", "bob", "OFFER", "offer")
    first = set(process.recorder.sent)
    process.clock.pass_s(3)
    await process.signal("alice", "bob", "OFFER", "offer")
    assert set(process.recorder.sent) == first


@pytest.mark.parametrize(
    ("later_s", "left_s"), [(0, OFFER_TIMEOUT_S), (3, OFFER_TIMEOUT_S - 3), (59.5, MIN_TIMER_S)]
)
async def test_a_retried_offer_is_timed_for_what_is_left_of_its_time(later_s: float, left_s: float) -> None:
    process = await with_both()
    await process.signal("alice", "bob", "OFFER", "offer")
    process.clock.pass_s(later_s)
    await process.signal("alice", "bob", "OFFER", "offer")
    assert process.store.time_to_live(offer_timer("offer")) == left_s


async def test_a_clock_that_is_behind_gives_an_offer_no_more_than_its_time() -> None:
    process = await with_both()
    await process.signal("alice", "bob", "OFFER", "offer")
    process.clock.pass_s(-2)
    await process.signal("alice", "bob", "OFFER", "offer")
    assert process.store.time_to_live(offer_timer("offer")) == OFFER_TIMEOUT_S


async def test_a_retried_offer_to_a_user_who_has_gone_does_not_wait() -> None:
    process = await with_both()
    await process.signal("alice", "bob", "OFFER", "offer")
    key = Keys.user(BOB)
    bob, revision = user_in(await process.store.read(key), key)
    assert bob is not None
    await process.records.write_user(key, ended(bob), revision)
    assert await process.signal("alice", "bob", "OFFER", "offer") == Relay("relayed", (), call=CALL)
    assert process.heard_by("alice") == ["hangup of bob: disconnected"]
    assert not (await process.pair("alice", "bob")).is_active


async def test_a_record_goes_when_no_frame_of_it_can_be_a_retry() -> None:
    process = await with_both()
    await process.signal("alice", "bob", "OFFER", "offer")
    assert process.store.time_to_live(Keys.pair(ALICE, BOB)) == float("inf")
    await process.signal("bob", "alice", "HANGUP", "hangup")
    assert process.store.time_to_live(Keys.pair(ALICE, BOB)) == IDLE_NEGOTIATION_TTL_S
    process.clock.pass_s(IDLE_NEGOTIATION_TTL_S)
    assert await process.pair("alice", "bob") == Negotiation()
    await process.signal("alice", "bob", "OFFER", "offer 2")
    assert (await process.pair("alice", "bob")).is_active


@pytest.mark.parametrize("seed", range(20))
async def test_candidates_beside_the_answer_are_released_or_relayed(
    seed: int,
) -> None:
    process = await with_both()
    await process.signal("alice", "bob", "OFFER", "offer")
    process.store.lingers = random.Random(seed).randrange
    frames = [f"c{number}" for number in range(10)]
    answer, *verdicts = await asyncio.gather(
        process.signal("bob", "alice", "ANSWER", "answer"),
        *(process.signal("alice", "bob", "ICE_CANDIDATE", frame) for frame in frames),
    )
    assert isinstance(answer, Relay)
    released = {line.frame for line in answer.deliveries if line.user == BOB}
    for frame, verdict in zip(frames, verdicts, strict=True):
        assert isinstance(verdict, Relay)
        assert (frame.encode() in released) == (verdict.ack == "held")


class LaggingStore:
    """A store whose unconfirmed reads know nothing of what was written since."""

    def __init__(self, store: ListedStore, then: dict[str, Record]) -> None:
        self._store = store
        self._then = then
        self.write = store.write
        self.put = store.put
        self.keys = store.keys
        self.read_few = store.read_few
        self.read_dated = store.read_dated
        self.delete = store.delete

    async def read(
        self, *keys: str, confirmed: bool = False, known: Mapping[str, Record] = NOTHING_KNOWN
    ) -> dict[str, Record]:
        """Read from the leader, or as things were then."""
        if confirmed:
            return await self._store.read(*keys, confirmed=True, known=known)
        return {key: record for key, record in self._then.items() if key in keys}


async def test_a_refusal_is_confirmed_by_the_leader_before_it_is_believed() -> None:
    process = await with_both()
    before_the_offer = await process.store.read(">")
    await process.signal("alice", "bob", "OFFER", "offer")
    process.over(LaggingStore(process.store, before_the_offer))
    verdict = await process.ask(await process.check("bob", "alice", "ANSWER", "answer"))
    assert isinstance(verdict, Relay)


async def test_a_session_unknown_to_a_lagging_replica_is_not_turned_away() -> None:
    process = await with_both()
    check = await process.check("alice", "bob", "OFFER", "offer")
    process.over(LaggingStore(process.store, {}))
    assert isinstance(await process.ask(check), Relay)


async def test_what_the_leader_refuses_too_is_refused() -> None:
    process = await with_both()
    assert refusal_in(await process.signal("bob", "alice", "ANSWER", "answer")) == "NO_MATCHING_OFFER"


async def test_an_offer_that_nobody_answered_ends_and_both_are_told() -> None:
    process = await with_both()
    await process.signal("alice", "bob", "OFFER", "offer")
    process.recorder.sent.clear()
    await expires(process, "offer")
    assert process.heard_by("alice") == ["hangup of bob: timeout"]
    assert process.heard_by("bob") == ["hangup of alice: timeout"]
    assert events_of(process) == [
        ("ended", {"at": NOW, "user": "alice", "peer": "bob", "reason": "timeout", "call": CALL})
    ]
    assert not (await process.pair("alice", "bob")).is_active


async def test_a_user_who_is_gone_hears_nothing_of_an_expired_offer() -> None:
    process = await with_both()
    await process.signal("alice", "bob", "OFFER", "offer")
    key = Keys.user(BOB)
    await process.store.delete(key, (await process.store.read(key))[key].revision)
    await expires(process, "offer")
    assert process.heard_by("alice") == ["hangup of bob: timeout"]
    assert process.heard_by("bob") == []


@pytest.mark.parametrize("what", ["answered", "hung up", "renegotiated"])
async def test_the_timer_of_an_offer_that_waits_no_more_tells_nobody(what: str) -> None:
    process = await with_both()
    await process.signal("alice", "bob", "OFFER", "offer")
    if what == "hung up":
        await process.signal("alice", "bob", "HANGUP", "hangup")
    else:
        await process.signal("bob", "alice", "ANSWER", "answer")
    if what == "renegotiated":
        await process.signal("alice", "bob", "OFFER", "offer 2")
        await expires(process, "offer 2")
    before = await process.pair("alice", "bob")
    await expires(process, "offer")
    assert await process.pair("alice", "bob") == before
    assert process.heard_by("alice") == process.heard_by("bob") == []


async def test_only_the_negotiations_of_a_user_who_is_gone_end() -> None:
    process = await with_both()
    await process.open(opening("carol", "hall"))
    await process.signal("alice", "bob", "OFFER", "offer")
    await process.signal("bob", "carol", "OFFER", "offer to carol")
    await process.end("alice")
    assert not (await process.pair("alice", "bob")).is_active
    assert (await process.pair("bob", "carol")).is_active


async def test_a_late_end_of_a_session_leaves_the_next_ones_calls_alone() -> None:
    process = await with_both()
    await process.end("alice")
    await process.open(opening("alice", "hall", number=2))
    await process.signal("alice", "bob", "OFFER", "offer")
    process.recorder.sent.clear()
    await process.end_calls(ALICE, SessionId("alice-s1"))
    assert (await process.pair("alice", "bob")).is_active
    assert process.heard_by("bob") == []


@pytest.mark.parametrize("seed", range(40))
async def test_an_offer_to_a_user_who_goes_just_then_does_not_wait(seed: int) -> None:
    process = await with_both()
    process.store.lingers = random.Random(seed).randrange
    verdict, _ = await asyncio.gather(process.signal("bob", "alice", "OFFER", "offer"), process.end("alice"))
    assert not (await process.pair("alice", "bob")).is_active
    if isinstance(verdict, Relay):
        assert len({sent for sent in process.told_to("bob") if b"WEBRTC_HANGUP" in sent.payload}) == 1


@pytest.mark.parametrize("seed", range(40))
async def test_an_offer_to_a_user_who_leaves_just_then_does_not_wait(seed: int) -> None:
    process = await with_both()
    process.store.lingers = random.Random(seed).randrange
    await asyncio.gather(process.signal("bob", "alice", "OFFER", "offer"), process.leave("alice", "hall"))
    assert not (await process.pair("alice", "bob")).is_active


@pytest.mark.parametrize("seed", range(40))
async def test_an_offer_of_a_user_who_goes_just_then_does_not_wait(seed: int) -> None:
    process = await with_both()
    process.store.lingers = random.Random(seed).randrange
    verdict, _ = await asyncio.gather(process.signal("bob", "alice", "OFFER", "offer"), process.end("bob"))
    assert not (await process.pair("alice", "bob")).is_active
    if isinstance(verdict, Relay):
        assert "hangup of bob: disconnected" in process.heard_by("alice")
    else:  # not delivered: an offer that comes after its end would ring for ever
        assert verdict == SessionGone(replaced=False)


@pytest.mark.parametrize("op", ["offer", "end", "expire"])
async def test_a_process_that_loses_every_round_gives_up(op: str) -> None:
    process = await with_both()
    await process.signal("alice", "bob", "OFFER", "offer")
    busy = BusyStore(process.store, "pair.")
    with pytest.raises(StoreUnavailable):
        await persist(process.over(busy), op)
    assert busy.refused == MAX_TRIES


async def persist(process: PresenceProcess, op: str) -> PresenceReply | None:
    """Try to change the pair."""
    match op:
        case "offer":
            return await process.signal("alice", "bob", "OFFER", "offer 2")
        case "end":
            return await process.end("alice")
        case _:
            await expires(process, "offer")
            return None


LARGE = [f"{number} ".ljust(4000, ".") for number in range(12)]
"""Candidates of which two fit into the record."""


async def with_large_ones() -> PresenceProcess:
    """Alice has called Bob, and sent some large candidates."""
    process = await with_both()
    await process.signal("alice", "bob", "OFFER", "offer")
    for frame in LARGE:
        assert await process.signal("alice", "bob", "ICE_CANDIDATE", frame) == Relay("held", (), call=CALL)
    return process


def released() -> Relay:
    """What Bob's answer delivers then."""
    to_bob = (Delivery(BOB, SessionId("bob-s1"), frame.encode()) for frame in LARGE)
    deliveries = (Delivery(ALICE, SessionId("alice-s1"), None), *to_bob)
    return Relay("relayed", deliveries, GRANT_S, call=CALL, releases=((BOB, digest(b"answer")),))


async def test_frames_apart_are_released_in_place_and_with_retries() -> None:
    process = await with_large_ones()
    assert await process.signal("bob", "alice", "ANSWER", "answer") == released()
    assert await process.signal("bob", "alice", "ANSWER", "answer") == released()
    assert await PresenceProcess(beside=process).signal("bob", "alice", "ANSWER", "answer") == released()


async def test_a_record_is_small_whatever_is_held() -> None:
    process = await with_large_ones()
    await process.signal("bob", "alice", "ANSWER", "answer")
    assert process.store.largest[Keys.pair(ALICE, BOB)] < MAX_INLINE_BYTES + 4096


async def test_a_frame_apart_is_kept_while_it_may_be_asked_for() -> None:
    process = await with_large_ones()
    key = Keys.held(ALICE, BOB, digest(LARGE[-1].encode()))
    assert process.store.time_to_live(key) == OFFER_TIMEOUT_S + KEPT_APART_S


async def test_a_frame_apart_leaves_nothing_behind() -> None:
    process = await with_large_ones()
    key = Keys.held(ALICE, BOB, digest(LARGE[-1].encode()))
    process.clock.pass_s(OFFER_TIMEOUT_S + KEPT_APART_S)
    assert await process.store.read(key) == {}


class CrowdedStore(CountingStore):
    """A store that has no room for what is put into it, and for small records still."""

    async def put(self, key: str, value: bytes, ttl_s: float, *, leaves_marker: bool = True) -> int:
        """See `Store.put`."""
        del value, ttl_s, leaves_marker
        raise StoreUnavailable(key)


async def test_a_retry_delivers_what_was_released_unstored() -> None:
    process = await with_large_ones()
    lost = "." * 4000
    process.over(CrowdedStore(process.store))
    with pytest.raises(StoreUnavailable):
        await process.signal("alice", "bob", "ICE_CANDIDATE", lost)
    process.over(process.store)
    assert await process.signal("bob", "alice", "ANSWER", "answer") == released()
    _, *before = released().deliveries
    own = Delivery(BOB, SessionId("bob-s1"), None)
    at_last = Relay("held", (*before, own), call=CALL, releases=((BOB, digest(b"answer")),))
    assert await process.signal("alice", "bob", "ICE_CANDIDATE", lost) == at_last
    granted = await process.signal("alice", "bob", "ICE_CANDIDATE", "another")
    assert isinstance(granted, Relay)
    assert digest(lost.encode()) not in granted.grant_held


async def test_a_retry_stores_a_frame_apart_once_more() -> None:
    process = await with_large_ones()
    key = Keys.held(ALICE, BOB, digest(LARGE[-1].encode()))
    await process.store.delete(key, (await process.store.read(key))[key].revision)
    assert await process.signal("alice", "bob", "ICE_CANDIDATE", LARGE[-1]) == Relay("held", (), call=CALL)
    assert await process.signal("bob", "alice", "ANSWER", "answer") == released()


async def test_a_frame_apart_that_has_expired_is_left_out() -> None:
    process = await with_large_ones()
    for _ in range(3):  # replaced offers keep what was held for the first
        process.clock.pass_s(OFFER_TIMEOUT_S - 1)
        await process.signal("alice", "bob", "OFFER", f"offer at {process.clock()}")
    verdict = await process.signal("bob", "alice", "ANSWER", "answer")
    assert isinstance(verdict, Relay)
    frames = [delivery.frame for delivery in verdict.deliveries]
    assert frames == [None, *(frame.encode() for frame in LARGE[:2])]


async def test_no_candidate_is_too_many_because_of_a_lagging_replica() -> None:
    process = await with_both()
    await process.signal("alice", "bob", "OFFER", "offer")
    for number in range(MAX_HELD):
        await process.signal("alice", "bob", "ICE_CANDIDATE", f"c{number}")
    before_the_answer = await process.store.read(">")
    await process.signal("bob", "alice", "ANSWER", "answer")
    process.over(LaggingStore(process.store, before_the_answer))
    verdict = await process.signal("alice", "bob", "ICE_CANDIDATE", "one more")
    assert isinstance(verdict, Relay)
    assert verdict.deliveries[-1] == Delivery(BOB, SessionId("bob-s1"), None)


async def test_what_can_be_refused_only_so_is_not_read_twice() -> None:
    process = await with_both()
    counting = CountingStore(process.store)
    process.over(counting)
    trips = await counting.count(process.signal("alice", "bob", "NONSENSE", "frame"))
    assert trips == Trips(1, 1, 0)
