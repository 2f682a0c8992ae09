"""What clients see when a process of the system dies (README.md#what-it-promises-when-something-dies)."""

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from tests.support import frames
from tests.support.frames import CANDIDATE, HANGUP, OFFER, new_id, token
from tests.support.nats_server import NatsServer
from tests.support.people import People, Person, establish
from tests.support.raw_client import CUT, RawClient, Refused, upgrade
from tests.support.system import Service, System
from tests.support.waiting import until

MESSAGES = 400

REFUSED_WITHIN_S = 20.0
"""For a client to hear that its request failed: it is asked again for 5 s, on a machine that may be busy."""


async def test_when_a_gateway_is_killed_its_sessions_end_with_its_lease(
    hasty: System, hasty_people: People
) -> None:
    people = hasty_people
    alice = await people.enter("alice")
    with hasty.extra("gateway") as gateway:
        bob, carol = await two_on(gateway, people, alice)
        await establish(alice, bob)
        gateway.kill()
        assert (await bob.connection.ended()).code == CUT
        heard = [await alice.hear() for _ in range(3)]
    assert [event["data"]["from"] for event in heard if event["cmd"] == HANGUP] == [bob.user]
    left = [event["data"] for event in heard if event["cmd"] == "MEMBER_LEFT"]
    for person in (bob, carol):
        assert {"room": people.room, "userId": person.user, "reason": "disconnected"} in left
    await alice.is_refused(OFFER, bob, "TARGET_OFFLINE")
    again = await people.connect("bob", user=bob.user, claims={"join": [people.room]})
    await alice.hears_joined(people.room, bob.user)
    await establish(again, alice)
    await people.hear_nothing(alice, again)


async def test_a_session_resumed_before_the_lease_ends_goes_on(hasty: System, hasty_people: People) -> None:
    people = hasty_people
    alice = await people.enter("alice")
    with hasty.extra("gateway") as gateway:
        bob, carol = await two_on(gateway, people, alice)
        gateway.kill()
        again = await people.connect("bob", user=bob.user, claims={"join": [people.room]})
        await alice.hears_left(people.room, bob.user, "disconnected")
        await alice.hears_joined(people.room, bob.user)
        await establish(again, alice)
        for other in (alice, again):  # the lease has ended
            await other.hears_left(people.room, carol.user, "disconnected")
    await alice.relays(CANDIDATE, again)
    await people.hear_nothing(alice, again)


async def test_a_gateway_that_stops_closes_with_1012_and_ends_sessions(
    hasty: System, hasty_people: People
) -> None:
    alice = await hasty_people.enter("alice")
    with hasty.extra("gateway") as gateway:
        bob, carol = await two_on(gateway, hasty_people, alice)
        await establish(alice, bob)
        gateway.terminate()
        for person in (bob, carol):
            await is_sent_away(person)
        heard = [await alice.hear() for _ in range(3)]
        assert sorted(event["cmd"] for event in heard) == ["MEMBER_LEFT", "MEMBER_LEFT", HANGUP]
        assert gateway.wait() == 0
        with pytest.raises(ConnectionRefusedError):
            await hasty_people.connect("carol", port=gateway.port)


async def test_a_gateway_that_stops_lets_nobody_in(hasty: System, hasty_people: People) -> None:
    with hasty.extra("gateway") as gateway:
        # Alice keeps the gateway up by not saying goodbye.
        alice = await hasty_people.connect("alice", port=gateway.port)
        bob = await RawClient.dial(gateway.port)
        gateway.terminate()
        await until(lambda: gateway.get("/readyz")[0] == 503)
        bob.write(upgrade(f"/ws?token={token(new_id('bob'))}"))
        answer = await bob.read_answer()
        assert answer.status == 503
        assert json.loads(answer.body) == {"code": 503, "msg": "服务器正在下线", "reason": "DRAINING"}
        assert int(answer.headers["retry-after"]) > 0
        await bob.drop()
        await is_sent_away(alice)


async def is_sent_away(person: Person) -> None:
    """Expect the end of a gateway that is told to stop, and to wait for nobody."""
    await person.hears("RECONNECT", {"afterMs": 0, "jitterMs": 0})
    end = await person.connection.ended()
    assert (end.code, end.reason) == (1012, "server restarting")


async def two_on(gateway: Service, people: People, witness: Person) -> tuple[Person, Person]:
    """Let two users enter the room through one gateway."""
    bob, carol = [
        await people.connect(name, claims={"join": [people.room]}, port=gateway.port)
        for name in ("bob", "carol")
    ]
    await bob.hears_joined(people.room, carol.user)
    for person in (bob, carol):
        await witness.hears_joined(people.room, person.user)
    return bob, carol


async def test_timers_set_by_a_presence_that_was_killed_fire_elsewhere(nats_url: str, tmp_path: Path) -> None:
    with System(nats_url, tmp_path, settings={"OFFER_TIMEOUT": "2"}) as system:
        async with People(system) as people:
            alice, bob = await people.two()
            carol = await people.enter("carol")
            await alice.relays(OFFER, bob)
            await bob.relays(OFFER, carol)
            system.all("presence")[0].kill()
            system.add("presence")
            await alice.hears_hangup(bob.user, "timeout")
            await carol.hears_hangup(bob.user, "timeout")
            peers = [(await bob.hear())["data"]["from"] for _ in range(2)]
            assert sorted(peers) == sorted([alice.user, carol.user])
            await people.hear_nothing(alice, bob, carol)


async def test_a_gateway_stops_in_order_when_presence_has_stopped_before_it(
    nats_url: str, tmp_path: Path
) -> None:
    with System(nats_url, tmp_path) as system:
        async with People(system) as people:
            alice, bob = await people.call()
            (presence,) = system.all("presence")
            (gateway,) = system.all("gateway")
            presence.terminate()
            assert presence.wait() == 0
            gateway.terminate()
            # Unwarned, for RECONNECT goes through presence.
            for end in await asyncio.gather(alice.connection.ended(), bob.connection.ended()):
                assert (end.code, end.reason) == (1012, "server restarting")
            assert gateway.wait() == 0


@pytest.mark.parametrize("kind", ["router", "presence"])
async def test_nobody_notices_when_one_of_two_is_killed(
    kind: Literal["router", "presence"], nats_url: str, tmp_path: Path
) -> None:
    settings = {"LIMITS": "off"}  # more offers at once than one user may make to another
    with System(nats_url, tmp_path, gateways=2, routers=2, presences=2, settings=settings) as system:
        async with People(system) as people:
            alice, bob = await people.call()
            sent = [alice.say(CANDIDATE if number % 4 else OFFER, bob) for number in range(MESSAGES)]
            for number, frame in enumerate(sent):
                if number == MESSAGES // 4:  # in the middle of something
                    system.all(kind)[0].kill()
                assert await bob.hear_frame() == frame
            for frame in sent:
                await alice.hears_ack(frame)
            await people.hear_nothing(alice, bob)


@pytest.fixture
def alone(pip_nats: NatsServer, tmp_path: Path) -> Iterator[System]:
    """A system with a broker that no other test needs."""
    folder = tmp_path / "system"
    folder.mkdir()
    with System(pip_nats.url, folder, settings={"GATEWAY_LEASE": "60"}) as running:
        yield running


async def test_without_a_broker_sockets_stay_and_requests_fail(alone: System, pip_nats: NatsServer) -> None:
    async with People(alone) as people:
        alice, bob = await people.call()
        pip_nats.kill()
        began = time.monotonic()
        candidate = alice.say(CANDIDATE, bob)
        join = frames.command("JOIN", {"room": people.room})
        bob.connection.send(join)
        await alice.hears_refusal("INTERNAL", candidate)
        await bob.hears_refusal("INTERNAL", join)
        assert time.monotonic() - began < REFUSED_WITHIN_S
        await until(lambda: all(process.get("/readyz")[0] == 503 for process in alone.processes))
        assert all(process.get("/healthz") == (200, "alive\n") for process in alone.processes)
        with pytest.raises(Refused) as refused:
            await people.connect("carol")
        assert refused.value.answer.status == 503
        assert json.loads(refused.value.answer.body) == {
            "code": 503,
            "msg": "服务暂时不可用",
            "reason": "BROKER_UNAVAILABLE",
        }
        assert int(refused.value.answer.headers["retry-after"]) > 0
        await alice.pings()
        pip_nats.start()
        await until(lambda: all(process.is_ready() for process in alone.processes))
        alice.connection.send(candidate)  # a new try, for it was refused
        await alice.hears_ack(candidate)
        assert await bob.hear_frame() == candidate
        await alice.relays(HANGUP, bob)
        await establish(bob, alice)


def test_a_gateway_whose_port_is_taken_names_its_setting(nats_url: str, tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        System(nats_url, tmp_path, gateways=0, routers=0) as system,
        system.starting("gateway", LISTEN_PORT=str(port := taken.getsockname()[1])) as gateway,
    ):
        assert gateway.wait() == 69
        assert f"TIELINE_LISTEN_PORT: cannot listen on 127.0.0.1, port {port}: " in gateway.output
