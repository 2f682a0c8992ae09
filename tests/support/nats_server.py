"""nats-server as a process of the tests: alone, or as a node of a cluster (`cluster.py`, `secured.py`).

It may be killed and started again at will. One in a container is in `nats_container.py`.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from tests.support.http_get import HOST, http_get
from tests.support.process import Process
from tieline.cli.dev.broker_process import broker_command, find_nats_server
from tieline.cli.dev.ports import hold_ports

_READY: Final = "Server is ready"

Json = dict[str, Any]


class Broker(Protocol):
    """What is asked where the leader of a stream is: a process here, a container in `tests/containers`."""

    name: str

    def streams(self) -> list[Json]:
        """Describe the streams it takes part in."""
        ...


BrokerT = TypeVar("BrokerT", bound=Broker)


class NatsServer:
    """One nats-server, which does not run yet. Started again it has its old ports and its old streams."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        port: int,
        log: Path,
        *,
        monitor_port: int = 0,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.port = port
        self.url = f"nats://{HOST}:{port}"
        self.environ = environ
        """Instead of ours, from the next start on."""
        self._command = command
        self._log = log
        self._monitor_port = monitor_port
        self._process: Process | None = None

    @classmethod
    @contextmanager
    def alone(cls, storage: Path) -> Iterator["NatsServer"]:
        """Run one with JetStream and streams in `storage`, on a port of its own, while the block runs."""
        storage.mkdir(parents=True, exist_ok=True)
        with hold_ports(1, HOST) as (port,):
            command = broker_command(find_nats_server(os.environ), HOST, port, storage)
            server = cls("nats-server", command, port, storage.with_name(f"{storage.name}.log"))
            try:
                server.start()
                yield server
            finally:
                server.kill()  # it may stand still, and nobody reads again what it stores

    @classmethod
    def configured(
        cls, name: str, config: Path, port: int, monitor_port: int, environ: Mapping[str, str] | None = None
    ) -> "NatsServer":
        """Make one that reads a configuration; its log lies beside that."""
        command: list[str | Path] = [find_nats_server(os.environ), "--config", config]
        log = config.with_suffix(".log")
        return cls(name, command, port, log, monitor_port=monitor_port, environ=environ)

    @property
    def log(self) -> str:
        """What it has logged, before it was last started too."""
        return self._log.read_text(errors="replace")

    @property
    def process(self) -> Process:
        """The process, while there is one."""
        assert self._process is not None, f"{self.name} does not run"
        return self._process

    def launch(self) -> None:
        """Start it, without waiting for anything."""
        assert self._process is None
        self._process = Process(self._command, self._log, environ=self.environ)

    def start(self) -> None:
        """Start it, and return when it serves."""
        self.launch()
        self.process.until_ready(lambda: _READY in self.process.output)

    def stop(self) -> None:
        """End it as an operator would, if it runs."""
        process, self._process = self._process, None
        if process is not None:
            process.end()

    def kill(self) -> None:
        """End it without giving it a chance to write anything, if it runs."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()

    def freeze(self) -> None:
        """Make it stand still until it is killed: its connections stay, and nothing is answered."""
        self.process.freeze()

    def monitored(self, path: str) -> Json:
        """Ask its monitoring port; an empty answer if nothing answers there."""
        answer: Json = json.loads(http_get(self._monitor_port, path)[1] or "{}")
        return answer

    def is_whole(self) -> bool:
        """Whether it has a leader to follow, and all of its streams are as new as the others'."""
        assert self.process.status is None, f"{self.name} ended with {self.process.status}\n{self.log}"
        return self.monitored("/healthz").get("status") == "ok"

    def streams(self) -> list[Json]:
        """Describe the streams it takes part in."""
        return streams_of(self.monitored("/jsz?accounts=true&streams=true"))


def streams_of(answer: Json) -> list[Json]:
    """Read the streams out of what `/jsz` answers."""
    accounts = answer.get("account_details", [])
    return [stream for account in accounts for stream in account.get("stream_detail", [])]


def leader_of(stream: str, brokers: Iterable[BrokerT]) -> BrokerT | None:
    """Find the broker that leads a stream now, by the word of any; None while there is none."""
    brokers = list(brokers)
    for broker in brokers:
        for described in broker.streams():
            if described["name"] == stream:
                leader = described.get("cluster", {}).get("leader")
                return next((each for each in brokers if each.name == leader), None)
    return None
