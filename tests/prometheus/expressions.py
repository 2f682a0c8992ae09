"""What the dashboard and the rules ask Prometheus, read from the files that are committed."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import yaml

from deploy.monitoring.generated import DASHBOARD, RULES


class Target(NamedTuple):
    """One query of one panel."""

    expr: str
    labels: frozenset[str]
    """That its legend shows."""


def _panels() -> list[dict[str, Any]]:
    board = json.loads(DASHBOARD.read_text())
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def _target(target: Mapping[str, Any]) -> Target:
    return Target(target["expr"], frozenset(re.findall(r"{{(\w+)}}", target.get("legendFormat", ""))))


TARGETS: Final = {
    f"{panel['title']}: {target.get('legendFormat') or target['refId']}": _target(target)
    for panel in _panels()
    for target in panel["targets"]
}

ALERTS: Final[dict[str, dict[str, Any]]] = {
    rule["alert"]: rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
}


def metrics_in(expr: str) -> set[str]:
    """The names of our own metrics in an expression."""
    return set(re.findall(r"\btieline_\w+", expr))
