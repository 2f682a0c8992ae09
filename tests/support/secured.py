"""A NATS cluster of three nodes as `deploy/nats` configures it, with what `deploy/prepare` makes."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

from tests.support.cluster import Cluster
from tests.support.http_get import HOST
from tests.support.nats_server import NatsServer
from tests.support.partitions import partitions
from tests.support.system import Kind, Settings
from tests.support.waiting import PATIENCE_S
from tieline.cli.dev.ports import hold_ports
from tieline.cli.permissions import accounts
from tieline.runtime.nats_client import NatsClient

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
DEMANDS_NOTHING: Final = "# verify_and_map: true"
"""The line of `deploy/nats/nats.conf` that an operator may put into force."""

NODES: Final = ("nats-1", "nats-2", "nats-3")

NAMED: Final = "localhost"
"""How nodes call each other: a node is known by a name in its certificate, and not by an address."""

KINDS: Final[tuple[Kind, ...]] = ("gateway", "router", "presence")
"""Each is a user of the broker's by that name."""


class Prepared:
    """What `deploy/prepare` has put into a folder."""

    def __init__(self, folder: Path, *hosts: str) -> None:
        """Make it, with a certificate for these hosts, or for those of `deploy/compose.yaml`."""
        self.folder = folder
        subprocess.run([DEPLOY / "prepare", folder, *hosts], check=True, capture_output=True)
        lines = (folder / ".env").read_text().splitlines()
        self.environ = dict(line.split("=", 1) for line in lines)
        self.ca = folder / "tls/ca.crt"

    @property
    def passwords(self) -> Settings:
        """All passwords, by the variables that the broker's configuration takes them from."""
        return {name: value for name, value in self.environ.items() if name.endswith("_PASSWORD")}

    def password(self, user: str) -> str:
        """The password of a user of the broker's."""
        return self.environ[f"TIELINE_{user.upper()}_PASSWORD"]

    def certificate(self, user: str) -> tuple[str, str]:
        """The files of a user's certificate and its key."""
        return str(self.folder / f"tls/clients/{user}.crt"), str(self.folder / f"tls/clients/{user}.key")

    def login(self, user: str) -> Settings:
        """The settings with which a process logs in as that user."""
        return {"NATS_USER": user, "NATS_PASSWORD": self.password(user), "NATS_CA": str(self.ca)}


class SecuredCluster(Cluster):
    """A cluster whose clients log in. See `in_namespace`."""

    def __init__(
        self, nodes: Sequence[NatsServer], prepared: Prepared, accounts: Path, routes: Sequence[int] = ()
    ) -> None:
        super().__init__(nodes)
        self.prepared = prepared
        self.routes = routes
        """The ports on which the nodes speak to each other."""
        self._accounts = accounts

    @classmethod
    @contextmanager
    def in_namespace(
        cls, folder: Path, namespace: str, demands: str = "", number: int | None = None
    ) -> Iterator["SecuredCluster"]:
        """Run one with permissions for a namespace, in so many partitions or those of this run, in a block.

        `demands` is a word of the broker's for what it demands of clients' certificates, if it demands any.
        """
        prepared = Prepared(folder / "prepared")
        (folder / "accounts.conf").write_text(accounts(namespace, partitions=number or partitions()))
        with hold_ports(3 * len(NODES), HOST) as ports:
            clients, routes, monitors = ports[:3], ports[3:6], ports[6:]
            urls = ", ".join(f"nats://{NAMED}:{port}" for port in routes)
            nodes = []
            for name, client, route, monitor in zip(NODES, clients, routes, monitors, strict=True):
                config = folder / f"{name}.conf"
                _write_config(config, prepared, client, route, monitor, demands)
                environ = {"NATS_NAME": name, "NATS_ROUTES": f"[{urls}]", **prepared.passwords}
                nodes.append(NatsServer.configured(name, config, client, monitor, environ))
            with cls(nodes, prepared, folder / "accounts.conf", routes).running() as it:
                yield it

    def restart(self, nth: int, **passwords: str) -> None:
        """End one node in order, and start it with other passwords; it has caught up when this returns."""
        node = self.nodes[nth]
        node.stop()
        node.environ = {**(node.environ or {}), **passwords}
        node.launch()
        node.process.until_ready(node.is_whole)

    def restart_with(self, nth: int, accounts: str) -> None:
        """End one node in order, and start it with other accounts, which the others do not have yet."""
        self._accounts.write_text(accounts)
        self.restart(nth)

    def frozen(self, port: int | None) -> AbstractContextManager[None]:
        """Make the node with this port for clients stand still while the block runs."""
        (node,) = (each for each in self.nodes if each.port == port)
        return node.process.frozen()


def _write_config(
    config: Path, prepared: Prepared, client: int, route: int, monitor: int, demands: str
) -> None:
    """Take what is shipped, with other places than those of a container."""
    text = (DEPLOY / "nats/nats.conf").read_text()
    if demands:
        assert DEMANDS_NOTHING in text
        text = text.replace(DEMANDS_NOTHING, f"{demands}: true")
    for shipped, here in {
        '"0.0.0.0:4222"': f'"{HOST}:{client}"',
        '"0.0.0.0:6222"': f'"{HOST}:{route}"',
        '"0.0.0.0:8222"': f'"{HOST}:{monitor}"',
        '"/etc/nats/tls/': f'"{prepared.folder}/tls/',
        '"/data"': f'"{config.with_suffix("")}"',
    }.items():
        assert shipped in text
        text = text.replace(shipped, here)
    config.write_text(text)


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
    async def as_user(cls, cluster: SecuredCluster, user: str, node: int = 0) -> AsyncIterator["Intruder"]:
        """Log in as `user`, until the block ends. All on one node, which knows every subscription at once."""
        intruder = cls()
        await intruder.client.connect(
            cluster.nodes[node].url,
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
