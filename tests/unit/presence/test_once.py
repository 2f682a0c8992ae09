"""A change is carried out once, as long as its name is remembered."""

import pytest

from presence.once import LONGEST_S, USED_FOR_ANOTHER, Once
from presence.store import StoreUnavailable
from tests.unit.presence.presence_process import PresenceProcess
from tieline.wire.ids import UserId
from tieline.wire.internal.answers import Refused
from tieline.wire.internal.backend import Affected, Disconnect
from tieline.wire.internal.directions import PresenceReply
from tieline.wire.subjects import Keys

ORDER = Disconnect("0a", 60.0, UserId("alice"))


class Counted:
    """Carries out something, and counts how often."""

    def __init__(self, *replies: PresenceReply | Exception) -> None:
        self._replies = [*replies]
        self.count = 0

    async def __call__(self) -> PresenceReply:
        self.count += 1
        reply = self._replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply


@pytest.mark.parametrize("reply", [Affected(1), Refused("ROOM_FULL")])
async def test_the_same_again_is_answered_as_before(reply: PresenceReply) -> None:
    once, act = Once(PresenceProcess().store), Counted(reply, Affected(7))
    assert await once.carry_out(ORDER, act) == reply
    assert await once.carry_out(ORDER, act) == reply
    assert act.count == 1


async def test_another_change_of_that_name_is_refused() -> None:
    once, act = Once(PresenceProcess().store), Counted(Affected(1))
    await once.carry_out(ORDER, act)
    other = Disconnect("0a", 60.0, UserId("bob"))
    assert await once.carry_out(other, act) == Refused(USED_FOR_ANOTHER)
    assert act.count == 1


async def test_what_was_not_carried_out_may_be_asked_again() -> None:
    once, act = Once(PresenceProcess().store), Counted(StoreUnavailable("away"), Affected(1))
    with pytest.raises(StoreUnavailable):
        await once.carry_out(ORDER, act)
    assert await once.carry_out(ORDER, act) == Affected(1)


async def test_it_is_forgotten_after_the_time_that_it_says() -> None:
    process = PresenceProcess()
    once, act = Once(process.store), Counted(Affected(1), Affected(2))
    await once.carry_out(ORDER, act)
    process.clock.pass_s(61)
    assert await once.carry_out(ORDER, act) == Affected(2)


async def test_nothing_is_remembered_for_longer_than_a_day() -> None:
    process = PresenceProcess()
    once, act = Once(process.store), Counted(Affected(1), Affected(2))
    order = Disconnect("0a", 1e9, UserId("alice"))
    await once.carry_out(order, act)
    process.clock.pass_s(LONGEST_S + 1)
    assert await once.carry_out(order, act) == Affected(2)


async def test_a_record_that_cannot_be_read_is_written_anew() -> None:
    process = PresenceProcess()
    await process.store.put(Keys.once("0a"), b"?", 60.0)
    assert await Once(process.store).carry_out(ORDER, Counted(Affected(1))) == Affected(1)
