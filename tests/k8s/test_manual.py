"""What docs/operations.md has operators write and type holds together with what it is about."""

import re
import shutil
import subprocess
import textwrap
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from tests.k8s.rendered import ROOT
from tests.support.demand import program

pytestmark = pytest.mark.needs("kubectl")

MANUAL = (ROOT / "docs/operations.md").read_text()
BLOCKS = [
    textwrap.dedent(block)
    for block in re.findall(r"^ *```yaml\n(.*?)^ *```", MANUAL, re.DOTALL | re.MULTILINE)
]


def block_with(words: str) -> str:
    """The one block of YAML in which these words stand."""
    (found,) = (block for block in BLOCKS if words in block)
    return found


def test_the_overlay_of_one_s_own_builds(tmp_path: Path) -> None:
    for part in ("k8s", "nats", "grafana"):
        shutil.copytree(ROOT / "deploy" / part, tmp_path / part)
    mine = tmp_path / "k8s/overlays/mine"
    mine.mkdir()
    (mine / "kustomization.yaml").write_text(block_with("kind: Kustomization"))
    done = subprocess.run(
        [str(program("kubectl")), "kustomize", str(mine)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "image: registry.example.com/tieline:" in done.stdout
    assert "host: calls.example.com" in done.stdout
    assert "tieline.example.com" not in done.stdout
    assert "TIELINE_ORIGINS: https://app.example.com" in done.stdout


def test_the_arrow_to_the_keys_is_a_valid_policy() -> None:
    policy = yaml.safe_load(block_with("gateway-to-keys"))
    kubernetes_validate.validate(policy, "1.32", strict=True)


def test_the_adapter_serves_the_metric_that_the_autoscaler_reads() -> None:
    (rule,) = yaml.safe_load(block_with("metricsQuery"))["rules"]
    assert re.fullmatch(rule["name"]["matches"], "tieline_connections")
    assert "tieline_connections" in rule["seriesQuery"]


def test_every_file_that_is_typed_is_there() -> None:
    typed = set(re.findall(r"(?<![\w./])((?:deploy|docs|tests)/[\w./-]*\w)", MANUAL))
    written_by_the_operator = {"deploy/k8s/overlays/mine", "deploy/k8s/overlays/mine/kustomization.yaml"}
    missing = {name for name in typed - written_by_the_operator if not (ROOT / name).exists()}
    assert missing == set()
