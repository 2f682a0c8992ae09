"""Who waits for the calls of an older session to be ended: each in turn, nobody because of another one."""

import asyncio

import pytest

from presence.old_calls import AT_ONCE, MAX_WAITING, OldCalls
from presence.store import StoreUnavailable
from tieline.runtime.broker import BrokerAway
from tieline.wire.ids import UserId

USERS = tuple(UserId(f"user-{number}") for number in range(2 * AT_ONCE))


class Ending:
    """Ends calls, some users' in vain, for as many users at once as it is asked to."""

    def __init__(self, fails: dict[UserId, Exception] | None = None) -> None:
        self._fails = fails or {}
        self.ended: list[UserId] = []
        self.under_way = self.most = 0
        self.is_done = asyncio.Event()

    async def end(self, user: UserId) -> None:
        """End the calls of one user."""
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= 1
        self.ended.append(user)
        if user == USERS[-1]:
            self.is_done.set()
        if user in self._fails:
            raise self._fails[user]


async def run(old_calls: OldCalls, ending: Ending) -> None:
    """Let them be ended until the last user had the turn."""
    async with asyncio.timeout(5):
        running = asyncio.ensure_future(old_calls.run(ending.end))
        await ending.is_done.wait()
        await asyncio.sleep(0)
        running.cancel()


async def test_each_user_has_a_turn_some_at_once() -> None:
    old_calls, ending = OldCalls(), Ending()
    for user in (*USERS, *USERS):
        old_calls.note(user)

    await run(old_calls, ending)

    assert ending.ended == list(USERS)
    assert ending.most == AT_ONCE


@pytest.mark.parametrize("failure", [StoreUnavailable("away"), BrokerAway(), ValueError("a bug")])
async def test_what_cannot_be_ended_keeps_nobody_waiting(failure: Exception) -> None:
    old_calls, ending = OldCalls(), Ending({USERS[0]: failure})
    for user in USERS:
        old_calls.note(user)

    await run(old_calls, ending)

    assert ending.ended == list(USERS)


async def test_of_more_than_may_wait_the_timers_take_care() -> None:
    old_calls, ending = OldCalls(), Ending()
    for number in range(MAX_WAITING - 1):
        old_calls.note(UserId(f"crowd-{number}"))
    old_calls.note(USERS[-1])
    old_calls.note(UserId("one too many"))

    await run(old_calls, ending)

    assert len(ending.ended) == MAX_WAITING
    assert "one too many" not in ending.ended
