"""One service after the other is taken over, and says whatever it may to all others, changed in places.

Nobody's session ends, nothing is delivered that nobody sent, no process ends or meets a bug, and calls go on.
What a service that was taken over *can* do is written down, too (docs/trust.md), and tried beside this.
"""

import asyncio
import base64
import secrets
import time
from typing import Final

import msgspec
import pytest

from presence.rules.user import User
from tests.nats.conftest import NAMESPACE
from tests.nats.neighbour import SUBJECTS, Known, Neighbour
from tests.support.examples import scaled
from tests.support.frames import ANSWER, CANDIDATE, HANGUP, OFFER, new_id
from tests.support.partitions import buckets_of, subject_of_key
from tests.support.people import Person, establish
from tests.support.resuming import ResumingPeople, id_of
from tests.support.secured import KINDS, Intruder, SecuredCluster
from tests.support.seed import SAME_AGAIN, SEED
from tests.support.system import Kind, System
from tests.support.waiting import PATIENCE_S
from tieline.runtime.message import Message
from tieline.wire import jetstream
from tieline.wire.checks import UNREADABLE
from tieline.wire.ids import ConnectionId, GatewayId, RoomId, SessionId, UserId
from tieline.wire.internal import codec
from tieline.wire.internal.answers import SessionGone
from tieline.wire.internal.backend import AddMember
from tieline.wire.internal.sessions import CloseSession
from tieline.wire.permissions import permissions
from tieline.wire.subjects import Keys

pytestmark = pytest.mark.needs("openssl")

MESSAGES: Final = scaled(600)
"""Of each service that was taken over, in a whole run."""

AT_ONCE: Final = 30
"""Between two moments at which everything has to be well."""


def known(person: Person, system: System, gateway: int) -> Known:
    names = [GatewayId(line["gateway"]) for line in system.events("gateway starts")]
    return Known(UserId(person.user), SessionId(person.welcome["sessionId"]), names[gateway])


async def talk(alice: Person, bob: Person) -> None:
    """Each hears what the other says, byte for byte, and nothing else."""
    await alice.relays(CANDIDATE, bob)
    await bob.relays(CANDIDATE, alice)
    await alice.pings()
    await bob.pings()


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("service", KINDS)
async def test_a_service_that_was_taken_over_harms_nobody(
    cluster: SecuredCluster, system: System, people: ResumingPeople, service: Kind
) -> None:
    alice, bob = await people.in_room("alice", gateway=0), await people.in_room("bob", gateway=1)
    await establish(alice, bob)
    den = RoomId(new_id("den"))
    mallory = await people.come("mallory", gateway=0, claims={"join": [den]})
    honest = [known(alice, system, 0), known(bob, system, 1)]
    neighbour = Neighbour(SEED, service, honest, known(mallory, system, 0), den)
    logged, failed = len(system.log), broker_errors(system)
    read_again = len(system.events("caught up with the mailbox"))

    async with Intruder.as_user(cluster, service) as intruder:
        for number, said in enumerate(neighbour.says(MESSAGES)):
            intruder.client.write(said.subject, said.reply, said.payload, said.headers)
            if number % AT_ONCE == 0:
                await intruder.told()  # what is not permitted to it is tried elsewhere
                await talk(alice, bob)
        await intruder.told()
        await talk(alice, bob)

    assert all(process.is_ready() for process in system.processes), SAME_AGAIN
    new = system.log[logged:]
    assert "Traceback" not in new, f"{SAME_AGAIN}\n{new}"
    assert "a bug" not in new
    assert "session ended" not in new
    assert broker_errors(system) == failed
    if service != "presence":  # whose the logs of rooms are: a gateway looks once more when one is odd
        assert len(system.events("caught up with the mailbox")) == read_again  # nobody was held back
    assert unreadable(system) > 0
    await alice.relays(HANGUP, bob, {"reason": "hangup"})
    await establish(bob, alice)


def broker_errors(system: System) -> float:
    return sum(system.count(kind, "tieline_nats_errors_total") for kind in KINDS)


def unreadable(system: System) -> float:
    return sum(system.count(kind, "tieline_unreadable_messages_total") for kind in KINDS)


@pytest.mark.parametrize("of", ["user", "pair", "roster entry"])
async def test_what_a_router_can_destroy_is_made_again(
    cluster: SecuredCluster, system: System, people: ResumingPeople, of: str
) -> None:
    """JetStream answers a router's publish with its own rights, wherever it is told to: also in a record."""
    alice, bob = await people.in_room("alice", gateway=0), await people.in_room("bob", gateway=1)
    keys = {
        "user": Keys.user(UserId(alice.user)),
        "pair": Keys.pair(UserId(alice.user), UserId(bob.user)),
        "roster entry": Keys.room(RoomId(people.room), UserId(alice.user)),
    }
    await establish(alice, bob)
    before = unreadable(system)
    async with Intruder.as_user(cluster, "router") as router:
        await router.client.publish(
            SUBJECTS.mailbox_question(), b"", reply=subject_of_key(NAMESPACE, keys[of])
        )
        assert await router.told() == []
    if of == "user":  # which is found by a write: of an offer presence decides on what it remembers
        await alice.asks("JOIN", {"room": new_id("room")})
        await bob.hears_joined(people.room, alice.user)
    await alice.relays(OFFER, bob)
    await bob.relays(ANSWER, alice)
    assert unreadable(system) > before or of == "roster entry"
    assert "Traceback" not in system.log


async def test_a_gateway_closes_no_connection_of_another_one(
    cluster: SecuredCluster, system: System, people: ResumingPeople
) -> None:
    """It hears what another gateway is sent, and may have the broker send it something: it knows no names."""
    alice, bob = await people.in_room("alice", gateway=0), await people.in_room("bob", gateway=1)
    await establish(alice, bob)
    of_alice = known(alice, system, 0)
    reply = f"{SUBJECTS.gateway(of_alice.gateway, 'reply')}.1"
    async with Intruder.as_user(cluster, "gateway") as intruder:
        order = CloseSession(of_alice.user, of_alice.session, ConnectionId("c-guessed"), 4500)
        for payload, aim in (
            (codec.encode(order), SUBJECTS.gateway(of_alice.gateway, "close")),
            (codec.encode([(0, SessionGone(replaced=True))]), reply),
            (b'{"cmd":"WEBRTC_HANGUP"}', SUBJECTS.live(of_alice.user, of_alice.session)),
        ):
            mark = SUBJECTS.mark(GatewayId("intruder"))
            question = msgspec.json.encode({"last_by_subj": mark})
            await intruder.client.publish(mark, payload)
            await intruder.client.publish(jetstream.direct_get(SUBJECTS.mailbox()), question, reply=aim)
            batch = jetstream.messages_of(mark, 1, 10, 10_000)
            await intruder.client.publish(jetstream.direct_get(SUBJECTS.mailbox()), batch, reply=aim)
        assert await intruder.told() == []
    await talk(alice, bob)


async def test_nothing_that_gateways_hear_names_a_connection(
    cluster: SecuredCluster, system: System, people: ResumingPeople
) -> None:
    """It hears what all gateways are told: who named another one's connection would speak for its session."""
    heard: list[bytes] = []
    async with (
        Intruder.as_user(cluster, "gateway") as gateway,
        Intruder.as_user(cluster, "presence") as presence,
    ):
        for pattern in permissions(SUBJECTS)["gateway"].hear:
            await gateway.client.listen(pattern, "", lambda message: heard.append(message.data))
        assert await gateway.told() == []
        alice, bob = await people.in_room("alice", gateway=0), await people.in_room("bob", gateway=1)
        await establish(alice, bob)
        last = await bob.relays(CANDIDATE, alice)
        alice = await people.resumed(alice, id_of(last), gateway=1)
        await talk(alice, bob)
        await put_in(cluster, UserId(alice.user), RoomId(new_id("hall")))
        assert b"MEMBER_JOINED" in await alice.hear_frame()
        named = [await connection_of(presence, UserId(person.user)) for person in (alice, bob)]
        with system.extra("gateway") as leaving:
            people.ports.append(leaving.port)
            carol = await people.come("carol", gateway=-1)
            named.append(await connection_of(presence, UserId(carol.user)))
            leaving.terminate()
            assert b"RECONNECT" in await carol.hear_frame()
        assert await gateway.told() == []
    assert any(codec.is_opened(payload) for payload in heard)
    assert any(is_join_order(payload) for payload in heard)
    assert not [name for name in named if any(name.encode() in payload for payload in heard)]


async def put_in(cluster: SecuredCluster, user: UserId, room: RoomId) -> None:
    """Make a user a member of a room, as the API does."""
    number = time.time_ns() // 1000
    order = AddMember(secrets.token_hex(16), 60.0, user, room, number)
    async with Intruder.as_user(cluster, "api") as api:
        api.client.write(SUBJECTS.presence("add"), f"{NAMESPACE}.api.a-1.reply.1", codec.encode(order))
        assert await api.told() == []


def is_join_order(payload: bytes) -> bool:
    try:
        codec.decode_join_order(payload)
    except UNREADABLE:
        return False
    return True


async def connection_of(presence: Intruder, user: UserId) -> str:
    """Read in the bucket which connection has the session of a user."""
    answers: asyncio.Queue[Message] = asyncio.Queue()
    inbox = f"{NAMESPACE}.presence.intruder.inbox.1"
    await presence.client.listen(inbox, "", answers.put_nowait)
    last = msgspec.json.encode({"last_by_subj": subject_of_key(NAMESPACE, Keys.user(user))})
    bucket = buckets_of(NAMESPACE)[SUBJECTS.place_of(user)]
    subject = jetstream.get_from_leader(bucket)
    presence.client.write(subject, inbox, last)
    async with asyncio.timeout(PATIENCE_S):
        answer = msgspec.json.decode((await answers.get()).data)
    record = msgspec.msgpack.decode(base64.b64decode(answer["message"]["data"]), type=User)
    return record.session.connection
