"""The component of webhooks, beside the base: what it adds, what it may reach, and what presence is told."""

import os
from pathlib import Path

import pytest

from presence.settings import PresenceSettings
from tests.k8s.rendered import ROOT, Rendered
from tieline.runtime.settings import read_settings
from webhooks.settings import WebhookSettings

pytestmark = pytest.mark.needs("kubectl")


@pytest.fixture
def overlay(tmp_path: Path) -> Rendered:
    """An overlay that names the component."""
    k8s = os.path.relpath(ROOT / "deploy/k8s", tmp_path)
    (tmp_path / "kustomization.yaml").write_text(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamespace: tieline\n"
        f"resources: [{k8s}/base]\ncomponents: [{k8s}/components/webhooks]\n"
    )
    return Rendered(tmp_path)


def test_workers_are_confined_probed_and_log_in_as_themselves(overlay: Rendered) -> None:
    pod = overlay.get("Deployment", "webhooks")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["args"] == ["webhooks"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert {"startupProbe", "livenessProbe", "readinessProbe"} <= container.keys()
    environ = {one["name"]: one["value"] for one in container["env"]}
    assert environ["TIELINE_NATS_USER"] == "webhooks"
    (password,) = [volume for volume in pod["volumes"] if volume["name"] == "nats-password"]
    assert [item["key"] for item in password["secret"]["items"]] == ["TIELINE_WEBHOOKS_PASSWORD"]
    wanted = overlay.get("ConfigMap", "webhook-settings")["data"]
    settings = read_settings(WebhookSettings, wanted)
    assert pod["terminationGracePeriodSeconds"] > settings.longest_stop_s


def test_presence_keeps_events(overlay: Rendered) -> None:
    settings = read_settings(PresenceSettings, overlay.get("ConfigMap", "presence-settings")["data"])
    assert settings.events == "on"


def test_workers_reach_the_internet_and_nothing_private(overlay: Rendered) -> None:
    policy = overlay.get("NetworkPolicy", "webhooks-to-receivers")["spec"]
    assert policy["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "webhooks"
    (rule,) = policy["egress"]
    assert rule["ports"] == [{"port": 443, "protocol": "TCP"}]
    v4, v6 = (to["ipBlock"] for to in rule["to"])
    private = {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "127.0.0.0/8"}
    assert private <= set(v4["except"])
    assert v6 == {"cidr": "2000::/3"}
