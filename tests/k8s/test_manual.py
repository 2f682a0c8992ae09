"""What docs/operations.md has operators write and type holds together with what it is about."""

import re
import textwrap
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from tests.k8s.rendered import ROOT, SERVICES, Rendered, container_of, rendered, rendered_beside, strings
from tieline import __version__

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


@pytest.fixture(scope="module", name="mine")
def render_mine(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    """The overlay that step 2 has an operator write."""
    return rendered_beside(block_with("kind: Kustomization"), tmp_path_factory.mktemp("mine"))


def test_the_overlay_of_one_s_own_builds(mine: Rendered) -> None:
    images = {container_of(one)["image"] for one in mine.workloads()}
    assert {image for image in images if not image.startswith("nats:")} == {
        f"registry.example.com/tieline:{__version__}"
    }
    assert mine.environ("gateway")["TIELINE_ORIGINS"] == "https://app.example.com"
    assert not any("tieline.example.com" in text for one in mine.objects for text in strings(one))


def test_its_way_in_is_the_gateway_api_s(mine: Rendered) -> None:
    assert mine.all("Ingress") == []
    (gateway,) = mine.all("Gateway")
    listeners = {one["name"]: one for one in gateway["spec"]["listeners"]}
    assert listeners["https"]["tls"]["certificateRefs"] == [{"name": "gateway-tls"}]
    routes = {one["metadata"]["name"]: one["spec"] for one in mine.all("HTTPRoute")}
    assert routes.keys() == {"gateway", "to-https"}
    for route, listener in (("gateway", "https"), ("to-https", "http")):
        assert routes[route]["hostnames"] == ["calls.example.com"]
        assert routes[route]["parentRefs"] == [{"name": gateway["metadata"]["name"], "sectionName": listener}]
        assert listener in listeners
    (rule,) = routes["gateway"]["rules"]
    assert rule["matches"] == [{"path": {"type": "Exact", "value": "/ws"}}]
    assert rule["timeouts"] == {"request": "0s"}  # none
    (backend,) = rule["backendRefs"]
    (port,) = mine.get("Service", "gateway")["spec"]["ports"]
    assert backend == {"name": "gateway", "port": port["port"]}
    assert port["appProtocol"] == "kubernetes.io/ws"
    (redirect,) = routes["to-https"]["rules"]
    assert redirect["filters"][0]["requestRedirect"] == {"scheme": "https", "statusCode": 301}
    assert "backendRefs" not in redirect


def test_its_proxies_alone_may_come_in(mine: Rendered) -> None:
    (rule,) = mine.get("NetworkPolicy", "clients-to-gateway")["spec"]["ingress"]
    (peer,) = rule["from"]
    assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "envoy-gateway-system"}
    (gateway,) = mine.all("Gateway")
    assert set(peer["podSelector"]["matchLabels"].values()) == {
        gateway["metadata"]["name"],
        gateway["metadata"]["namespace"],
    }
    (ports,) = rule["ports"]
    assert ports["port"] == 8080


def test_without_the_operator_its_kinds_are_taken_out(tmp_path: Path) -> None:
    own = yaml.safe_load(block_with("kind: Kustomization"))
    own["patches"] += yaml.safe_load(block_with("PodMonitor|PrometheusRule"))["patches"]
    without = rendered_beside(yaml.safe_dump(own), tmp_path)
    assert without.all("PodMonitor") == without.all("PrometheusRule") == []
    assert len(without.objects) > 20


def test_webhook_workers_are_told_where_a_backend_is(tmp_path: Path) -> None:
    own = yaml.safe_load(block_with("kind: Kustomization"))
    more = yaml.safe_load(block_with("components/webhooks"))
    own["components"] += more["components"]
    own["patches"] += more["patches"]
    told = rendered_beside(yaml.safe_dump(own), tmp_path)
    settings = told.get("ConfigMap", "webhook-settings")
    assert settings["data"]["TIELINE_WEBHOOK_URL"] == "https://backend.example.com/tieline"
    pod = told.get("Deployment", "webhooks")["spec"]["template"]["spec"]
    assert {"configMapRef": {"name": settings["metadata"]["name"]}} in pod["containers"][0]["envFrom"]
    (volume,) = (one for one in pod["volumes"] if one["name"] == "webhook")
    assert f"create secret generic {volume['secret']['secretName']} " in MANUAL


def test_the_overlay_of_a_laptop_fits_two_processors() -> None:
    dev = rendered("dev")
    requests = {
        one["metadata"]["name"]: cpu(container_of(one)["resources"]["requests"]["cpu"])
        * one["spec"].get("replicas", 1)
        for one in dev.workloads()
    }
    assert requests.keys() == {*SERVICES, "nats"}
    one_more = max(requests.values())  # a rollout starts the new pod before the old one goes
    assert sum(requests.values()) + one_more <= 1_000  # the control plane of such a machine asks for the rest
    scaler = dev.get("HorizontalPodAutoscaler", "gateway")["spec"]
    share = scaler["metrics"][1]["resource"]["target"]["averageUtilization"]
    base = rendered("production").get("HorizontalPodAutoscaler", "gateway")["spec"]
    base_share = base["metrics"][1]["resource"]["target"]["averageUtilization"]
    (container,) = rendered("production").pod("gateway")["spec"]["containers"]
    assert share * requests["gateway"] == base_share * cpu(container["resources"]["requests"]["cpu"])


def cpu(quantity: str) -> int:
    """Read thousandths of a processor."""
    return int(quantity[:-1]) if quantity.endswith("m") else 1_000 * int(quantity)


def test_logs_are_read_whole() -> None:
    lines = re.findall(r"^.*(?:\bk|kubectl -n tieline) logs .*$", MANUAL, re.MULTILINE)
    assert lines
    assert [line for line in lines if "--tail=" not in line] == []


def test_no_key_stays_in_an_annotation() -> None:
    commands = re.findall(r"create secret .*?(?=\n *[`\n])", MANUAL, re.DOTALL)
    assert commands
    assert [command for command in commands if "kubectl apply" in command] == []


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
