"""Which files are generated, and from what."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from deploy.monitoring import dashboard, prometheus_rule

DEPLOY: Final = Path(__file__).parents[1]

RULES: Final = DEPLOY / "prometheus/rules.yaml"
"""Written by hand: what Prometheus itself reads."""

DASHBOARD: Final = DEPLOY / "grafana/dashboards/tieline.json"
PROMETHEUS_RULE: Final = DEPLOY / "k8s/components/monitoring/prometheus-rule.yaml"

FILES: Final[Mapping[Path, Callable[[], str]]] = {
    DASHBOARD: dashboard.as_json,
    PROMETHEUS_RULE: lambda: prometheus_rule.as_yaml(RULES.read_text()),
}
"""Each with the function that gives its content."""
