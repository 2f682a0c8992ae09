"""A NATS cluster of three nodes, each a process that may be killed and started again."""

import http.client
import json
import os
import signal
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Self

from tests.support.raw_client import HOST
from tests.support.waiting import PATIENCE_S, until_now
from tieline.cli.dev.broker_process import find_nats_server
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


class Node:
    """One nats-server of a cluster. Started again it has its old ports and its old streams."""

    def __init__(self, name: str, port: int, monitor: int, route: int, routes: str, folder: Path) -> None:
        self.name = name
        self.url = f"nats://{HOST}:{port}"
        self._monitor = monitor
        self._config = folder / f"{name}.conf"
        self._log = folder / f"{name}.log"
        self._config.write_text(
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
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, without waiting for anything."""
        assert self._process is None
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [find_nats_server(os.environ), "--config", self._config],
                stdin=subprocess.DEVNULL,
                stderr=log,
            )

    def kill(self) -> None:
        """End it without giving it a chance to say anything."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """Let it stand still; `kill` ends that."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def is_whole(self) -> bool:
        """Whether it has a leader to follow, and all of its streams are as new as the others'."""
        assert self._process is not None
        assert self._process.poll() is None, f"{self.name} ended with {self._process.returncode}"
        return self._ask("/healthz").get("status") == "ok"

    def streams(self) -> list[dict[str, Any]]:
        """Describe the streams it takes part in."""
        accounts = self._ask("/jsz?accounts=true&streams=true").get("account_details", [])
        return [stream for account in accounts for stream in account.get("stream_detail", [])]

    def _ask(self, path: str) -> dict[str, Any]:
        connection = http.client.HTTPConnection(HOST, self._monitor, timeout=PATIENCE_S)
        try:
            connection.request("GET", path)
            answer: dict[str, Any] = json.load(connection.getresponse())
        except OSError:
            return {}
        finally:
            connection.close()
        return answer


class Cluster:
    """Runs while its `with` block does."""

    def __init__(self, folder: Path) -> None:
        self._held = ExitStack()
        ports = self._held.enter_context(hold_ports(3 * NODES, HOST))
        routes = ", ".join(f'"nats://{HOST}:{port}"' for port in ports[:NODES])
        self.nodes = [
            Node(f"node-{nth}", ports[NODES + nth], ports[2 * NODES + nth], ports[nth], routes, folder)
            for nth in range(NODES)
        ]

    def __enter__(self) -> Self:
        for node in self.nodes:
            node.start()
        try:
            for node in self.nodes:
                until_now(node.is_whole)
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
        """All of its nodes, for those who connect."""
        return ",".join(node.url for node in self.nodes)

    def leader_of(self, stream: str) -> Node | None:
        """Find the node that leads a stream now, by the word of any; None while there is none."""
        for node in self.nodes:
            for described in node.streams():
                if described["name"] == stream:
                    leader = described.get("cluster", {}).get("leader")
                    return next((each for each in self.nodes if each.name == leader), None)
        return None

    @property
    def is_whole(self) -> bool:
        """Whether nobody has anything to catch up on."""
        return all(node.is_whole() for node in self.nodes)
