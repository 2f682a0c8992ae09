"""A NATS cluster of three nodes, each a process that may be killed and started again.

The secured one, as `deploy/nats` configures it, is in `secured.py`.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self

from tests.support.http_get import HOST
from tests.support.nats_server import NatsServer, leader_of
from tieline.cli.dev.ports import hold_ports

NODES: Final = 3

_CONFIG: Final = """
server_name: {name}
listen: "{host}:{port}"
http: "{host}:{monitor}"
jetstream {{ store_dir: "{storage}" }}
# A node that stands still is given up within seconds: until then the others ask it, and wait.
ping_interval: "1s"
ping_max: 2
cluster {{ name: tests, listen: "{host}:{route}", routes: [{routes}], ping_interval: "1s", ping_max: 2 }}
"""


def _node(name: str, port: int, monitor: int, route: int, routes: str, folder: Path) -> NatsServer:
    config = folder / f"{name}.conf"
    config.write_text(
        _CONFIG.format(
            name=name,
            host=HOST,
            port=port,
            monitor=monitor,
            route=route,
            routes=routes,
            storage=folder / name,
        )
    )
    return NatsServer.configured(name, config, port, monitor)


class Cluster:
    """Runs while its `with` block does."""

    def __init__(self, folder: Path) -> None:
        self._held = ExitStack()
        ports = self._held.enter_context(hold_ports(3 * NODES, HOST))
        routes = ", ".join(f'"nats://{HOST}:{port}"' for port in ports[:NODES])
        self.nodes = [
            _node(f"node-{nth}", ports[NODES + nth], ports[2 * NODES + nth], ports[nth], routes, folder)
            for nth in range(NODES)
        ]

    def __enter__(self) -> Self:
        try:
            for node in self.nodes:
                node.launch()
            for node in self.nodes:
                node.process.until_ready(node.is_whole)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        for node in self.nodes:
            node.kill()
        self._held.close()

    @property
    def url(self) -> str:
        """All of its nodes, for clients to connect to."""
        return ",".join(node.url for node in self.nodes)

    def leader_of(self, stream: str) -> NatsServer | None:
        """Find the node that leads a stream now; None while there is none, or none that says so."""
        return leader_of(stream, self.nodes)

    @property
    def is_whole(self) -> bool:
        """Whether no node has anything to catch up on."""
        return all(node.is_whole() for node in self.nodes)
