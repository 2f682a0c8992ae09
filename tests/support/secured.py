"""A NATS cluster of three nodes as `deploy/nats` configures it, with what `deploy/prepare` makes."""

import asyncio
import http.client
import json
import os
import signal
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final, Self

from tests.support.raw_client import HOST
from tests.support.system import Kind, Settings
from tests.support.waiting import PATIENCE_S, until_now
from tieline.cli.dev.broker_process import find_nats_server
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
        self._clients, routes, self._monitors = ports[:3], ports[3:6], ports[6:]
        self._routes = ", ".join(f"nats://{HOST}:{port}" for port in routes)
        (folder / "accounts.conf").write_text(accounts(namespace))
        for name, client, route, monitor in zip(NODES, self._clients, routes, self._monitors, strict=True):
            self._write_config(name, client, route, monitor)
        self._passwords = [
            {name: value for name, value in self.prepared.environ.items() if name.endswith("_PASSWORD")}
            for _ in NODES
        ]
        self._processes: list[subprocess.Popen[bytes]] = []

    def _write_config(self, name: str, client: int, route: int, monitor: int) -> None:
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
        (self._folder / f"{name}.conf").write_text(text)

    def __enter__(self) -> Self:
        self._processes += [self._start(nth) for nth in range(len(NODES))]
        try:
            for nth in range(len(NODES)):
                until_now(lambda nth=nth: self._is_well(nth))  # type: ignore[misc]
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        self._held.close()

    def _start(self, nth: int) -> subprocess.Popen[bytes]:
        name = NODES[nth]
        with (self._folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [find_nats_server(os.environ), "--config", self._folder / f"{name}.conf"],
                env={"NATS_NAME": name, "NATS_ROUTES": f"[{self._routes}]", **self._passwords[nth]},
                stdin=subprocess.DEVNULL,
                stderr=log,
            )

    def restart(self, nth: int, **passwords: str) -> None:
        """End one node in order, and start it with other passwords; it has caught up when this returns."""
        self._processes[nth].terminate()
        self._processes[nth].wait(PATIENCE_S)
        self._passwords[nth] |= passwords
        self._processes[nth] = self._start(nth)
        until_now(lambda: self._is_well(nth))

    def _is_well(self, nth: int) -> bool:
        assert self._processes[nth].poll() is None, self.log
        return self.monitored(nth, "/healthz").get("status") == "ok"

    def monitored(self, nth: int, path: str) -> dict[str, Any]:
        """Ask the monitoring port of one node."""
        connection = http.client.HTTPConnection(HOST, self._monitors[nth], timeout=PATIENCE_S)
        try:
            connection.request("GET", path)
            answer: dict[str, Any] = json.load(connection.getresponse())
        except OSError:
            return {}
        finally:
            connection.close()
        return answer

    @contextmanager
    def standing_still(self, port: int | None) -> Iterator[None]:
        """Let the node with this port for clients stand still while the block runs."""
        process = self._processes[self._clients.index(port or 0)]
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)

    @property
    def url(self) -> str:
        """All of its nodes."""
        return ",".join(f"nats://{HOST}:{port}" for port in self._clients)

    @property
    def log(self) -> str:
        """What all of its nodes have logged."""
        return "".join((self._folder / f"{name}.log").read_text() for name in NODES)


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
        """Log in as `user`, until the block ends. All on one node, which knows at once who listens."""
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
