"""What time it is for presence: the broker's, whatever the machine's own clock says."""

import asyncio
from collections import deque

import pytest

from presence.broker_clock import BrokerClock
from tieline.runtime.clock_watch import ClockWatch
from tieline.runtime.message import Message
from tieline.runtime.requests import NoAnswer, Requests

AT_S = 1_700_000_000
TAKEN = b'{"ts":"2023-11-14T22:13:20Z"}'  # AT_S
A_SECOND_LATER = b'{"ts":"2023-11-14T22:13:21Z"}'
OF_AN_OLD_BROKER = b"{}"


class Leader(Requests):
    """A stream's leader that answers so, after so many seconds."""

    def __init__(self, *answers: tuple[bytes | None, float]) -> None:
        self._answers = deque(answers)
        self.monotonic = 100.0
        self.has_said_all = asyncio.Event()

    async def ask_once(self, *_: object, **__: object) -> Message:
        """Answer, or do not."""
        if not self._answers:
            self.has_said_all.set()
            raise NoAnswer("subject")
        answer, took_s = self._answers.popleft()
        self.monotonic += took_s
        if answer is None:
            raise NoAnswer("subject")
        return Message("", "", answer, b"")


async def clock_of(leader: Leader, own_s: float = 0) -> BrokerClock:
    """Have a clock that has heard all that a leader says; the machine's own one says `own_s`."""
    clock = BrokerClock(leader, "KV_t", ClockWatch(), lambda: leader.monotonic, lambda: own_s)
    await clock.known()
    keeping = asyncio.create_task(clock.keep(every_s=0))
    await leader.has_said_all.wait()
    keeping.cancel()
    return clock


async def test_it_is_the_broker_s_time_and_goes_on() -> None:
    leader = Leader((TAKEN, 0.2))
    clock = await clock_of(leader)
    assert clock.now_ms() == AT_S * 1000 + 100  # it said so half the round trip ago
    leader.monotonic += 7
    assert clock.now_ms() == AT_S * 1000 + 7100


@pytest.mark.parametrize("own_ms", [0, 40, 200])
async def test_a_clock_that_may_be_right_is_gone_by(own_ms: int) -> None:
    clock = await clock_of(Leader((TAKEN, 0.2)), AT_S + own_ms / 1000)
    assert clock.now_ms() == AT_S * 1000 + own_ms  # the broker said so within the last 200 ms


@pytest.mark.parametrize("own_ms", [-2, 202])
async def test_a_clock_that_cannot_be_right_is_not(own_ms: int) -> None:
    clock = await clock_of(Leader((TAKEN, 0.2)), AT_S + own_ms / 1000)
    assert clock.now_ms() == AT_S * 1000 + 100


async def test_the_quickest_of_the_last_answers_is_believed() -> None:
    leader = Leader((TAKEN, 0.0), (A_SECOND_LATER, 4.0))
    clock = await clock_of(leader)
    assert clock.now_ms() == AT_S * 1000 + 4000


async def test_a_leader_of_another_time_is_believed_soon() -> None:
    leader = Leader((TAKEN, 0.0), *[(A_SECOND_LATER, 0.5)] * 3)
    clock = await clock_of(leader)
    assert clock.now_ms() == AT_S * 1000 + 1250


@pytest.mark.parametrize("silence", [None, OF_AN_OLD_BROKER])
async def test_nothing_begins_before_the_broker_has_said_its_time(silence: bytes | None) -> None:
    leader = Leader((silence, 0.0), (TAKEN, 0.0))
    clock = BrokerClock(leader, "KV_t", ClockWatch(), lambda: leader.monotonic)
    await clock.known()
    assert clock.now_ms() == AT_S * 1000
