"""All containers of a system on a network of their own, as `deploy/compose.yaml` describes it.

Three brokers with permissions and TLS, two of each service, HAProxy in front. Like an orchestrator would, the
tests replace what has died by a new container.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple, Self

from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

from tests.support.container import CLIENT_PORT, MONITOR_PORT, OPS_PORT, ContainerKind, RunningContainer
from tests.support.nats_container import IMAGE_VARIABLE, nats_image
from tests.support.nats_server import leader_of
from tests.support.secured import DEPLOY, NODES, Prepared
from tests.support.system import SECRET, Kind
from tests.support.waiting import until_now, until_true
from tieline.cli.dev.ports import hold_ports

CONFINED: Final = {"read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"]}
"""As in `deploy/compose.yaml`, and as Kubernetes restricts pods."""

TWICE: Final[tuple[Kind, ...]] = ("presence", "router", "gateway")


class Images(NamedTuple):
    """What the containers are made of."""

    base: str
    tieline: str
    haproxy: str
    built: Path
    """The folder with what `make image` writes beside Tieline's."""


class Fleet:
    """Runs while its `with` block does."""

    def __init__(self, images: Images, folder: Path) -> None:
        self._images = images
        self._folder = folder
        self._prepared = Prepared(folder / "prepared")
        self._ending = ExitStack()
        self._count = 0
        self.containers: list[RunningContainer] = []

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            self._network = starting.enter_context(Network())
            starting.callback(self._remove_all)
            for name in NODES:
                self._add_broker(name)
            self.until_ready()
            for kind in TWICE:
                for _ in range(2):
                    self._add_service(kind)
            self.until_ready()
            # The same port after it was killed.
            (port,) = starting.enter_context(hold_ports(1, "0.0.0.0"))
            self.balancer = self._add_balancer(port)
            self.until_ready()
            until_now(lambda: self.balanced == 2)
            self._ending = starting.pop_all()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._ending.close()

    def _remove_all(self) -> None:
        for container in self.containers:
            container.remove()

    @property
    def url(self) -> str:
        """Where clients come, all of them."""
        return f"ws://127.0.0.1:{self.ports[0]}/ws"

    @property
    def ports(self) -> Sequence[int]:
        """See `Clustered.ports`: there is one way in."""
        return [self.balancer.port(CLIENT_PORT)]

    @property
    def log(self) -> str:
        """See `Clustered.log`."""
        return "\n".join(f"{container.name}:\n{container.log}" for container in self.containers)

    def all(self, kind: ContainerKind) -> list[RunningContainer]:
        """List the containers of one kind."""
        return [container for container in self.containers if container.kind == kind]

    @property
    def balanced(self) -> int:
        """To how many gateways the balancer sends new clients."""
        return int(self.balancer.count("haproxy_server_status", proxy="gateways", state="UP"))

    def leader_of(self, stream: str) -> RunningContainer | None:
        """Find the broker that leads a stream now; None while there is none, or none that says so."""
        return leader_of(stream, self.all("nats"))

    def add(self, kind: Kind) -> RunningContainer:
        """Start one more container of a service; it is ready when this returns."""
        container = self._add_service(kind)
        until_now(container.is_ready)
        return container

    def remove(self, container: RunningContainer) -> None:
        """Have a container gone, dead or alive."""
        self.containers.remove(container)
        container.remove()

    def replace(self, container: RunningContainer) -> RunningContainer:
        """Have another container instead of one that has died."""
        assert container.kind in TWICE
        self.remove(container)
        return self.add(container.kind)

    def until_ready(self, but: Callable[[RunningContainer], bool] = lambda _: False) -> None:
        """Wait until every container takes work."""
        for container in self.containers:
            if not but(container):
                until_now(container.is_ready)

    async def is_whole(self) -> None:
        """Wait until every container takes work, and the balancer knows."""
        await asyncio.to_thread(self.until_ready)
        await until_true(lambda: asyncio.to_thread(lambda: self.balanced == len(self.all("gateway"))))

    def _start(self, kind: ContainerKind, name: str, container: DockerContainer) -> RunningContainer:
        container.with_network(self._network).with_kwargs(hostname=name, **CONFINED)
        container.start()
        running = RunningContainer(kind, name, container)
        self.containers.append(running)
        return running

    def _add_broker(self, name: str) -> RunningContainer:
        storage = self._folder / name
        storage.mkdir()
        routes = ", ".join(f"nats://{node}:6222" for node in NODES)
        container = (
            DockerContainer(os.environ.get(IMAGE_VARIABLE) or nats_image())
            .with_command(["--config", "/etc/nats/nats.conf"])
            .with_volume_mapping(DEPLOY / "nats/nats.conf", "/etc/nats/nats.conf")
            .with_volume_mapping(DEPLOY / "nats/accounts.conf", "/etc/nats/accounts.conf")
            .with_volume_mapping(self._prepared.folder / "tls", "/etc/nats/tls")
            .with_volume_mapping(storage, "/data", "rw")
            .with_envs(NATS_NAME=name, NATS_ROUTES=f"[{routes}]", **self._prepared.passwords)
            .with_network_aliases(name)
            .with_exposed_ports(MONITOR_PORT["nats"])
        )
        return self._start("nats", name, container)

    def _add_service(self, kind: Kind) -> RunningContainer:
        self._count += 1
        settings = {
            "NATS_URL": ",".join(f"tls://{node}:4222" for node in NODES),
            **self._prepared.login(kind),
            "NATS_CA": "/etc/tieline/ca.crt",
            **({"JWT_SECRET": SECRET} if kind == "gateway" else {}),
            **({"REPLICAS": "3"} if kind == "presence" else {}),
        }
        container = (
            DockerContainer(self._images.tieline)
            .with_command([kind])
            .with_volume_mapping(self._prepared.ca, "/etc/tieline/ca.crt")
            .with_envs(**{f"TIELINE_{name}": value for name, value in settings.items()})
            .with_network_aliases(kind)
            .with_exposed_ports(OPS_PORT)
        )
        return self._start(kind, f"{kind}-{self._count}", container)

    def _add_balancer(self, port: int) -> RunningContainer:
        container = (
            DockerContainer(self._images.haproxy)
            .with_command(["-f", "/etc/haproxy.cfg"])
            .with_volume_mapping(DEPLOY / "haproxy.cfg", "/etc/haproxy.cfg")
            .with_volume_mapping(self._prepared.folder / "public/tls.pem", "/etc/haproxy/tls.pem")
            .with_bind_ports(CLIENT_PORT, port)
            .with_exposed_ports(MONITOR_PORT["haproxy"])
        )
        return self._start("haproxy", "haproxy", container)
