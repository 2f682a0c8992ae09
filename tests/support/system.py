"""A whole Tieline as processes of the tests: so many gateways, routers and presences on one broker."""

import os
import secrets
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, Literal, Protocol, Self

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from tests.support.http_get import HOST, FreshMetrics, http_get
from tests.support.partitions import partitions
from tests.support.process import SHOWN_OUTPUT, Process
from tieline.cli.dev.ports import hold_ports

SECRET: Final = "the secret of all tokens that are good here"
PREVIOUS_SECRET: Final = "the secret that was good before, and still is"

SHIFTED_CLOCK: Final = Path(__file__).parent / "shifted_clock"
"""On the path of a process whose clock is to be wrong."""

STOPPING_ITSELF: Final = Path(__file__).parent / "stopping_itself"
"""On the path of presence processes of which one is to stop itself."""

MAILBOX_BYTES: Final = 128 * 1024 * 1024
"""Room for mail: NATS sets it aside, and a hundred systems of one run share a server."""

ORDERLY: Final = (0, -signal.SIGKILL)
"""Exit statuses of a process that was asked to end, or killed by a test."""

Kind = Literal["gateway", "router", "presence", "webhooks", "api"]
Settings = Mapping[str, str]
"""Environment variables, without their prefix."""


class Clustered(Protocol):
    """What a scenario needs to know of a system: where its gateways are."""

    @property
    def ports(self) -> Sequence[int]:
        """The gateways' ports, for clients."""
        ...

    @property
    def log(self) -> str:
        """Everything that its processes have logged."""
        ...


class Service(Process):
    """One process of a system."""

    def __init__(
        self,
        kind: Kind,
        ports: Sequence[int],
        environ: Settings,
        log: Path,
        descriptors: int | None = None,
        clock_ahead_s: float = 0,
        stops_if: Path | None = None,
    ) -> None:
        """Start it, with so many descriptors at the most, if that is given; its clock may be wrong.

        With `stops_if` it stops itself amid a publish if there is that file.
        """
        limited = ["sh", "-c", f'ulimit -n {descriptors}; exec "$0" "$@"'] if descriptors else []
        self.kind = kind
        self.port, self.ops_port = ports
        listens = "API" if kind == "api" else "LISTEN"
        at = {f"{listens}_PORT": str(self.port), f"{listens}_HOST": HOST}
        own = {"OPS_PORT": str(self.ops_port), **at, **environ}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TIELINE_")}
        if clock_ahead_s:
            kept |= {"PYTHONPATH": str(SHIFTED_CLOCK), "SHIFTED_CLOCK_AHEAD_S": str(clock_ahead_s)}
        if stops_if is not None:
            kept |= {"PYTHONPATH": str(STOPPING_ITSELF), "STOPS_ITSELF_IF": str(stops_if)}
        self._fresh = FreshMetrics(self.ops_port)
        super().__init__(
            [*limited, sys.executable, "-m", kind],
            log,
            environ={**kept, **{f"TIELINE_{name}": value for name, value in own.items()}},
        )

    def get(self, path: str) -> tuple[int, str]:
        """Ask its ops port; returns the status and the body, (0, "") if nothing answers there."""
        return http_get(self.ops_port, path)

    def count(self, sample: str, **labels: str) -> float:
        """Sum up one of its metrics (see `summed_up`), as of now."""
        return summed_up(self.metrics(), sample, labels)

    def metrics(self) -> str:
        """Read all of its metrics, as of now: a process renders them once a second."""
        return self._fresh.text()

    def is_ready(self) -> bool:
        """Whether it takes work; fails when it has ended."""
        assert self.status is None, f"{self.kind} ended with {self.status}\n{self.output[-SHOWN_OUTPUT:]}"
        return self.get("/readyz") == (200, "ready\n")


def summed_up(exposition: str, sample: str, labels: Mapping[str, str]) -> float:
    """Sum up one sample of what `/metrics` says, over all labels that are not named."""
    return sum(
        found.value
        for family in text_string_to_metric_families(exposition)
        for found in family.samples
        if found.name == sample and labels.items() <= found.labels.items()
    )


class System:
    """Runs while its `with` block does. It has a namespace of its own, so several may share a broker."""

    def __init__(
        self,
        nats_url: str,
        folder: Path,
        *,
        gateways: int = 1,
        routers: int = 1,
        presences: int = 1,
        apis: int = 0,
        settings: Settings | None = None,
        own_settings: Mapping[Kind, Settings] | None = None,
        stops_if: Path | None = None,
    ) -> None:
        """With `stops_if` a presence process stops itself amid a publish if there is that file."""
        self._counts: dict[Kind, int] = {
            "presence": presences,
            "router": routers,
            "gateway": gateways,
            "api": apis,
        }
        self._log = folder / "log"
        self._settings: Settings = {
            "NATS_URL": nats_url,
            "NAMESPACE": f"test-{secrets.token_hex(4)}",
            "JWT_SECRET": SECRET,
            "JWT_SECRET_PREVIOUS": PREVIOUS_SECRET,
            "PONG_TIMEOUT": "60",  # a client of these tests answers only while a test listens to it
            "DRAIN_WAIT": "0",
            "DRAIN_SPREAD": "0",
            "MAILBOX_MAX_BYTES": str(MAILBOX_BYTES),
            "PARTITIONS": str(partitions()),
            **(settings or {}),
        }
        self._own_settings = own_settings or {}
        self._stops_if = stops_if
        self._held = ExitStack()
        """The ports of all its processes: a connection to one that has ended is refused."""
        self.processes: list[Service] = []
        """Those that were started with the system, and those that are extra now."""

    def __enter__(self) -> Self:
        try:
            for kind, count in self._counts.items():
                for _ in range(count):
                    self._start(kind, {})
            for process in self.processes:
                process.until_ready(process.is_ready)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        badly = self._end()
        assert not badly, f"these did not end in order: {badly}\n{self.log}"

    def _end(self) -> dict[str, int]:
        """End all processes; returns the exit statuses of those that did not end in order."""
        ended: dict[str, int] = {}
        # Each kind needs the next to end in order.
        for kind in ("webhooks", "api", "gateway", "router", "presence"):
            for process in self.all(kind):
                process.terminate()
            ended |= {f"{kind} {process.pid}": process.wait() for process in self.all(kind)}
        self._held.close()
        return {name: status for name, status in ended.items() if status not in ORDERLY}

    def add(self, kind: Kind, *, clock_ahead_s: float = 0, **settings: str) -> Service:
        """Start one more process, with settings and a clock of its own; it is ready when this returns."""
        process = self._start(kind, settings, clock_ahead_s=clock_ahead_s)
        process.until_ready(process.is_ready)
        return process

    @contextmanager
    def extra(self, kind: Kind, **settings: str) -> Iterator[Service]:
        """Have one more process, with settings of its own, while the block runs."""
        with self.starting(kind, **settings) as process:
            process.until_ready(process.is_ready)
            yield process

    @contextmanager
    def starting(self, kind: Kind, **settings: str) -> Iterator[Service]:
        """Like `extra`, but the process may not be ready yet."""
        with self._ending(self._start(kind, settings)) as process:
            yield process

    @contextmanager
    def confined(self, kind: Kind, descriptors: int) -> Iterator[Service]:
        """Like `extra`, but the process may have so many descriptors only."""
        with self._ending(self._start(kind, {}, descriptors)) as process:
            process.until_ready(process.is_ready)
            yield process

    @contextmanager
    def _ending(self, process: Service) -> Iterator[Service]:
        try:
            yield process
        finally:
            self.processes.remove(process)
            process.end()

    def _start(
        self, kind: Kind, settings: Settings, descriptors: int | None = None, clock_ahead_s: float = 0
    ) -> Service:
        own = self._own_settings.get(kind, {})
        ports = self._held.enter_context(hold_ports(2, HOST))
        said = {**self._settings, **own, **settings}
        stops_if = self._stops_if if kind == "presence" else None
        process = Service(kind, ports, said, self._log, descriptors, clock_ahead_s, stops_if)
        self.processes.append(process)
        return process

    def all(self, kind: Kind) -> list[Service]:
        """List the processes of one kind."""
        return [process for process in self.processes if process.kind == kind]

    @property
    def ports(self) -> list[int]:
        """See `Clustered.ports`."""
        return [process.port for process in self.all("gateway")]

    @property
    def namespace(self) -> str:
        """What its subjects begin with."""
        return self._settings["NAMESPACE"]

    @property
    def log(self) -> str:
        """See `Clustered.log`."""
        return self._log.read_text(errors="replace")

    def events(self, event: str, **fields: object) -> list[dict[str, Any]]:
        """Find the log lines of one event with these fields."""
        lines = (msgspec.json.decode(line) for line in self.log.splitlines())
        return [line for line in lines if line["event"] == event and fields.items() <= line.items()]

    def count(self, kind: Kind, sample: str, **labels: str) -> float:
        """Sum up one metric over all processes of a kind, and all labels that are not named here."""
        return sum(process.count(sample, **labels) for process in self.all(kind))

    def counted(self, kind: Kind) -> Callable[..., float]:
        """Read all metrics of a kind once; returns what sums one of them up, as `count` does."""
        read = [process.metrics() for process in self.all(kind)]

        def count(sample: str, **labels: str) -> float:
            return sum(summed_up(text, sample, labels) for text in read)

        return count
