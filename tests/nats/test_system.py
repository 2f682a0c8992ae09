"""The whole system, each service logged in with its own password over TLS, does everything it does."""

import asyncio
import json
from functools import partial
from typing import Any

import pytest
from nats.aio.msg import Msg

from tests.nats.conftest import NAMESPACE
from tests.support.frames import ANSWER, CANDIDATE, HANGUP, OFFER
from tests.support.people import Person, establish
from tests.support.resuming import ResumingPeople, id_of
from tests.support.secured import KINDS, Intruder, SecuredCluster
from tests.support.system import System
from tests.support.waiting import until, until_true, within

pytestmark = pytest.mark.needs("openssl")


@pytest.fixture(autouse=True)
def nothing_was_refused(system: System, cluster: SecuredCluster) -> None:
    """Before each test; the last one looks once more after all others."""
    assert "permissions violation" not in system.log.lower()


async def test_a_call_is_set_up_resumed_and_ended(people: ResumingPeople) -> None:
    alice = await people.in_room("alice", gateway=1)
    bob = await people.in_room("bob", gateway=0)
    await alice.relays(OFFER, bob)
    held = await alice.holds(bob)
    await answer(bob, alice, held)
    had = await alice.relays(CANDIDATE, bob)
    await people.lose(bob, alice)
    missed = alice.say(CANDIDATE, bob)
    await alice.hears_ack(missed)
    again = await people.resumed(bob, id_of(had), gateway=1)
    assert await again.hear_frame() == missed
    await people.hears_status(alice, bob, "online")
    await again.relays(HANGUP, alice, {"reason": "hangup"})


async def answer(callee: Person, caller: Person, held: bytes) -> None:
    """Answer an offer: what was held comes then, before or after the ack."""
    frame = callee.say(ANSWER, caller)
    assert await caller.hear_frame() == frame
    heard = [await callee.hear_frame(), await callee.hear_frame()]
    assert held in heard
    heard.remove(held)
    assert json.loads(heard[0])["ack"] == "relayed"


async def test_an_offer_that_nobody_answers_ends_by_its_timer(people: ResumingPeople) -> None:
    alice = await people.in_room("alice", gateway=0)
    bob = await people.in_room("bob", gateway=1)
    await alice.relays(OFFER, bob)
    for person, peer in ((alice, bob), (bob, alice)):
        data = {"from": peer.user, "to": person.user, "data": {"reason": "timeout", "server": True}}
        await person.hears("WEBRTC_HANGUP", data)


async def test_a_gateway_that_stops_tells_its_clients(system: System, people: ResumingPeople) -> None:
    with system.extra("gateway") as leaving:
        people.ports.append(leaving.port)
        alice = await people.in_room("alice", gateway=0)
        bob = await people.in_room("bob", gateway=2)
        await establish(alice, bob)
        leaving.terminate()
        told = await bob.hears("RECONNECT", {"afterMs": 0, "jitterMs": 300})
        again = await people.resumed(bob, told, gateway=1)
        await alice.relays(CANDIDATE, again)


async def test_an_observer_hears_what_happened(cluster: SecuredCluster, people: ResumingPeople) -> None:
    async with Intruder.as_user(cluster, "observer") as observer:
        heard: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

        async def hear(message: Msg) -> None:
            heard.put_nowait((message.subject, json.loads(message.data)["user"]))

        await observer.client.subscribe(f"{NAMESPACE}.events.*", cb=hear)
        assert await observer.told() == []

        def knows_of_it(nth: int) -> bool:
            return f"{NAMESPACE}.events.*" in json.dumps(cluster.nodes[nth].monitored("/routez?subs=1"))

        for nth in (1, 2):  # the observer is on the other one
            await until_true(partial(asyncio.to_thread, knows_of_it, nth))
        alice = await people.in_room("alice", gateway=0)
        bob = await people.in_room("bob", gateway=1)
        await establish(alice, bob)
        facts: list[tuple[str, str]] = []
        while len(facts) < 4:
            fact = await within(heard.get())
            if fact[1] in (alice.user, bob.user) and fact not in facts:  # of two processes each may tell it
                facts.append(fact)
    assert facts == [
        (f"{NAMESPACE}.events.joined", alice.user),
        (f"{NAMESPACE}.events.joined", bob.user),
        (f"{NAMESPACE}.events.offered", alice.user),
        (f"{NAMESPACE}.events.answered", bob.user),
    ]


async def test_every_connection_is_encrypted_and_has_a_user(cluster: SecuredCluster, system: System) -> None:
    assert all(process.is_ready() for process in system.processes)

    def connections() -> list[dict[str, Any]]:
        asked = [node.monitored("/connz?auth=1") for node in cluster.nodes]
        return [each for answer in asked for each in answer.get("connections", [])]

    def are_the_systems() -> bool:  # and those of earlier tests are gone
        return sorted(each["authorized_user"] for each in connections()) == sorted(2 * KINDS)

    await until(are_the_systems)
    assert {each["tls_version"] for each in connections()} <= {"1.2", "1.3"}
    routes = [route for node in cluster.nodes for route in node.monitored("/routez")["routes"]]
    assert routes


def test_nothing_was_refused_and_no_password_was_logged(system: System, cluster: SecuredCluster) -> None:
    log = system.log + cluster.log
    assert "permissions violation" not in log.lower()
    assert "session opened" in log
    for user in KINDS:
        assert cluster.prepared.password(user) not in log
