"""A real Prometheus as a process of the tests, and promtool."""

import json
import subprocess
import urllib.parse
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Self

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

Result = list[Mapping[str, Any]]


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

    def api(self, path: str) -> Any:
        """Ask its API; returns the data of the answer."""
        status, body = http_get(self._port, f"/api/v1/{path}")
        assert status == 200, f"{status} for {path}: {body}"
        return json.loads(body)["data"]

    def query(self, expr: str) -> Result:
        """Evaluate an expression now, as a panel would."""
        expr = expr.replace("$__rate_interval", RATE_INTERVAL)
        result: Result = self.api("query?" + urllib.parse.urlencode({"query": expr}))["result"]
        return result

    def alerts(self) -> dict[str, list[Mapping[str, Any]]]:
        """Which alerts fire now, by name."""
        firing: dict[str, list[Mapping[str, Any]]] = {}
        for alert in self.api("alerts")["alerts"]:
            if alert["state"] == "firing":
                firing.setdefault(alert["labels"]["alertname"], []).append(alert)
        return firing


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
