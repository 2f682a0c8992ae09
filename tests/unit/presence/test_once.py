"""A change is carried out once, as long as its name is remembered."""

import asyncio

import pytest

from presence.once import CLAIM_MS, LONGEST_S, USED_FOR_ANOTHER, Once
from presence.rules.orders import OVERTAKEN
from presence.store import Conflict, StoreUnavailable
from tests.unit.presence.presence_process import PresenceProcess
from tieline.wire.ids import UserId
from tieline.wire.internal.answers import Refused
from tieline.wire.internal.backend import Affected, Ban, Disconnect
from tieline.wire.internal.directions import PresenceReply
from tieline.wire.subjects import Keys

ORDER = Disconnect("0a", 60.0, UserId("alice"))


OTHER = Disconnect("0a", 60.0, UserId("bob"))


def once_of(process: PresenceProcess) -> Once:
    return Once(process.store, process.clock)


class Counted:
    """Carries out something, and counts how often."""

    def __init__(self, *replies: PresenceReply | Exception) -> None:
        self._replies = [*replies]
        self.count = 0

    async def __call__(self, *_: object) -> PresenceReply:
        self.count += 1
        reply = self._replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply


@pytest.mark.parametrize("reply", [Affected(1), Refused("ROOM_FULL")])
async def test_the_same_again_is_answered_as_before(reply: PresenceReply) -> None:
    once, act = once_of(PresenceProcess()), Counted(reply, Affected(7))
    assert await once.carry_out(ORDER, act) == reply
    assert await once.carry_out(ORDER, act) == reply
    assert act.count == 1


async def test_another_change_of_that_name_is_refused() -> None:
    once, act = once_of(PresenceProcess()), Counted(Affected(1))
    await once.carry_out(ORDER, act)
    assert await once.carry_out(OTHER, act) == Refused(USED_FOR_ANOTHER)
    assert act.count == 1


async def test_what_was_not_carried_out_may_be_asked_again() -> None:
    once, act = once_of(PresenceProcess()), Counted(StoreUnavailable("away"), Affected(1))
    with pytest.raises(StoreUnavailable):
        await once.carry_out(ORDER, act)
    assert await once.carry_out(ORDER, act) == Affected(1)


async def test_it_is_forgotten_after_the_time_that_it_says() -> None:
    process = PresenceProcess()
    once, act = once_of(process), Counted(Affected(1), Affected(2))
    await once.carry_out(ORDER, act)
    process.clock.pass_s(61)
    assert await once.carry_out(ORDER, act) == Affected(2)


async def test_nothing_is_remembered_for_longer_than_a_day() -> None:
    process = PresenceProcess()
    once, act = once_of(process), Counted(Affected(1), Affected(2))
    order = Disconnect("0a", 1e9, UserId("alice"))
    await once.carry_out(order, act)
    process.clock.pass_s(LONGEST_S + 1)
    assert await once.carry_out(order, act) == Affected(2)


async def test_a_record_that_cannot_be_read_is_written_anew() -> None:
    process = PresenceProcess()
    await process.store.put(Keys.once("0a"), b"?", 60.0)
    assert await once_of(process).carry_out(ORDER, Counted(Affected(1))) == Affected(1)


class Gate:
    """A change that takes until it is let go on."""

    def __init__(self, reply: PresenceReply | Exception) -> None:
        self.reply = reply
        self.count = 0
        self.is_begun = asyncio.Event()
        self.goes_on = asyncio.Event()

    async def __call__(self, *_: object) -> PresenceReply:
        self.count += 1
        self.is_begun.set()
        await self.goes_on.wait()
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.reply


async def test_of_two_changes_of_one_name_at_once_one_is_made() -> None:
    process = PresenceProcess()
    gate, act = Gate(Affected(1)), Counted(Affected(2))
    async with asyncio.TaskGroup() as asking:
        first = asking.create_task(once_of(process).carry_out(ORDER, gate))
        await gate.is_begun.wait()
        assert await once_of(process).carry_out(OTHER, act) == Refused(USED_FOR_ANOTHER)
        gate.goes_on.set()
    assert await first == Affected(1)
    assert (gate.count, act.count) == (1, 0)


async def test_the_same_asked_meanwhile_is_answered_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("presence.once.LOOK_S", 0)
    process = PresenceProcess()
    gate, act = Gate(Affected(1)), Counted(Affected(2))
    async with asyncio.TaskGroup() as asking:
        asking.create_task(once_of(process).carry_out(ORDER, gate))
        await gate.is_begun.wait()
        copy = asking.create_task(once_of(process).carry_out(ORDER, act))
        for _ in range(10):
            await asyncio.sleep(0)
        gate.goes_on.set()
    assert await copy == Affected(1)
    assert act.count == 0


async def test_a_claim_of_a_process_that_died_runs_out() -> None:
    process = PresenceProcess()
    gate = Gate(Affected(1))
    dying = asyncio.create_task(once_of(process).carry_out(ORDER, gate))
    await gate.is_begun.wait()
    dying.cancel()
    await asyncio.wait((dying,))
    assert await once_of(process).carry_out(OTHER, Counted()) == Refused(USED_FOR_ANOTHER)
    process.clock.pass_s(CLAIM_MS / 1000)
    act = Counted(Affected(2))
    assert await once_of(process).carry_out(ORDER, act) == Affected(2)
    assert await once_of(process).carry_out(ORDER, act) == Affected(2)
    assert act.count == 1


async def test_the_first_answer_that_is_kept_is_that_of_all() -> None:
    process = PresenceProcess()
    slow = Gate(Affected(1))
    async with asyncio.TaskGroup() as asking:
        late = asking.create_task(once_of(process).carry_out(ORDER, slow))
        await slow.is_begun.wait()
        process.clock.pass_s(CLAIM_MS / 1000)  # it takes longer than a claim lasts
        assert await once_of(process).carry_out(ORDER, Counted(Affected(0))) == Affected(0)
        slow.goes_on.set()
    assert await late == Affected(0)


async def test_a_claim_that_was_taken_over_in_vain_is_answered() -> None:
    process = PresenceProcess()
    slow = Gate(Affected(1))
    async with asyncio.TaskGroup() as asking:
        late = asking.create_task(once_of(process).carry_out(ORDER, slow))
        await slow.is_begun.wait()
        process.clock.pass_s(CLAIM_MS / 1000)
        with pytest.raises(StoreUnavailable):
            await once_of(process).carry_out(ORDER, Counted(StoreUnavailable("away")))
        slow.goes_on.set()
    assert await late == Affected(1)


async def test_a_claim_that_is_taken_over_again_and_again_is_given_up() -> None:
    process = PresenceProcess()

    async def taken_over(*_: object) -> PresenceReply:
        process.clock.pass_s(CLAIM_MS / 1000)
        with pytest.raises(StoreUnavailable):
            await once_of(process).carry_out(ORDER, Counted(StoreUnavailable("away")))
        return Affected(1)

    with pytest.raises(StoreUnavailable, match="again and again"):
        await once_of(process).carry_out(ORDER, taken_over)


async def test_what_is_older_than_its_name_is_remembered_comes_too_late() -> None:
    process = PresenceProcess()
    once, act = once_of(process), Counted(Affected(1))
    order = Ban("0b", 60.0, UserId("alice"), 600.0, process.clock() * 1000)
    assert await once.carry_out(order, act) == Affected(1)
    process.clock.pass_s(61)
    assert await once.carry_out(order, act) == OVERTAKEN
    assert act.count == 1


async def test_what_takes_longer_than_it_is_remembered_is_answered() -> None:
    process = PresenceProcess()

    async def slow(*_: object) -> PresenceReply:
        process.clock.pass_s(61)
        return Affected(1)

    assert await once_of(process).carry_out(ORDER, slow) == Affected(1)


async def test_a_change_that_is_not_finished_is_asked_for_again() -> None:
    once, act = once_of(PresenceProcess()), Counted(Affected(1, left=2), Affected(3))
    assert await once.carry_out(ORDER, act) == Affected(1, left=2)
    assert await once.carry_out(ORDER, act) == Affected(3)
    assert await once.carry_out(ORDER, act) == Affected(3)
    assert act.count == 2


async def test_what_is_finished_later_is_answered_as_it_ended() -> None:
    once, act = once_of(PresenceProcess()), Counted(Affected(1, left=2))
    await once.carry_out(ORDER, act)
    await once.settle(ORDER, Affected(3))
    await once.settle(ORDER, Affected(4))  # by another process, which is too late
    await once.settle(OTHER, Affected(5))
    assert await once.carry_out(ORDER, act) == Affected(3)


async def test_a_name_that_many_claim_at_once_is_given_up_in_the_end() -> None:
    process = PresenceProcess()

    async def conflict(*_: object, **__: object) -> int:
        raise Conflict

    process.store.write = conflict  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable, match="lost"):
        await once_of(process).carry_out(ORDER, Counted())
    with pytest.raises(StoreUnavailable, match="lost"):
        await once_of(process).settle(ORDER, Affected(1))
