"""A NATS cluster of three nodes, each a process that may be killed and started again.

The secured one, as `deploy/nats` configures it, is in `secured.py`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
    """Nodes that know of each other, and do not run yet. See `plain`, and `SecuredCluster`."""

    def __init__(self, nodes: Sequence[NatsServer]) -> None:
        self.nodes = nodes

    @classmethod
    @contextmanager
    def plain(cls, folder: Path) -> Iterator["Cluster"]:
        """Run one that asks nobody who he is, with its streams in `folder`, while the block runs."""
        with hold_ports(3 * NODES, HOST) as ports:
            clients, monitors, routes = ports[:NODES], ports[NODES : 2 * NODES], ports[2 * NODES :]
            urls = ", ".join(f'"nats://{HOST}:{port}"' for port in routes)
            places = enumerate(zip(clients, monitors, routes, strict=True))
            with cls([_node(f"node-{nth}", *place, urls, folder) for nth, place in places]).running() as it:
                yield it

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Run the nodes while the block does; when it begins, none has anything to catch up on."""
        try:
            for node in self.nodes:
                node.launch()
            for node in self.nodes:
                node.process.until_ready(node.is_whole)
            yield self
        finally:
            for node in self.nodes:
                node.kill()

    @property
    def url(self) -> str:
        """All of its nodes, for clients to connect to."""
        return ",".join(node.url for node in self.nodes)

    @property
    def log(self) -> str:
        """What all of its nodes have logged."""
        return "".join(node.log for node in self.nodes)

    def leader_of(self, stream: str) -> NatsServer | None:
        """Find the node that leads a stream now; None while there is none, or none that says so."""
        return leader_of(stream, self.nodes)

    @property
    def is_whole(self) -> bool:
        """Whether no node has anything to catch up on."""
        return all(node.is_whole() for node in self.nodes)
