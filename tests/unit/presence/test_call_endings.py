"""A user who is called by hundreds comes back: what ending the older session's calls costs, and when."""

import asyncio
from typing import Final

from presence.call_endings import ENDED_AT_ONCE
from presence.rules.effects import HangUp
from presence.rules.negotiated import Negotiation
from presence.store import StoreUnavailable
from tests.support.waiting import until
from tests.unit.presence.counting_store import CountingStore
from tests.unit.presence.lifetime import BusyStore, HeldUpStore
from tests.unit.presence.presence_process import PresenceProcess
from tests.unit.presence.requests import opening
from tieline.wire.ids import ConnectionId, SessionId, UserId
from tieline.wire.internal.sessions import Opened
from tieline.wire.subjects import Keys

ALICE: Final = UserId("alice")

CALLERS: Final = tuple(f"caller-{number}" for number in range(2 * ENDED_AT_ONCE))


async def called_by(*callers: str) -> PresenceProcess:
    """Alice has the offers of all these users, from their common room."""
    process = PresenceProcess()
    for user in ("alice", *callers):
        await process.open(opening(user, "hall"))
    for caller in callers:
        await process.signal(caller, "alice", "OFFER", f"offer of {caller}")
    process.recorder.sent.clear()
    return process


async def test_all_who_called_hear_that_the_older_session_has_ended() -> None:
    few = CALLERS[:ENDED_AT_ONCE]
    process = await called_by(*few)

    await process.open(opening("alice", "hall", number=2))

    for caller in few:
        assert process.heard_by(caller)[0] == "hangup of alice: disconnected"
        assert not (await process.pair("alice", caller)).is_active


async def test_who_is_called_by_many_is_answered_before_they_hear_of_it() -> None:
    process = await called_by(*CALLERS)
    ending = asyncio.ensure_future(process.old_calls.run(process.changes.end_old_calls))

    await process.open(opening("alice", "hall", number=2))
    heard = [process.heard_by(caller) for caller in CALLERS]
    assert not [words for words in heard if "hangup of alice: disconnected" in words]
    user = await process.user("alice")
    assert user is not None
    assert user.ending is not None

    await until(lambda: all("hangup of alice: disconnected" in process.heard_by(one) for one in CALLERS))
    await process.end_old_calls("alice")
    assert not [caller for caller in CALLERS if (await process.pair("alice", caller)).is_active]
    assert (user := await process.user("alice")) is not None
    assert user.ending is None
    ending.cancel()


async def test_when_the_process_has_died_a_timer_has_the_calls_ended() -> None:
    process = await called_by(*CALLERS)
    await process.open(opening("alice", "hall", number=2))
    assert Keys.away_timer(ALICE, ConnectionId("alice-c1")) in process.store.contents()

    another = PresenceProcess(beside=process)
    await another.give_up(ALICE, ConnectionId("alice-c1"))
    await another.end_old_calls("alice")

    assert not [caller for caller in CALLERS if (await process.pair("alice", caller)).is_active]
    assert (user := await process.user("alice")) is not None
    assert (user.is_reachable, user.ending) == (True, None)


async def test_the_next_request_has_the_calls_ended_by_whichever_process() -> None:
    process = await called_by(*CALLERS)
    await process.open(opening("alice", "hall", number=2))

    another = PresenceProcess(beside=process)
    ending = asyncio.ensure_future(another.old_calls.run(another.changes.end_old_calls))
    await another.join("alice", "cellar")

    await until(lambda: all("hangup of alice: disconnected" in process.heard_by(one) for one in CALLERS))
    ending.cancel()


async def test_nobody_waits_for_what_another_process_is_ending() -> None:
    process = await called_by(*CALLERS)
    slow = PresenceProcess(beside=process)
    held_up = HeldUpStore(slow.store, Keys.user(UserId("caller-40")))
    slow.over(held_up)
    ends = asyncio.ensure_future(slow.end("alice"))
    await held_up.is_reached.wait()

    await process.open(opening("alice", "hall", number=2))
    await process.signal("caller-50", "alice", "OFFER", "another offer")
    held_up.may_go_on.set()
    await ends
    await process.end_old_calls("alice")

    active = [caller for caller in CALLERS if (await process.pair("alice", caller)).is_active]
    assert active == ["caller-50"]
    for caller in CALLERS:
        assert process.heard_by(caller).count("hangup of alice: disconnected") == 1


async def test_the_users_of_many_calls_are_read_together() -> None:
    process = await called_by(*CALLERS)
    counting = CountingStore(process.store)
    process.over(counting)
    await counting.count(process.end("alice"))
    many = counting.asked.copy()

    process = await called_by(*CALLERS[:1])
    process.over(counting := CountingStore(process.store))
    await counting.count(process.end("alice"))

    batches = len(CALLERS) // ENDED_AT_ONCE
    assert many["read"] - counting.asked["read"] == 2 * (batches - 1)  # the negotiations, and their users
    assert many["confirmed read"] - counting.asked["confirmed read"] == 1
    assert many["write"] - counting.asked["write"] == len(CALLERS) - 1


async def test_calls_that_have_ended_already_are_not_looked_at_again() -> None:
    process = await called_by(*CALLERS)
    for caller in CALLERS:
        await process.signal(caller, "alice", "HANGUP", f"hangup of {caller}")
    counting = CountingStore(process.store)
    process.over(counting)

    await counting.count(process.open(opening("alice", number=2)))

    assert counting.asked["write"] < 10
    assert counting.asked["confirmed read"] < 10


async def test_a_call_that_ended_untold_is_told() -> None:
    process = await called_by("bob")
    told = HangUp(UserId("bob"), SessionId("bob-s1"), UserId("alice"), "disconnected", "a cause")
    key = Keys.pair(UserId("alice"), UserId("bob"))
    stored = (await process.store.read(key))[key]
    await process.records.write_negotiation(key, Negotiation(pending=(told,)), stored.revision)

    await process.open(opening("alice", number=2))  # its older session ends, and the process before has died

    assert process.heard_by("bob")[0] == "hangup of alice: disconnected"


async def test_the_same_request_again_waits_for_the_first() -> None:
    process = await called_by("bob")
    held_up = HeldUpStore(process.store, Keys.user(UserId("alice")))
    process.over(held_up)
    first = asyncio.ensure_future(process.ask(opening("alice", number=2)))
    await held_up.is_reached.wait()
    again = asyncio.ensure_future(process.ask(opening("alice", number=2)))

    held_up.may_go_on.set()

    assert await first == await again
    assert isinstance(await first, Opened)
    assert process.heard_by("bob") == ["hangup of alice: disconnected", "alice left hall: disconnected"]


async def test_what_the_first_could_not_do_the_same_request_does() -> None:
    process = await called_by("bob")
    held_up = HeldUpStore(process.store, Keys.user(UserId("alice")))
    process.over(held_up)
    first = asyncio.ensure_future(process.ask(opening("alice", number=2)))
    await held_up.is_reached.wait()
    several = [asyncio.ensure_future(process.ask(opening("alice", number=2))) for _ in range(2)]
    await asyncio.sleep(0)
    first.cancel()
    held_up.may_go_on.set()

    found, same = await asyncio.gather(*several)
    assert found == same
    assert isinstance(found, Opened)


async def test_what_nobody_could_do_the_same_request_is_not_told() -> None:
    process = PresenceProcess()
    process.over(BusyStore(process.store, Keys.user(UserId("alice"))))

    outcomes = await asyncio.gather(
        *(process.ask(opening("alice")) for _ in range(2)), return_exceptions=True
    )

    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 2
    process.over(process.store)
    assert isinstance(await process.ask(opening("alice")), Opened)
