"""The alert rules once more, as the object that the Prometheus operator reads."""

from typing import Final

import yaml

_HEAD: Final = """\
# Generated from deploy/prometheus/rules.yaml by `make dashboards`: change that file.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: tieline
  labels:
    app.kubernetes.io/name: tieline
spec:
"""


def as_yaml(rules: str) -> str:
    """Wrap a rules file of Prometheus."""
    groups = yaml.safe_dump(yaml.safe_load(rules), sort_keys=False, width=110, allow_unicode=True)
    return _HEAD + "".join(f"  {line}\n" if line else "\n" for line in groups.splitlines())
