"""Which clients the broker refuses, and which brokers a process refuses."""

import asyncio
import signal
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from nats.errors import Error as NatsError

from tests.support.secured import DEMANDS_NOTHING, KINDS, NODES, Intruder, Prepared, SecuredCluster
from tests.support.waiting import PATIENCE_S, until
from tieline.cli import broker
from tieline.cli.__main__ import main
from tieline.runtime import broker as runtime
from tieline.runtime.nats_client import NatsClient
from tieline.runtime.settings import BrokerLogin, SettingsError

pytestmark = pytest.mark.needs("openssl")


async def log_in(cluster: SecuredCluster, user: str | None = None, password: str | None = None) -> None:
    tls = ssl.create_default_context(cafile=cluster.prepared.ca)
    client = NatsClient()
    try:
        await client.connect(
            cluster.url.split(","), tls=tls, allow_reconnect=False, user=user, password=password
        )
        await client.close()
    finally:
        client.abandon()


async def test_without_the_right_password_nobody_is_let_in(
    cluster: SecuredCluster,
) -> None:
    prepared = cluster.prepared
    for user in KINDS:
        await log_in(cluster, user=user, password=prepared.password(user))
    for options in (
        {},
        {"user": "gateway", "password": "guessed"},
        {"user": "gateway", "password": prepared.password("router")},
        {"user": "nobody", "password": prepared.password("gateway")},
    ):
        with pytest.raises(NatsError, match="Authorization Violation"):
            await log_in(cluster, **options)


async def test_a_broker_that_speaks_plainly_is_never_told_the_password(tmp_path: Path) -> None:
    said: list[bytes] = []

    async def pretend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b'INFO {"server_id":"x","version":"2.15.0","auth_required":true,"max_payload":1048576}\r\n'
        )
        said.append(await reader.read())
        writer.close()

    server = await asyncio.start_server(pretend, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    ca = Prepared(tmp_path).ca
    for url, login in (
        (f"nats://127.0.0.1:{port}", BrokerLogin("gateway", "hunter2", str(ca))),
        (f"tls://127.0.0.1:{port}", BrokerLogin("gateway", "hunter2")),
    ):
        async with trying(url, login):
            await until(lambda: len(said) >= 2)
        assert set(said) == {b""}
        said.clear()
    server.close()
    await server.wait_closed()


async def test_a_broker_with_anothers_certificate_is_not_believed(
    cluster: SecuredCluster, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    login = BrokerLogin("gateway", "hunter2", str(Prepared(tmp_path).ca))
    async with trying(cluster.url, login):
        await until(lambda: "CERTIFICATE_VERIFY_FAILED" in logged(caplog))
    assert "hunter2" not in logged(caplog)


async def test_a_wrong_password_is_waited_out_and_said_so_but_not_shown(
    cluster: SecuredCluster, caplog: pytest.LogCaptureFixture
) -> None:
    login = BrokerLogin("gateway", "hunter2", str(cluster.prepared.ca))
    async with trying(cluster.url, login):
        await until(lambda: "Authorization Violation" in logged(caplog))
    assert "hunter2" not in logged(caplog)
    assert "hunter2" not in repr(login)


@pytest.mark.parametrize("login", [BrokerLogin("gateway"), BrokerLogin(password="hunter2")])
async def test_half_a_login_is_none(login: BrokerLogin) -> None:
    with pytest.raises(SettingsError, match="TIELINE_NATS_USER and TIELINE_NATS_PASSWORD go together"):
        await runtime.connect("nats://127.0.0.1:1", "test", login)


@pytest.mark.parametrize("content", ["", "no certificate"])
async def test_certificates_that_cannot_be_read_are_named(tmp_path: Path, content: str) -> None:
    if content:
        (tmp_path / "ca.crt").write_text(content)
    login = BrokerLogin(ca=str(tmp_path / "ca.crt"))
    with pytest.raises(SettingsError, match=r"^TIELINE_NATS_CA: .*ca\.crt"):
        await runtime.connect("nats://127.0.0.1:1", "test", login)


async def is_taken_for_a_node(cluster: SecuredCluster, certificate: str, key: str) -> bool:
    """Speak to a node as another one does; it tells a node what it wants to hear, and others nothing."""
    tls = ssl.create_default_context(cafile=cluster.prepared.ca)
    tls.load_cert_chain(certificate, key)
    reader, writer = await asyncio.open_connection("127.0.0.1", cluster.routes[0], ssl=tls)
    said = {"name": "INTRUDER", "server_id": "INTRUDER", "cluster": "tieline", "proto": 1, "headers": True}
    words = msgspec.json.encode({**said, "echo": True, "verbose": False, "tls_required": True})
    writer.write(b"CONNECT %b\r\nINFO %b\r\nPING\r\n" % (words, words))
    heard = b""
    async with asyncio.timeout(PATIENCE_S):
        while b"RS+ " not in heard and b"-ERR" not in heard:
            chunk = await reader.read(65_536)
            if not chunk:
                break
            heard += chunk
    writer.transport.abort()
    return b"RS+ " in heard


async def test_only_the_certificate_of_a_node_makes_one(cluster: SecuredCluster) -> None:
    """All are of one authority; a node hears and says what it likes, in any account."""
    prepared = cluster.prepared
    assert await is_taken_for_a_node(
        cluster, str(prepared.folder / "tls/tls.crt"), str(prepared.folder / "tls/tls.key")
    )
    for user in (*KINDS, "streams", "observer"):
        assert not await is_taken_for_a_node(cluster, *prepared.certificate(user))


@asynccontextmanager
async def trying(url: str, login: BrokerLogin) -> AsyncIterator[None]:
    """Try to connect for as long as the block lasts."""
    async with asyncio.TaskGroup() as tasks:
        connecting = tasks.create_task(runtime.connect(url, "test", login))
        try:
            yield
            assert not connecting.done()
        finally:
            connecting.cancel()


def logged(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(f"{record.getMessage()} {vars(record).get('error', '')}" for record in caplog.records)


CERTIFIED = ("gateway", "router", "presence", "webhooks", "api", "streams", "observer", "admin")


class Certified(NamedTuple):
    """A cluster that demands certificates."""

    cluster: SecuredCluster
    maps: bool
    """A certificate names the user whom it is good for."""

    def login(self, user: str, certificate: str = "") -> BrokerLogin:
        prepared = self.cluster.prepared
        files = prepared.certificate(certificate) if certificate else ("", "")
        return BrokerLogin(user, prepared.password(user), str(prepared.ca), *files)


@pytest.fixture(scope="module", params=["verify", "verify_and_map"])
def certified(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Certified]:
    """A broker as it is shipped, that demands certificates, too; and how much it makes of them."""
    folder = tmp_path_factory.mktemp("certified")
    with SecuredCluster.in_namespace(folder, "certified", demands=request.param) as running:
        yield Certified(running, request.param == "verify_and_map")


async def test_a_service_with_its_certificate_and_password_is_let_in(certified: Certified) -> None:
    for user in CERTIFIED:
        broker = await runtime.connect(certified.cluster.url, "test", certified.login(user, user))
        assert broker.is_connected
        await broker.close()


async def test_a_password_without_a_certificate_is_not_enough(
    certified: Certified, caplog: pytest.LogCaptureFixture
) -> None:
    async with trying(certified.cluster.url, certified.login("gateway")):
        await until(lambda: "waiting for the broker" in logged(caplog))


def test_tieline_streams_says_that_a_certificate_is_demanded(
    certified: Certified, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(broker, "PATIENCE_S", 3.0)
    settings = {"NATS_URL": certified.cluster.url, **certified.cluster.prepared.login("streams")}
    for name, value in settings.items():
        monkeypatch.setenv(f"TIELINE_{name}", value)
    assert main(["streams"]) == 1
    assert "(TIELINE_NATS_CERT, TIELINE_NATS_KEY)" in capsys.readouterr().err


async def test_a_certificate_is_good_for_the_user_it_names(
    certified: Certified, caplog: pytest.LogCaptureFixture
) -> None:
    login = certified.login("presence", certificate="gateway")
    if certified.maps:
        async with trying(certified.cluster.url, login):
            await until(lambda: "Authorization Violation" in logged(caplog))
    else:  # it says no more than that the authority has signed it
        broker = await runtime.connect(certified.cluster.url, "test", login)
        await broker.close()


async def test_a_reload_does_not_demand_certificates_that_name_users(tmp_path: Path) -> None:
    with SecuredCluster.in_namespace(tmp_path, "reloaded") as running:
        node, config = running.nodes[0], tmp_path / f"{NODES[0]}.conf"
        config.write_text(config.read_text().replace(DEMANDS_NOTHING, "verify_and_map: true"))
        node.process.send_signal(signal.SIGHUP)
        await until(lambda: "config reload not supported for TLSMap" in node.log)
        async with Intruder.as_user(running, "gateway") as gateway:
            assert await gateway.told() == []
        running.restart(0)
        with pytest.raises((NatsError, OSError)):  # the broker hangs up, or says why first
            async with Intruder.as_user(running, "gateway"):
                pass


async def test_a_certificate_of_another_authority_is_none(
    certified: Certified, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    strange = Prepared(tmp_path).certificate("gateway")
    login = BrokerLogin(*certified.login("gateway")[:3], *strange)
    async with trying(certified.cluster.url, login):
        await until(lambda: "waiting for the broker" in logged(caplog))


@pytest.mark.parametrize("half", [BrokerLogin(certificate="a.crt"), BrokerLogin(key="a.key")])
async def test_half_a_certificate_is_none(half: BrokerLogin) -> None:
    with pytest.raises(SettingsError, match="TIELINE_NATS_CERT and TIELINE_NATS_KEY go together"):
        await runtime.connect("tls://127.0.0.1:1", "test", half)


async def test_a_certificate_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.crt").write_text("no certificate")
    login = BrokerLogin(certificate=str(tmp_path / "a.crt"), key=str(tmp_path / "a.key"))
    with pytest.raises(SettingsError, match=r"^TIELINE_NATS_CERT, TIELINE_NATS_KEY: .*a\.crt"):
        await runtime.connect("tls://127.0.0.1:1", "test", login)
