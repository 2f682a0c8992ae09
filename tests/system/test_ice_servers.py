"""ICE_SERVERS, and what a real TURN server makes of the credentials (docs/protocol.md#3-commands)."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from aioice import stun
from aioice.turn import TurnClientUdpProtocol

from tests.support.coturn import TURN_SECRET, Coturn
from tests.support.frames import Json
from tests.support.http_get import HOST
from tests.support.people import People, Person
from tests.support.waiting import until_true
from tests.system.conftest import NewGateway
from tests.unit.wire.samples import HOSTILE_IDS
from tieline.cli.call.peer import Peer
from tieline.cli.call.sound import tones
from tieline.client import IceServer
from tieline.wire.ids import is_valid_id

UNAUTHORIZED = 401


@pytest.fixture(scope="module")
def coturn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coturn]:
    with Coturn(tmp_path_factory.mktemp("coturn")) as running:
        yield running


async def connect(people: People, new_gateway: NewGateway, name: str, **settings: str) -> Person:
    """Connect a user to a gateway of its own, which has these settings."""
    return await people.connect(name, port=new_gateway(**settings).port)


@asynccontextmanager
async def relaying(coturn: Coturn, username: str, credential: str) -> AsyncIterator[TurnClientUdpProtocol]:
    """Have a relay allocated while the block runs; raises `stun.TransactionFailed` when it is refused."""
    server = (HOST, coturn.port)
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: TurnClientUdpProtocol(server, username, credential, lifetime=600, channel_refresh_time=500),
        sock=coturn.new_client(),
    )
    try:
        await protocol.connect()
        yield protocol
        await protocol.delete()
    finally:
        transport.close()


async def is_refused(coturn: Coturn, username: str, credential: str) -> bool:
    try:
        async with relaying(coturn, username, credential):
            return False
    except stun.TransactionFailed as refused:
        return refused.response.error_code == UNAUTHORIZED


def relay_of(reply: Json) -> Json:
    """The entry of the TURN server, which must be the last."""
    entry: Json = reply["iceServers"][-1]
    return entry


async def test_nothing_is_told_where_nothing_is_configured(people: People) -> None:
    alice = await people.connect("alice")
    assert await alice.asks("ICE_SERVERS", None) == {"iceServers": [], "ttl": 3600}


@pytest.mark.needs("coturn")
@pytest.mark.parametrize("system", ["one"], indirect=True)
async def test_a_relay_lets_in_whoever_has_our_credential_and_nobody_else(
    new_gateway: NewGateway, people: People, coturn: Coturn
) -> None:
    settings = {"STUN_URLS": "stun:a,stun:b", "TURN_URLS": coturn.url, "TURN_SECRET": TURN_SECRET}
    alice = await connect(people, new_gateway, "alice", **settings)

    before = int(time.time())
    reply = await alice.asks("ICE_SERVERS", None)

    stun_entry, relay = reply["iceServers"]
    assert (stun_entry, reply["ttl"]) == ({"urls": ["stun:a", "stun:b"]}, 3600)
    assert relay.keys() == {"urls", "username", "credential"}
    assert relay["urls"] == [coturn.url]
    expiry, _, user = relay["username"].partition(":")
    assert user == alice.user
    assert before + 3600 <= int(expiry) <= time.time() + 3600
    async with relaying(coturn, relay["username"], relay["credential"]) as allocation:
        assert allocation.relayed_address is not None
        assert allocation.relayed_address[0] == HOST
    later = f"{int(expiry) + 1}:{user}"
    for username, credential in (
        (relay["username"], relay["credential"][::-1]),
        (later, relay["credential"]),
        (f"{expiry}:{user}x", relay["credential"]),
        (user, relay["credential"]),
    ):
        assert await is_refused(coturn, username, credential)


@pytest.mark.needs("coturn")
@pytest.mark.parametrize("system", ["one"], indirect=True)
async def test_a_relay_lets_in_users_of_any_name(
    new_gateway: NewGateway, people: People, coturn: Coturn
) -> None:
    gateway = new_gateway(TURN_URLS=coturn.url, TURN_SECRET=TURN_SECRET)
    names = [name for name in HOSTILE_IDS if is_valid_id(name)]
    for name in (*names, "2:1", "Union of Select", "unionselect", "x" * 128, "界" * 42, "a\xa0b"):
        person = await people.connect("", user=name, port=gateway.port)
        relay = relay_of(await person.asks("ICE_SERVERS", None))
        async with relaying(coturn, relay["username"], relay["credential"]) as allocation:
            assert allocation.relayed_address is not None, name


@pytest.mark.needs("coturn")
@pytest.mark.parametrize("system", ["one"], indirect=True)
async def test_a_credential_ends_but_a_relay_that_is_in_use_stays(
    new_gateway: NewGateway, people: People, coturn: Coturn
) -> None:
    alice = await connect(
        people, new_gateway, "alice", TURN_URLS=coturn.url, TURN_SECRET=TURN_SECRET, TURN_TTL="5"
    )
    relay = relay_of(await alice.asks("ICE_SERVERS", None))
    async with relaying(coturn, relay["username"], relay["credential"]) as allocation:

        async def has_ended() -> bool:
            return await is_refused(coturn, relay["username"], relay["credential"])

        await until_true(has_ended)
        refresh = stun.Message(message_method=stun.Method.REFRESH, message_class=stun.Class.REQUEST)
        refresh.attributes["LIFETIME"] = 600
        response, _ = await allocation.request_with_retry(refresh)
        assert response.attributes["LIFETIME"] == 600
    fresh = relay_of(await alice.asks("ICE_SERVERS", None))
    async with relaying(coturn, fresh["username"], fresh["credential"]):
        pass


@pytest.mark.needs("coturn")
@pytest.mark.parametrize("system", ["one"], indirect=True)
async def test_a_peer_gets_through_the_relay_only_with_our_credential(
    new_gateway: NewGateway, people: People, coturn: Coturn
) -> None:
    alice = await connect(people, new_gateway, "alice", TURN_URLS=coturn.url, TURN_SECRET=TURN_SECRET)
    relay = relay_of(await alice.asks("ICE_SERVERS", None))
    good = IceServer(tuple(relay["urls"]), relay["username"], relay["credential"])
    forged = IceServer(good.urls, good.username, good.credential[::-1])
    for server, expected in ((good, True), (forged, False)):
        peer = Peer(tones(440), [server])
        offer = await peer.offer()
        await peer.close()
        assert any(" typ relay" in line["candidate"] for line in offer.candidates) is expected
