"""Gateways that speak TLS themselves: to clients, behind a balancer, and with a certificate that changes."""

import json
import signal
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

import pytest
from cryptography import x509

from tests.support.certificates import Pair, self_signed
from tests.support.frames import CANDIDATE, command, new_id, token
from tests.support.haproxy import HAProxy, shipped_haproxy
from tests.support.http_get import HOST
from tests.support.people import People, Person, establish
from tests.support.raw_client import Ended, RawClient, upgrade
from tests.support.secured import Prepared
from tests.support.system import Service, System
from tests.support.waiting import until, until_true

pytestmark = pytest.mark.parametrize("system", ["one"], indirect=True)

RELOADS = "tieline_tls_reloads_total"
EXPIRES = "tieline_tls_certificate_expires_timestamp_seconds"


class Tls(NamedTuple):
    """A gateway that speaks TLS, and its certificate."""

    gateway: Service
    pair: Pair


@pytest.fixture(scope="module")
def tls(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tls]:
    """Have one beside the one that speaks none. The last test that uses it changes its certificate."""
    pair = self_signed(tmp_path_factory.mktemp("certificate"), "first")
    settings = {"TLS_CERT": str(pair.certificate), "TLS_KEY": str(pair.key), "MAX_HANDSHAKES": "20"}
    with system.extra("gateway", **settings) as gateway:
        yield Tls(gateway, pair)


async def test_a_gateway_says_where_and_how_it_listens(system: System, tls: Tls) -> None:
    def said() -> bool:
        """Look for both: logs are written behind what they tell of."""
        listening = {
            (line["scheme"], line["host"], line["port"]) for line in system.events("gateway listens")
        }
        return listening >= {("wss", HOST, tls.gateway.port), ("ws", HOST, system.ports[0])}

    await until(said)


async def enter(port: int, context: ssl.SSLContext, user: str, **claims: object) -> Person:
    query = urlencode({"token": token(user, claims), "acks": "1"})
    person = Person(user, await RawClient.open(port, f"/ws?{query}", tls=context), acks=True)
    assert (await person.hear())["cmd"] == "WELCOME"
    return person


async def shown(port: int, context: ssl.SSLContext) -> str:
    """Connect; returns for whom the certificate is that is shown."""
    client = await RawClient.dial(port, tls=context)
    certificate = client.tls.getpeercert(binary_form=True)
    await client.drop()
    assert certificate is not None
    return x509.load_der_x509_certificate(certificate).subject.rfc4514_string().removeprefix("CN=")


def trusting(*pairs: Pair) -> ssl.SSLContext:
    context = pairs[0].trusting()
    for pair in pairs[1:]:
        context.load_verify_locations(str(pair.certificate))
    return context


async def test_a_call_between_a_client_of_tls_and_one_of_none(people: People, tls: Tls) -> None:
    room = new_id("room")
    alice = await enter(tls.gateway.port, trusting(tls.pair), new_id("alice"), join=[room])
    bob = await people.connect("bob", claims={"join": [room]})
    await alice.hears_joined(room, bob.user)
    await establish(alice, bob)
    for size in (10, 20_000, 60_000):
        await alice.relays(CANDIDATE, bob, {"x": "y" * size})
        await bob.relays(CANDIDATE, alice, {"x": "y" * size})
    assert alice.connection.tls.version() in ("TLSv1.2", "TLSv1.3")
    assert (await alice.connection.close()).code == 1000


async def test_who_speaks_no_tls_is_refused_and_said(system: System, tls: Tls) -> None:
    failed = {"outcome": "failed"}
    before = tls.gateway.count("tieline_tls_handshakes_total", **failed)
    client = await RawClient.dial(tls.gateway.port)
    client.write(b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n")
    with pytest.raises(Ended):
        await client.read_answer()
    await client.drop()
    await until(lambda: system.events("TLS handshake failed", why="HTTP_REQUEST"))
    assert tls.gateway.count("tieline_tls_handshakes_total", **failed) == before + 1


async def test_strangers_that_begin_tls_displace_their_own(system: System, tls: Tls) -> None:
    hello = ssl.MemoryBIO()
    stranger = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), hello, server_hostname="x")
    with pytest.raises(ssl.SSLWantReadError):
        stranger.do_handshake()
    first = hello.read()
    strangers = [await RawClient.dial(tls.gateway.port, source="127.0.0.2") for _ in range(60)]
    for client in strangers:
        client.write(first)
    for _ in range(3):
        person = await enter(tls.gateway.port, trusting(tls.pair), new_id("newcomer"))
        await person.connection.drop()
    assert tls.gateway.count("tieline_half_open_cut_total", why="half_open") >= 40
    assert system.events("half-open connection cut", address="127.0.0.2")
    for client in strangers:
        await client.drop()


async def test_a_flood_over_tls_is_read_no_faster_than_any(system: System, tls: Tls) -> None:
    before = tls.gateway.count("tieline_process_resident_memory_bytes")
    flooder = await enter(tls.gateway.port, trusting(tls.pair), new_id("flooder"))
    other = await enter(tls.gateway.port, trusting(tls.pair), new_id("other"))
    for number in range(500):  # 30 MB, of which the limit lets a few in
        flooder.connection.send(command("PING", {"x": "y" * 60_000}, f"p-{number}"))
    for _ in range(20):
        await other.pings()
    assert tls.gateway.count("tieline_process_resident_memory_bytes") - before < 32 * 2**20
    assert tls.gateway.count("tieline_waiting_bytes", direction="in") < 512 * 1024
    await flooder.connection.drop()
    await other.connection.drop()


@pytest.mark.needs("haproxy")
async def test_a_balancer_passes_tls_on_and_says_for_whom(system: System, tmp_path: Path) -> None:
    pair = self_signed(tmp_path)
    settings = {
        "TLS_CERT": str(pair.certificate),
        "TLS_KEY": str(pair.key),
        "PROXY_PROTOCOL": "1",
        "TRUSTED_PROXIES": "127.0.0.1",
    }
    user = new_id("far-away")
    with (
        system.extra("gateway", **settings) as gateway,
        HAProxy(tmp_path, gateway.port, "send-proxy-v2") as proxy,
    ):
        client = await RawClient.dial(proxy.port, source="127.0.0.9", tls=pair.trusting())
        client.write(upgrade(f"/ws?{urlencode({'token': token(user)})}"))
        assert (await client.read_answer()).status == 101
        assert json.loads(await client.receive())["data"]["userId"] == user
        await client.drop()
    assert system.events("session opened", user=user, address="127.0.0.9")


@pytest.mark.needs("haproxy", "openssl")
async def test_the_shipped_balancer_ends_tls_itself(system: System, tmp_path: Path) -> None:
    public = Prepared(tmp_path).folder / "public"
    (gateway,) = system.all("gateway")[:1]
    trusted = ssl.create_default_context(cafile=str(public / "tls.crt"))  # for 127.0.0.1, too
    with shipped_haproxy(tmp_path, (gateway.port, gateway.ops_port), public / "tls.pem") as ports:

        async def is_let_in() -> bool:  # as soon as the balancer knows that the gateway is ready
            client = await RawClient.dial(ports.tls, tls=trusted)
            client.write(upgrade("/ws", [("Authorization", f"Bearer {token(new_id('alice'))}")]))
            status = (await client.read_answer()).status
            await client.drop()
            return status == 101

        await until_true(is_let_in)
        stranger = await RawClient.dial(ports.plain)
        stranger.write(upgrade("/elsewhere"))
        assert (await stranger.read_answer()).status == 404
        await stranger.drop()


async def test_a_newer_certificate_is_shown_while_connections_live(
    system: System, tls: Tls, tmp_path: Path
) -> None:
    port, second, third = (
        tls.gateway.port,
        self_signed(tmp_path, "second"),
        self_signed(tmp_path, "third", 90),
    )
    anyone = trusting(tls.pair, second, third)  # before the files change
    alice = await enter(port, anyone, new_id("alice"))
    assert await shown(port, anyone) == "first"

    second.write_over(tls.pair)
    tls.gateway.send_signal(signal.SIGHUP)

    async def shows(name: str) -> bool:
        return await shown(port, anyone) == name

    await until_true(lambda: shows("second"))
    third.write_over(tls.pair)  # noticed without a signal
    await until_true(lambda: shows("third"))
    await alice.pings()
    assert tls.gateway.count(RELOADS, outcome="ok") == 2
    assert tls.gateway.count(EXPIRES) > time.time() + 80 * 86_400

    tls.pair.key.write_bytes(second.key.read_bytes())
    tls.gateway.send_signal(signal.SIGHUP)
    await until(lambda: system.events("new certificate not used"))
    assert tls.gateway.count(RELOADS, outcome="failed") == 1
    assert await shown(port, anyone) == "third"
    await alice.pings()
    await alice.connection.drop()
