"""One container of the system: what is done to it, and what it says."""

import json
from typing import Final, Literal

from docker.models.containers import Container
from testcontainers.core.container import DockerContainer

from tests.support.http_get import http_get
from tests.support.nats_server import Json, streams_of
from tests.support.system import summed_up

ContainerKind = Literal["nats", "presence", "router", "gateway", "webhooks", "api", "haproxy"]

OPS_PORT: Final = 9464
CLIENT_PORT: Final = 8080
MONITOR_PORT: Final = {"nats": 8222, "haproxy": 8404}

STOP_S: Final = 30
"""For a container to end by itself: longer than a gateway's drain."""


class RunningContainer:
    """A container that has been started. One that is started again is found on another port."""

    def __init__(self, kind: ContainerKind, name: str, container: DockerContainer) -> None:
        self.kind = kind
        self.name = name
        self._managed = container

    @property
    def container(self) -> Container:
        """The engine's own view of it."""
        return self._managed.get_wrapped_container()

    def port(self, inside: int) -> int:
        """The port on this machine that leads to one of its own."""
        return int(self._managed.get_exposed_port(inside))

    def kill(self) -> None:
        """`docker kill`: it gets no chance to write anything."""
        self.container.kill()
        self.container.wait()

    def start(self) -> None:
        """`docker start`, after it was killed."""
        self.container.start()

    def pause(self) -> None:
        """`docker pause`: every process in it stands still."""
        self.container.pause()

    def unpause(self) -> None:
        """`docker unpause`."""
        self.container.unpause()

    def stop(self) -> int:
        """`docker stop`; returns its exit status."""
        self.container.stop(timeout=STOP_S)
        return int(self.container.wait()["StatusCode"])

    def remove(self) -> None:
        """Have it gone, whatever it does."""
        self._managed.stop()

    @property
    def health(self) -> str:
        """What its image's own check says."""
        self.container.reload()
        status: str = self.container.attrs["State"]["Health"]["Status"]
        return status

    @property
    def log(self) -> str:
        """All that it has logged."""
        said: bytes = self.container.logs()
        return said.decode(errors="replace")

    def get(self, path: str) -> tuple[int, str]:
        """Ask its port for operators; returns the status and the body, (0, "") if nothing answers."""
        return http_get(self.port(MONITOR_PORT.get(self.kind, OPS_PORT)), path)

    def is_ready(self) -> bool:
        """Whether it takes work; fails when it has ended."""
        self.container.reload()
        assert self.container.status in ("created", "running"), f"{self.name}: {self.log}"
        try:
            return self.get("/healthz" if self.kind in MONITOR_PORT else "/readyz")[0] == 200
        except ConnectionError:  # it has no port yet
            return False

    def streams(self) -> list[Json]:
        """Describe the streams that a broker takes part in."""
        return streams_of(json.loads(self.get("/jsz?accounts=true&streams=true")[1] or "{}"))

    def count(self, sample: str, **labels: str) -> float:
        """Sum up one of its metrics (see `summed_up`)."""
        return summed_up(self.get("/metrics")[1], sample, labels)
