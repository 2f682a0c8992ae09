"""The processes of a running `tieline dev`: where they are, and how they are made to fail."""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final

from tests.support.http_get import FreshMetrics
from tests.support.load import Load
from tests.support.running_dev import READY, RunningDev
from tests.support.system import SECRET, summed_up

SIZES: Final = ("--gateways", "2", "--routers", "2", "--presences", "2")

SETTINGS: Final = {
    "TIELINE_DRAIN_WAIT": "0",  # there is no balancer that would have to notice
    "TIELINE_DRAIN_SPREAD": "0.5",
    "TIELINE_LIMITS": "off",  # the load is more than one user may say to another
}


@contextmanager
def running_dev(folder: Path, settings: Mapping[str, str] = MappingProxyType({})) -> Iterator[RunningDev]:
    """Run one with two of each kind, which is ready."""
    environ = {"TIELINE_JWT_SECRET": SECRET, **SETTINGS, **settings}
    with RunningDev(folder, ["--port", "0", *SIZES], environ) as dev:
        dev.until_said(READY)
        yield dev


class DevProcesses:
    """What dies, and comes back."""

    def __init__(self, running: RunningDev) -> None:
        self._running = running
        self._metrics: dict[int, FreshMetrics] = {}

    @property
    def urls(self) -> list[str]:
        """Of the gateways."""
        return self._running.document["gateways"]

    def pid(self, kind: str, number: int = 0) -> int:
        """The process of that kind, since all was ready last."""
        return self._running.document["pids"][kind][number]

    def send(self, number: signal.Signals, kind: str, which: int = 0) -> int:
        """Send one process a signal; returns its process id."""
        pid = self.pid(kind, which)
        os.kill(pid, number)
        return pid

    def replayed(self, gateway: int) -> float:
        """Count what a gateway has sent to its clients from the mailbox."""
        return self._count("gateway", gateway, "tieline_replayed_frames_total")

    def asked_again(self, kind: str) -> float:
        """Count the requests that the processes of one kind have had to send again."""
        return sum(self._count(kind, which, "tieline_request_retries_total") for which in (0, 1))

    def _count(self, kind: str, which: int, name: str) -> float:
        port = int(self._running.document["ops"][kind][which].rpartition(":")[2])
        exposition = self._metrics.setdefault(port, FreshMetrics(port)).text()
        assert exposition
        return summed_up(exposition, name, {})

    async def replaced(self, load: Load, kind: str, which: int, pid: int) -> None:
        """Wait until another process has taken the place of `pid`, and all is ready."""
        await load.until(lambda: self.pid(kind, which) != pid, f"{kind} {which} replaced")
