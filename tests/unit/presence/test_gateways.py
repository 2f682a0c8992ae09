import asyncio
import random
from collections.abc import Callable

import msgspec
import pytest

from presence.gateways import AT_ONCE, LEASE_SHARE, Gateways
from presence.listeners import Listeners
from presence.store import StoreUnavailable
from tests.support.metrics import value_of
from tests.unit.presence.lifetime import BusyStore
from tests.unit.presence.presence_process import GATEWAY_LEASE_S, RESUME_WINDOW_S, PresenceProcess
from tests.unit.presence.requests import opening, registering
from tests.unit.presence.rules.frames import NOW
from tieline import metrics
from tieline.wire.codes import CloseCode
from tieline.wire.ids import ConnectionId, GatewayId, SessionId, UserId
from tieline.wire.internal.codec import decode_close_session
from tieline.wire.internal.directions import PresenceReply
from tieline.wire.internal.sessions import KeepLease
from tieline.wire.subjects import Keys

G1, G2 = GatewayId("g1"), GatewayId("g2")
FOR_EVER = 1_000_000
"""A revision that nothing reaches here."""


async def statuses(process: PresenceProcess, *users: str) -> list[str]:
    """List who is where."""
    records = [await process.user(user) for user in users]
    return ["unknown" if record is None else record.session.status for record in records]


async def test_a_lease_leaves_time_to_ask_a_silent_gateway() -> None:
    process = PresenceProcess()
    await process.gateways.keep_lease(KeepLease(G1))
    assert process.store.time_to_live(Keys.lease_timer(G1)) == GATEWAY_LEASE_S * LEASE_SHARE


async def test_a_lease_that_ran_out_is_kept_as_another_run() -> None:
    process = PresenceProcess()
    first = await process.gateways.keep_lease(KeepLease(G1))
    process.clock.pass_s(GATEWAY_LEASE_S * LEASE_SHARE - 1)
    again = await process.gateways.keep_lease(KeepLease(G1))
    assert again.run == first.run
    assert again.revision > first.revision
    process.clock.pass_s(GATEWAY_LEASE_S * LEASE_SHARE)
    assert (await process.gateways.keep_lease(KeepLease(G1))).run != first.run


async def test_the_sessions_of_a_dead_gateway_end_or_wait() -> None:
    process = PresenceProcess()
    await process.open(opening("alice", "hall", secret="alice's"))
    await process.open(opening("bob", "hall"))
    await process.open(opening("carol", "hall", gateway="g2"))
    process.recorder.sent.clear()
    assert await process.gateways.lease_ran_out(G1, before=FOR_EVER)
    assert await statuses(process, "alice", "bob", "carol") == ["away", "offline", "online"]
    assert sorted(process.heard_by("carol")) == ["alice is away in hall", "bob left hall: disconnected"]
    (close,) = process.heard_elsewhere("gateway")
    assert close.subject == "tieline.gateway.g1.close"
    assert decode_close_session(close.payload).session == "bob-s1"
    assert decode_close_session(close.payload).code == CloseCode.BROKER_LOST
    assert [key for key in process.store.contents() if key.startswith("session.")] == ["session.g2.carol-s1"]


async def test_who_names_the_session_of_another_takes_no_note_of_it_away() -> None:
    process = PresenceProcess()
    await process.open(opening("alice", "hall"))
    forged = msgspec.structs.replace(opening("mallory"), session=SessionId("alice-s1"))
    with pytest.raises(StoreUnavailable):
        await process.open(forged)
    await process.end("mallory")
    assert await process.gateways.lease_ran_out(G1, before=FOR_EVER)
    assert await statuses(process, "alice") == ["offline"]


async def test_a_session_of_an_id_that_is_refused_now_ends_like_others() -> None:
    """A gateway of version 0.1 has let it in, and nothing that names it is understood any more."""
    process = PresenceProcess()
    odd = "ali\u200dce"
    hers = SessionId("alice-s1")  # which the server has made
    await process.open(
        msgspec.structs.replace(opening(odd, "hall", "team \u200d", secret="alice's"), session=hers)
    )
    await process.open(opening("carol", "hall", gateway="g2"))
    process.recorder.sent.clear()
    assert await process.gateways.lease_ran_out(G1, before=FOR_EVER)
    assert await statuses(process, odd) == ["away"]
    process.clock.pass_s(RESUME_WINDOW_S)
    await process.give_up(UserId(odd), ConnectionId(f"{odd}-c1"))
    assert await statuses(process, odd) == ["offline"]
    assert process.heard_by("carol") == [f"{odd} is away in hall", f"{odd} left hall: disconnected"]


async def test_a_gateway_that_answers_is_not_dead() -> None:
    process = PresenceProcess()
    await process.open(opening("alice", "hall"))
    process.living_gateways.add(G1)
    assert not await process.gateways.lease_ran_out(G1, before=FOR_EVER)
    assert await statuses(process, "alice") == ["online"]


async def test_sessions_begun_after_the_lease_ran_out_are_spared() -> None:
    process = PresenceProcess()
    await process.open(opening("alice"))
    ran_out_at = await process.store.put("timer.lease.g1", b"", 1)
    await process.open(opening("bob"))
    await process.gateways.lease_ran_out(G1, before=ran_out_at)
    assert await statuses(process, "alice", "bob") == ["offline", "online"]


@pytest.mark.parametrize("number", [65, 130])
async def test_all_of_very_many_sessions_are_looked_after(number: int) -> None:
    process = PresenceProcess()
    users = [f"user{n}" for n in range(number)]
    for user in users:
        await process.open(opening(user))
    await process.gateways.lease_ran_out(G1, before=FOR_EVER)
    assert set(await statuses(process, *users)) == {"offline"}


async def test_a_session_resumed_elsewhere_is_not_the_dead_gateways() -> None:
    process = PresenceProcess()
    await process.open(opening("alice", "hall", secret="alice's"))
    await process.store.write("session.g1.stale", b"alice", 0)
    await process.open(opening("alice", number=2, gateway="g2", resume="alice's"))
    await process.gateways.lease_ran_out(G1, before=FOR_EVER)
    assert await statuses(process, "alice") == ["online"]
    assert [key for key in process.store.contents() if key.startswith("session.")] == ["session.g2.alice-s1"]


async def test_a_note_of_a_user_who_is_forgotten_is_removed() -> None:
    process = PresenceProcess()
    await process.store.write("session.g1.old", b"nobody", 0)
    await process.gateways.lease_ran_out(G1, before=FOR_EVER)
    assert process.store.contents() == {}


@pytest.mark.parametrize("ask", ["register", "resume"])
@pytest.mark.parametrize("seed", range(40))
async def test_a_gateway_given_up_too_early_keeps_its_notes(seed: int, ask: str) -> None:
    process = PresenceProcess()
    await process.open(opening("alice", "hall", secret="alice's"))
    process.store.lingers = random.Random(seed).randrange
    comes_back = (
        registering(opening("alice", secret="alice's"), {"hall": NOW})
        if ask == "register"
        else opening("alice", number=2, resume="alice's", secret="alice's")
    )
    await asyncio.gather(process.gateways.lease_ran_out(G1, before=FOR_EVER), process.ask(comes_back))
    process.store.lingers = None
    record = await process.user("alice")
    assert record is not None
    has_note = Keys.session(G1, record.session.id) in process.store.contents()
    assert has_note == bool(record.session.note)
    assert has_note or record.session.status != "online"


async def test_a_record_that_cannot_be_read_keeps_no_other_waiting() -> None:
    process = PresenceProcess()
    users = [f"user-{number}" for number in range(AT_ONCE + 1)]
    for user in users:
        await process.open(opening(user))
    await process.store.put(Keys.user(UserId(users[0])), b"of another version", 60)
    await process.gateways.lease_ran_out(G1, before=FOR_EVER)
    assert await statuses(process, *users[1:]) == ["offline"] * AT_ONCE


async def test_a_session_that_cannot_be_looked_after_keeps_no_other_waiting() -> None:
    process = PresenceProcess()
    for user in ("alice", "bob", "carol"):
        await process.open(opening(user, "hall"))
    busy = BusyStore(process.store, "user.alice")
    with pytest.raises(StoreUnavailable):
        await process.over(busy).gateways.lease_ran_out(G1, before=FOR_EVER)
    assert await statuses(process, "alice", "bob", "carol") == ["online", "offline", "offline"]


@pytest.mark.parametrize("way", ["begins", "resumes", "registers"])
@pytest.mark.parametrize(
    ("took_s", "lives", "status"), [(1.0, False, "online"), (5.0, False, "away"), (5.0, True, "online")]
)
async def test_a_session_written_after_its_gateway_s_end_is_looked_after(
    way: str, took_s: float, lives: bool, status: str
) -> None:
    process = PresenceProcess()
    kept = await process.gateways.keep_lease(KeepLease(G1))
    ask = msgspec.structs.replace(opening("alice", secret="alice's"), asked=kept.revision)
    if way == "resumes":
        await process.open(ask)
        await process.end("alice", resumable=True)
        resumes = opening("alice", number=2, secret="new", resume="alice's")
        ask = msgspec.structs.replace(resumes, asked=await newest(process))
    registration = msgspec.structs.replace(registering(ask, {}), asked=kept.revision)
    passed_s = 0.0
    gateways = gateways_of(process, lambda: passed_s)

    async def carry_out() -> PresenceReply:
        nonlocal passed_s
        reply = await process.ask(registration if way == "registers" else ask)
        passed_s = took_s
        if not lives:
            process.clock.pass_s(GATEWAY_LEASE_S)
        return reply

    await gateways.minded(registration if way == "registers" else ask, carry_out)

    assert await statuses(process, "alice") == [status]


async def newest(process: PresenceProcess) -> int:
    """Write something, and see which revision that has."""
    return (await process.gateways.keep_lease(KeepLease(G1))).revision


def gateways_of(process: PresenceProcess, monotonic: Callable[[], float]) -> Gateways:
    """The gateways as a process knows them whose time passes as the test says."""

    async def is_alive(_gateway: GatewayId, _patience_s: float) -> bool:
        return False

    listeners = Listeners(process.store, process.clock)
    return Gateways(
        process.records,
        process.changes,
        is_alive,
        GATEWAY_LEASE_S,
        RESUME_WINDOW_S,
        listeners,
        monotonic=monotonic,
    )


async def test_a_lease_says_what_time_it_is_and_at_which_revision() -> None:
    process = PresenceProcess()
    listeners = Listeners(process.store, process.clock)
    gateways = Gateways(
        process.records,
        process.changes,
        lambda _gateway, _patience_s: asyncio.sleep(0, False),
        GATEWAY_LEASE_S,
        RESUME_WINDOW_S,
        listeners,
        process.clock,
    )
    kept = await gateways.keep_lease(KeepLease(G1, hears=True))
    found = await process.store.read(Keys.lease_timer(G1))
    assert (kept.now, kept.revision) == (NOW, found[Keys.lease_timer(G1)].revision)


@pytest.mark.parametrize(
    ("session", "user"), [("=ZZ", b"alice"), ("s1", b"\xff"), ("", b"alice"), ("a=2e", b"alice")]
)
async def test_a_note_that_cannot_be_read_keeps_no_other_waiting(session: str, user: bytes) -> None:
    process = PresenceProcess()
    await process.open(opening("bob", "hall"))
    await process.store.put(f"{Keys.sessions_of(G1).removesuffix('*')}{session}", user, 60)
    dropped = metrics.UNREADABLE_MESSAGES.labels("record")
    before = value_of(dropped)
    await process.gateways.lease_ran_out(G1, before=FOR_EVER)
    assert await statuses(process, "bob") == ["offline"]
    assert value_of(dropped) == before + 1


async def test_a_lease_that_cannot_be_read_is_taken_anew() -> None:
    process = PresenceProcess()
    await process.store.put(Keys.lease_timer(G1), b"\xff\xfe", 60)
    kept = await process.gateways.keep_lease(KeepLease(G1))
    assert kept.run
    assert (await process.gateways.keep_lease(KeepLease(G1))).run == kept.run
