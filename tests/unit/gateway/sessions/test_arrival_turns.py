"""Clients wait for their turn here; what is done with it is in `test_arrivals`."""

import asyncio

import pytest

from gateway.sessions.arrival_queue import OF_A_USER, Waiting
from gateway.sessions.arrival_turns import ArrivalTurns, HasGone, WaitedTooLong
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


async def test_who_has_gone_has_no_turn() -> None:
    turns = ArrivalTurns(lambda _: None)
    gone = Harness()
    gone.connection.abandon()
    with pytest.raises(HasGone):
        async with turns.turn(gone.connection, Waiting(ALICE, ADDRESS)):
            pass
