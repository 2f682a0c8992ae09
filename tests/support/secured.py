"""A NATS cluster of three nodes as `deploy/nats` configures it, with what `deploy/prepare` makes."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Final, Self

from tests.support.http_get import HOST
from tests.support.nats_server import Json, NatsServer
from tests.support.system import Kind, Settings
from tests.support.waiting import PATIENCE_S
from tieline.cli.dev.ports import hold_ports
from tieline.cli.permissions import accounts
from tieline.runtime.nats_client import NatsClient

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
NODES: Final = ("nats-1", "nats-2", "nats-3")

KINDS: Final[tuple[Kind, ...]] = ("gateway", "router", "presence")
"""Each is a user of the broker's by that name."""


class Prepared:
    """What `deploy/prepare` has put into a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        subprocess.run([DEPLOY / "prepare", folder], check=True, capture_output=True)
        lines = (folder / ".env").read_text().splitlines()
        self.environ = dict(line.split("=", 1) for line in lines)
        self.ca = folder / "tls/ca.crt"

    def password(self, user: str) -> str:
        """The password of a user of the broker's."""
        return self.environ[f"TIELINE_{user.upper()}_PASSWORD"]

    def login(self, user: str) -> Settings:
        """The settings with which a process logs in as that user."""
        return {"NATS_USER": user, "NATS_PASSWORD": self.password(user), "NATS_CA": str(self.ca)}


class SecuredCluster:
    """Runs while its `with` block does, with permissions for one namespace."""

    def __init__(self, folder: Path, namespace: str) -> None:
        self.prepared = Prepared(folder / "prepared")
        self._folder = folder
        self._held = ExitStack()
        ports = self._held.enter_context(hold_ports(3 * len(NODES), HOST))
        clients, routes, monitors = ports[:3], ports[3:6], ports[6:]
        self._routes = ", ".join(f"nats://{HOST}:{port}" for port in routes)
        (folder / "accounts.conf").write_text(accounts(namespace))
        self._nodes = [self._node(*each) for each in zip(NODES, clients, routes, monitors, strict=True)]

    def _node(self, name: str, client: int, route: int, monitor: int) -> NatsServer:
        config = self._folder / f"{name}.conf"
        self._write_config(config, name, client, route, monitor)
        passwords = {
            variable: value
            for variable, value in self.prepared.environ.items()
            if variable.endswith("_PASSWORD")
        }
        environ = {"NATS_NAME": name, "NATS_ROUTES": f"[{self._routes}]", **passwords}
        return NatsServer.configured(name, config, client, monitor, environ)

    def _write_config(self, config: Path, name: str, client: int, route: int, monitor: int) -> None:
        """Take what is shipped, with other places than those of a container."""
        text = (DEPLOY / "nats/nats.conf").read_text()
        for shipped, here in {
            '"0.0.0.0:4222"': f'"{HOST}:{client}"',
            '"0.0.0.0:6222"': f'"{HOST}:{route}"',
            '"0.0.0.0:8222"': f'"{HOST}:{monitor}"',
            '"/etc/nats/tls/': f'"{self.prepared.folder}/tls/',
            '"/data"': f'"{self._folder / name}"',
        }.items():
            assert shipped in text
            text = text.replace(shipped, here)
        config.write_text(text)

    def __enter__(self) -> Self:
        try:
            for node in self._nodes:
                node.launch()
            for node in self._nodes:
                node.process.until_ready(node.is_whole)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        for node in self._nodes:
            node.kill()
        self._held.close()

    def restart(self, nth: int, **passwords: str) -> None:
        """End one node in order, and start it with other passwords; it has caught up when this returns."""
        node = self._nodes[nth]
        node.stop()
        node.environ = {**(node.environ or {}), **passwords}
        node.launch()
        node.process.until_ready(node.is_whole)

    def monitored(self, nth: int, path: str) -> Json:
        """Ask the monitoring port of one node."""
        return self._nodes[nth].monitored(path)

    def frozen(self, port: int | None) -> AbstractContextManager[None]:
        """Make the node with this port for clients stand still while the block runs."""
        (node,) = (each for each in self._nodes if each.port == port)
        return node.process.frozen()

    @property
    def url(self) -> str:
        """All of its nodes."""
        return ",".join(node.url for node in self._nodes)

    @property
    def log(self) -> str:
        """What all of its nodes have logged."""
        return "".join(node.log for node in self._nodes)


class Intruder:
    """A client of its own that has come by the password of some user, and what the broker told it."""

    def __init__(self) -> None:
        self.client = NatsClient()
        self._errors: list[str] = []

    async def told(self) -> list[str]:
        """Everything that the broker has complained about so far."""
        await self.client.flush(timeout=int(PATIENCE_S))
        errors, self._errors = self._errors, []
        return errors

    async def _note(self, error: Exception) -> None:
        self._errors.append(str(error).lower())

    @classmethod
    @asynccontextmanager
    async def as_user(cls, cluster: SecuredCluster, user: str) -> AsyncIterator["Intruder"]:
        """Log in as `user`, until the block ends. All on one node, which knows every subscription at once."""
        intruder = cls()
        await intruder.client.connect(
            cluster.url.split(",")[0],
            user=user,
            password=cluster.prepared.password(user),
            tls=ssl.create_default_context(cafile=cluster.prepared.ca),
            error_cb=intruder._note,
            allow_reconnect=False,
        )
        try:
            yield intruder
        finally:
            await intruder.client.close()


async def hears_nothing_but(queue: asyncio.Queue[bytes], *expected: bytes) -> None:
    """Take what is expected off a queue, and nothing else."""
    async with asyncio.timeout(PATIENCE_S):
        assert tuple([await queue.get() for _ in expected]) == expected
    assert queue.empty()
