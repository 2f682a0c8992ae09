"""Clients wait for their turn here; what is done with it is in `test_arrivals`."""

import asyncio
import contextlib

import pytest

from gateway.sessions.arrival_pace import MEASURED_SHORTEST_S, SHORTEST_SPREAD_S
from gateway.sessions.arrival_queue import AT_ONCE, OF_A_USER, Waiting
from gateway.sessions.arrival_turns import LONGER_S, ArrivalTurns, HasGone, WaitedTooLong
from tests.unit.gateway.client.harness import Harness
from tieline.wire.ids import UserId

ALICE = UserId("alice")
ADDRESS = "192.0.2.1"


async def test_a_client_has_its_turn_at_once_when_there_is_room() -> None:
    told: list[float] = []
    turns = ArrivalTurns(told.append)
    async with turns.turn(Harness().connection, Waiting(ALICE, ADDRESS)):
        pass
    assert told == []


async def test_the_next_one_has_its_turn_when_a_place_is_free() -> None:
    turns = ArrivalTurns(lambda _: None)
    order: list[int] = []

    async def come(number: int) -> None:
        async with turns.turn(Harness().connection, Waiting(ALICE, ADDRESS)):
            order.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*(come(number) for number in range(OF_A_USER + 2)))
    assert sorted(order) == list(range(OF_A_USER + 2))


async def test_who_waits_too_long_is_refused_and_others_are_expected() -> None:
    told: list[float] = []
    turns = ArrivalTurns(told.append, waiting_s=0.0)
    async with (
        turns.turn(Harness().connection, Waiting(ALICE, ADDRESS)),
        turns.turn(Harness().connection, Waiting(ALICE, ADDRESS)),
    ):
        with pytest.raises(WaitedTooLong):
            async with turns.turn(Harness().connection, Waiting(ALICE, ADDRESS)):
                pass
    assert told == [0.0]
    assert turns.spread_s() > 0


async def let_in(turns: ArrivalTurns, count: int) -> None:
    """Let so many clients in, of a user each."""
    for number in range(count):
        async with turns.turn(Harness().connection, Waiting(UserId(f"u-{number}"), ADDRESS)):
            pass


async def test_who_would_be_let_in_soon_waits_on() -> None:
    told: list[float] = []
    turns = ArrivalTurns(told.append, waiting_s=0.0)
    await let_in(turns, 1)
    is_in = asyncio.Event()

    async def come() -> None:
        async with turns.turn(Harness().connection, Waiting(ALICE, ADDRESS)):
            is_in.set()

    async with asyncio.TaskGroup() as tasks, contextlib.AsyncExitStack() as having_turn:
        for _ in range(OF_A_USER):
            await having_turn.enter_async_context(turns.turn(Harness().connection, Waiting(ALICE, ADDRESS)))
        coming = tasks.create_task(come())
        for _ in range(10):
            await asyncio.sleep(0)
        assert not coming.done()
        assert told == [0.0, LONGER_S], "it is expected for as long as it waits"
        await having_turn.aclose()
    assert is_in.is_set()


async def test_those_who_are_refused_are_told_by_the_pace_of_those_let_in() -> None:
    turns = ArrivalTurns(lambda _: None)
    assert turns.spread_s() == SHORTEST_SPREAD_S
    await let_in(turns, 4 * AT_ONCE)
    assert turns.spread_s() == MEASURED_SHORTEST_S


async def test_who_had_its_turn_and_is_not_let_in_is_no_pace() -> None:
    turns = ArrivalTurns(lambda _: None)
    for _ in range(4 * AT_ONCE):
        with pytest.raises(TimeoutError):
            async with turns.turn(Harness().connection, Waiting(ALICE, ADDRESS)):
                raise TimeoutError
    assert turns.spread_s() == SHORTEST_SPREAD_S


async def test_those_who_were_refused_and_come_back_count_as_waiting() -> None:
    turns = ArrivalTurns(lambda _: None)
    for _ in range(200):
        turns.asked_back(10)
    assert turns.spread_s() > SHORTEST_SPREAD_S


async def test_who_has_gone_has_no_turn() -> None:
    turns = ArrivalTurns(lambda _: None)
    gone = Harness()
    gone.connection.abandon()
    with pytest.raises(HasGone):
        async with turns.turn(gone.connection, Waiting(ALICE, ADDRESS)):
            pass
