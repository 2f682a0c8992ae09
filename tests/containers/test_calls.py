"""Calls through a load balancer that sends each connection wherever it likes."""

import asyncio

import pytest

from tests.containers.fleet import Fleet
from tests.support.frames import CANDIDATE, HANGUP
from tests.support.people import establish
from tests.support.raw_client import Refused
from tests.support.resuming import ResumingPeople, id_of
from tests.support.waiting import until_true

pytestmark = [pytest.mark.needs("docker", "haproxy", "debootstrap", "openssl"), pytest.mark.timeout(420)]


async def test_a_call_is_set_up_resumed_and_ended(people: ResumingPeople) -> None:
    alice, bob = await people.in_room("alice"), await people.in_room("bob")
    await establish(alice, bob)
    had = await alice.relays(CANDIDATE, bob)
    await bob.relays(CANDIDATE, alice)
    await people.lose(bob, alice)
    missed = alice.say(CANDIDATE, bob)
    await alice.hears_ack(missed)
    again = await people.resumed(bob, id_of(had))
    assert await again.hear_frame() == missed
    await people.hears_status(alice, bob, "online")
    await again.relays(HANGUP, alice, {"reason": "hangup"})


async def test_the_balancer_spreads_clients_over_the_gateways(fleet: Fleet, people: ResumingPeople) -> None:
    for _ in range(8):
        await people.come("somebody")

    async def are_spread() -> bool:
        here = [
            await asyncio.to_thread(gateway.count, "tieline_connections") for gateway in fleet.all("gateway")
        ]
        return min(here) >= 3

    await until_true(are_spread)


async def test_a_bad_token_is_refused_through_the_balancer(fleet: Fleet, people: ResumingPeople) -> None:
    with pytest.raises(Refused) as refusal:
        await people.come("mallory", claims={"exp": 1})
    assert refusal.value.answer.status == 401


def test_no_token_is_in_any_log(fleet: Fleet) -> None:
    assert "GET /ws" in fleet.balancer.log
    assert "token=" not in fleet.log
    assert "resume=" not in fleet.log


def test_no_part_has_been_refused_anything_by_the_brokers(fleet: Fleet) -> None:
    assert "session opened" in fleet.log
    assert "permissions violation" not in fleet.log.lower()
