"""A real Prometheus as a process of the tests, and promtool."""

import subprocess
import urllib.parse
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Literal, Self, TypeVar

import msgspec
import yaml

from tests.support.demand import program
from tests.support.http_get import HOST, http_get
from tests.support.process import Process
from tests.support.system import Service
from tieline.cli.dev.ports import hold_ports

SCRAPE: Final = "1s"
"""Between two scrapes, and two evaluations of the rules."""

RATE_INTERVAL: Final = "15s"
"""What Grafana would put for `$__rate_interval`, many scrapes long: what happens seldom is still in it."""


class Series(msgspec.Struct, frozen=True):
    """One series of what a query has found."""

    metric: dict[str, str]
    """Its labels."""
    value: tuple[float, str]
    """When, in Unix seconds, and what: Prometheus writes numbers as text, so that NaN is one."""

    @property
    def number(self) -> float:
        """The value as a number."""
        return float(self.value[1])


class Alert(msgspec.Struct, frozen=True):
    """An alert that fires, or may soon."""

    labels: dict[str, str]
    annotations: dict[str, str]
    state: Literal["pending", "firing"]


class Rule(msgspec.Struct, frozen=True, rename="camel"):
    """One rule, and how its last evaluation went."""

    name: str
    health: str
    last_error: str = ""


class _Found(msgspec.Struct, frozen=True):
    result: list[Series]


class _Alerts(msgspec.Struct, frozen=True):
    alerts: list[Alert]


class _Group(msgspec.Struct, frozen=True):
    rules: list[Rule]


class _Groups(msgspec.Struct, frozen=True):
    groups: list[_Group]


class _Answer(msgspec.Struct, frozen=True):
    data: msgspec.Raw


DataT = TypeVar("DataT")


class Prometheus:
    """Scrapes these services while its `with` block runs, each kind as a job of its name."""

    def __init__(self, folder: Path, services: Iterable[Service], rules: str) -> None:
        self._folder = folder
        self._rules = rules
        self._ending = ExitStack()
        self._targets: dict[str, list[str]] = {}
        for service in services:
            self._targets.setdefault(service.kind, []).append(f"{HOST}:{service.ops_port}")

    def __enter__(self) -> Self:
        self._folder.mkdir(exist_ok=True)
        rules = self._folder / "rules.yaml"
        rules.write_text(self._rules)
        config = self._folder / "prometheus.yaml"
        config.write_text(
            yaml.safe_dump(
                {
                    "global": {"scrape_interval": SCRAPE, "evaluation_interval": SCRAPE},
                    "rule_files": [str(rules)],
                    "scrape_configs": [
                        {"job_name": kind, "static_configs": [{"targets": targets}]}
                        for kind, targets in self._targets.items()
                    ],
                }
            )
        )
        with ExitStack() as starting:
            (self._port,) = starting.enter_context(hold_ports(1, HOST))
            command = [
                str(program("prometheus")),
                f"--config.file={config}",
                f"--storage.tsdb.path={self._folder / 'data'}",
                f"--web.listen-address={HOST}:{self._port}",
            ]
            process = Process(command, self._folder / "log")
            starting.callback(process.end)
            process.until_ready(lambda: http_get(self._port, "/-/ready")[0] == 200)
            self._ending = starting.pop_all()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._ending.close()

    def query(self, expr: str) -> list[Series]:
        """Evaluate an expression now, as a panel would."""
        expr = expr.replace("$__rate_interval", RATE_INTERVAL)
        return self._ask("query?" + urllib.parse.urlencode({"query": expr}), _Found).result

    def alerts(self) -> dict[str, list[Alert]]:
        """Which alerts fire now, by name."""
        firing: dict[str, list[Alert]] = {}
        for alert in self._ask("alerts", _Alerts).alerts:
            if alert.state == "firing":
                firing.setdefault(alert.labels["alertname"], []).append(alert)
        return firing

    def rules(self) -> list[Rule]:
        """List all rules."""
        return [rule for group in self._ask("rules", _Groups).groups for rule in group.rules]

    def _ask(self, path: str, kind: type[DataT]) -> DataT:
        """Ask its API; returns the data of the answer."""
        status, body = http_get(self._port, f"/api/v1/{path}")
        assert status == 200, f"{status} for {path}: {body}"
        return msgspec.json.decode(msgspec.json.decode(body, type=_Answer).data, type=kind)


def promtool(*arguments: str) -> str:
    """Run promtool, which must succeed; returns what it says."""
    done = subprocess.run(
        [str(program("promtool")), *arguments],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
