"""A real Prometheus as a process of the tests, and promtool."""

import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Self

import yaml

from tests.support.demand import program
from tests.support.system import Process
from tests.support.waiting import PATIENCE_S, until_now
from tieline.cli.dev.ports import hold_ports

HOST: Final = "127.0.0.1"
SCRAPE: Final = "1s"
"""Between two scrapes, and two evaluations of the rules."""

RATE_INTERVAL: Final = "15s"
"""What Grafana would put for `$__rate_interval`, many scrapes long: what happens seldom is still in it."""

Result = list[Mapping[str, Any]]


class Prometheus:
    """Scrapes these processes while its `with` block runs, each kind as a job of its name."""

    def __init__(self, folder: Path, processes: Iterable[Process], rules: str) -> None:
        self._folder = folder
        self._rules = rules
        self._targets: dict[str, list[str]] = {}
        for process in processes:
            self._targets.setdefault(process.kind, []).append(f"{HOST}:{process.ops_port}")

    def __enter__(self) -> Self:
        self._folder.mkdir(exist_ok=True)
        self._held = ExitStack()
        (self._port,) = self._held.enter_context(hold_ports(1, HOST))
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
        self._log = (self._folder / "log").open("wb")
        self._process = subprocess.Popen(
            [
                str(program("prometheus")),
                f"--config.file={config}",
                f"--storage.tsdb.path={self._folder / 'data'}",
                f"--web.listen-address={HOST}:{self._port}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._log,
        )
        try:
            until_now(self._is_ready)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self._process.terminate()
        self._process.wait()
        self._log.close()
        self._held.close()

    def _is_ready(self) -> bool:
        assert self._process.poll() is None, (self._folder / "log").read_text()
        try:
            self._get("/-/ready")
        except OSError:
            return False
        return True

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://{HOST}:{self._port}{path}", timeout=PATIENCE_S) as answer:
            body: bytes = answer.read()
            return body

    def api(self, path: str) -> Any:
        """Ask its API; returns the data of the answer."""
        return json.loads(self._get(f"/api/v1/{path}"))["data"]

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
