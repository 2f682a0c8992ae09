"""Which clients the broker refuses, and which brokers a process refuses."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from nats.errors import Error as NatsError

from tests.support.secured import KINDS, Prepared, SecuredCluster
from tests.support.waiting import POLL_S, until
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


@asynccontextmanager
async def trying(url: str, login: BrokerLogin) -> AsyncIterator[None]:
    """Try to connect for as long as the block lasts."""
    async with asyncio.TaskGroup() as tasks:
        connecting = tasks.create_task(runtime.connect(url, "test", login))
        try:
            yield
            assert not connecting.done()
        finally:
            while not connecting.done():  # nats-py may swallow a cancellation
                connecting.cancel()
                await asyncio.wait((connecting,), timeout=POLL_S)


def logged(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(f"{record.getMessage()} {vars(record).get('error', '')}" for record in caplog.records)
