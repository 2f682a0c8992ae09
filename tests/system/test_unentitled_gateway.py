"""A gateway that was taken over is not believed about tokens, where presence looks at them itself.

The gateway is played here: it says what only gateways may, with the tokens of its own client, and no other.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Final

import msgspec
import pytest
from nats.js.errors import NotFoundError

from tests.support.frames import CANDIDATE, token
from tests.support.partitions import buckets_of, mailboxes_of, partitions, subjects_of
from tests.support.people import Person, establish
from tests.support.resuming import ResumingPeople, id_of
from tests.support.system import System
from tests.support.waiting import PATIENCE_S
from tieline.runtime.nats_client import NatsClient
from tieline.wire.ids import (
    NO_TOKEN,
    AdmissionToken,
    ConnectionId,
    GatewayId,
    RoomId,
    SecretHash,
    UserId,
)
from tieline.wire.internal import codec
from tieline.wire.internal.answers import UNPROVEN, Done, Refused, SessionGone
from tieline.wire.internal.directions import OPERATIONS, GatewayRequest, PresenceReply
from tieline.wire.internal.rooms import JoinRoom, RoomMembers
from tieline.wire.internal.sessions import (
    EndSession,
    KeepLease,
    LeaseKept,
    Opened,
    OpenSession,
    Register,
    Regrant,
)
from tieline.wire.partitions import Partitions

MINE: Final = GatewayId("taken-over")
NOTHING: Final = SecretHash(b"")
DEN, HALL = RoomId("den"), RoomId("hall")
BAD: Final = Refused("BAD_TOKEN")


@pytest.fixture(scope="module")
def system(nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    settings = {"VERIFY_TOKENS": "on", "LOG_LEVEL": "debug"}
    folder = tmp_path_factory.mktemp("unentitled")
    with System(nats_url, folder, gateways=2, routers=1, presences=2, settings=settings) as running:
        yield running


@pytest.fixture
async def people(system: System) -> AsyncIterator[ResumingPeople]:
    async with ResumingPeople(system) as present:
        yield present


class TakenOver:
    """A gateway in the hands of somebody who has one honest client, Mallory."""

    def __init__(self, namespace: str) -> None:
        self.client = NatsClient()
        self._subjects = subjects_of(namespace)
        self._asked = 0

    async def ask(self, request: GatewayRequest) -> PresenceReply:
        """Ask presence, as any gateway may."""
        self._asked += 1
        reply = f"{self._subjects.gateway(MINE, 'reply')}.{self._asked}"
        heard: asyncio.Queue[bytes] = asyncio.Queue()
        listening = await self.client.listen(reply, "", lambda message: heard.put_nowait(message.data))
        subject = self._subjects.presence(OPERATIONS[type(request)])
        self.client.write(subject, reply, codec.encode(request))
        async with asyncio.timeout(PATIENCE_S):
            answer = codec.read_answer(request, await heard.get())
        await listening.unsubscribe()
        return answer


@pytest.fixture
async def gateway(system: System, nats_url: str) -> AsyncIterator[TakenOver]:
    taken_over = TakenOver(system.namespace)
    await taken_over.client.connect(nats_url, allow_reconnect=False)
    kept = await taken_over.ask(KeepLease(MINE, hears=True))
    assert isinstance(kept, LeaseKept)
    assert kept.tokens
    yield taken_over
    await taken_over.client.close()


def opening(user: str, its: str = NO_TOKEN, *join: RoomId, voice: bool = False) -> OpenSession:
    session = Partitions(partitions()).session_for(user, lambda: f"s-{user}-{time.monotonic_ns()}")
    names = session, MINE, ConnectionId(f"c-{time.monotonic_ns()}")
    by = AdmissionToken(its)
    return OpenSession(UserId(user), *names, voice, join, NOTHING, NOTHING, (*join,), token=by)


def registering(ask: OpenSession, rooms: dict[RoomId, int]) -> Register:
    names = ask.user, ask.session, ask.gateway, ask.connection
    return Register(*names, ask.voice, rooms, NOTHING, names_connection=True, token=ask.token)


def mallorys(user: str = "mallory", **claims: object) -> str:
    return token(user, {"rooms": [DEN], "voice": False, **claims})


async def test_it_begins_no_session_for_anybody_else(
    system: System, people: ResumingPeople, gateway: TakenOver
) -> None:
    alice, bob = await people.in_room("alice", gateway=0), await people.in_room("bob", gateway=1)
    await establish(alice, bob)
    before = refusals(system, "user"), refusals(system, "bad")
    for its, refusal in (
        (NO_TOKEN, Refused(UNPROVEN)),
        (mallorys(), BAD),
        (mallorys(alice.user, exp=int(time.time()) - 61), BAD),
        (token(alice.user, secret="another secret than that of this system"), BAD),
        ("forged", BAD),
    ):
        ask = opening(alice.user, its)
        assert await gateway.ask(ask) == refusal
        assert await gateway.ask(registering(ask, {})) == refusal
    await talk(alice, bob)
    assert (refusals(system, "user") - before[0], refusals(system, "bad") - before[1]) == (2, 6)
    assert system.events("a gateway asks for what no token entitles to")


async def talk(alice: Person, bob: Person) -> None:
    """They are still in their call."""
    await alice.relays(CANDIDATE, bob)
    await bob.relays(CANDIDATE, alice)


async def test_nor_for_somebody_who_is_nowhere(gateway: TakenOver) -> None:
    ask = opening("nobody-here")
    assert await gateway.ask(ask) == Refused(UNPROVEN)
    assert await gateway.ask(registering(ask, {DEN: 1})) == Refused(UNPROVEN)
    leaving = JoinRoom(ask.user, ask.session, DEN, connection=ask.connection)
    assert await gateway.ask(leaving) == SessionGone(replaced=False)


async def test_its_own_client_gets_what_its_token_says_and_no_more(gateway: TakenOver) -> None:
    its = mallorys()
    for too_much in (
        opening("mallory", its, voice=True),
        opening("mallory", its, DEN, HALL),
        msgspec.structs.replace(opening("mallory", its), granted=None),
    ):
        assert await gateway.ask(too_much) == BAD
    ask = opening("mallory", its, DEN)
    assert isinstance(await gateway.ask(ask), Opened)
    joining = JoinRoom(ask.user, ask.session, HALL, connection=ask.connection, number=1)
    assert await gateway.ask(joining) == Refused("ROOM_FORBIDDEN")
    assert await gateway.ask(registering(ask, {DEN: 1, HALL: 1})) == BAD
    newer = Regrant(ask.user, ask.session, True, (DEN, HALL), (DEN,), ask.connection, 2)
    for by, refusal in ((NO_TOKEN, Refused(UNPROVEN)), (its, BAD), (mallorys("somebody", voice=True), BAD)):
        asked = msgspec.structs.replace(newer, token=AdmissionToken(by))
        assert await gateway.ask(asked) == refusal
    both = AdmissionToken(mallorys(rooms=[DEN, HALL], voice=True))
    assert await gateway.ask(msgspec.structs.replace(newer, token=both)) == Done()
    joined = await gateway.ask(msgspec.structs.replace(joining, number=3))
    assert isinstance(joined, RoomMembers)
    await gateway.ask(EndSession(ask.user, ask.connection, resumable=False))


async def test_honest_gateways_show_what_they_were_shown(people: ResumingPeople) -> None:
    alice, bob = await people.in_call()
    newer = token(alice.user, {"rooms": [people.room, "annex"]})
    await alice.asks("REFRESH_TOKEN", {"token": newer})
    await alice.asks("JOIN", {"room": "annex"})
    await alice.asks_in_vain("JOIN", {"room": "attic"}, "ROOM_FORBIDDEN")
    last = await bob.relays(CANDIDATE, alice)
    alice = await people.resume(alice, id_of(last), gateway=1)
    assert alice.welcome["resumed"]
    await talk(alice, bob)


async def test_no_token_is_logged_or_stored(system: System, people: ResumingPeople, nats_url: str) -> None:
    alice, bob = await people.in_call()
    its = token(alice.user)
    await alice.asks("REFRESH_TOKEN", {"token": its})
    await talk(alice, bob)
    signature = its.rpartition(".")[2]
    assert signature not in system.log
    client = NatsClient()
    await client.connect(nats_url, allow_reconnect=False)
    streams = client.jetstream()
    kept = 0
    for stream in (*buckets_of(system.namespace), *mailboxes_of(system.namespace)):
        state = (await streams.stream_info(stream)).state
        for number in range(state.first_seq, state.last_seq + 1):
            try:
                message = await streams.get_msg(stream, number)
            except NotFoundError:  # removed since
                continue
            kept += 1
            assert signature.encode() not in (message.data or b"")
    assert kept
    await client.close()


def refusals(system: System, reason: str) -> float:
    return system.count("presence", "tieline_presence_tokens_refused_total", reason=reason)
