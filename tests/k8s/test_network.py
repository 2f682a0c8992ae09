"""The network policies, played out: who may speak to whom is what is drawn; the way in has no favourites."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest

from gateway.settings import GatewaySettings
from tests.k8s.rendered import NAMESPACE, SERVICES, Json, each_overlay, rendered, selects

pytestmark = pytest.mark.needs("kubectl")


class Place(NamedTuple):
    """A pod that somebody may speak from, or to."""

    namespace: str
    labels: Mapping[str, str]
    ports: Mapping[str, int]


STRANGERS = {
    "ingress": Place(
        "ingress-nginx",
        {"app.kubernetes.io/name": "ingress-nginx", "app.kubernetes.io/component": "controller"},
        {"https": 443},
    ),
    "prometheus": Place("monitoring", {"app.kubernetes.io/name": "prometheus"}, {"web": 9090}),
    "grafana": Place("monitoring", {"app.kubernetes.io/name": "grafana"}, {"web": 3000}),
    "dns": Place("kube-system", {"k8s-app": "kube-dns"}, {"dns": 53}),
    "api-server": Place("kube-system", {"component": "kube-apiserver"}, {"https": 6443}),
    "neighbour": Place("default", {"app": "something"}, {"http": 80}),
    "backend": Place("default", {"tieline-api-client": "true"}, {}),
    "lodger": Place(NAMESPACE, {"app": "something"}, {"http": 80}),
    "impostor": Place(
        "default", {"app.kubernetes.io/name": "tieline", "app.kubernetes.io/component": "gateway"}, {}
    ),
}

ARROWS = {
    ("ingress", "gateway", "ws"),
    *((service, "nats", "client") for service in SERVICES),
    ("backend", "api", "api"),
    ("nats", "nats", "cluster"),
    *(("prometheus", service, "ops") for service in SERVICES),
    *((somebody, "dns", "dns") for somebody in (*SERVICES, "nats", "lodger")),
}
"""From whom, to whom, on which port. What does not begin or end in our namespace is none of our business."""


def places(overlay: str) -> dict[str, Place]:
    """Everybody."""
    own = {}
    for component in (*SERVICES, "nats"):
        template = rendered(overlay).pod(component)
        ports = {one["name"]: one["containerPort"] for one in template["spec"]["containers"][0]["ports"]}
        own[component] = Place(NAMESPACE, template["metadata"]["labels"], ports)
    return {**own, **STRANGERS}


def is_peer(peer: Json, place: Place) -> bool:
    """Whether a `from` or `to` entry means a pod."""
    assert peer.keys() <= {"namespaceSelector", "podSelector"}
    if "namespaceSelector" in peer:
        if not selects(peer["namespaceSelector"], {"kubernetes.io/metadata.name": place.namespace}):
            return False
    elif place.namespace != NAMESPACE:
        return False
    return selects(peer.get("podSelector", {}), place.labels)


def allows(rule: Json, side: str, other: Place, target: Place, port: str) -> bool:
    """Whether one rule allows a connection; an empty list of peers, or of ports, would mean all."""
    peers, ports = rule.get(side, []), rule.get("ports", [])
    if peers and not any(is_peer(peer, other) for peer in peers):
        return False
    return not ports or any(one["port"] == target.ports[port] for one in ports)


def may(policies: list[Json], direction: str, pod: Place, other: Place, target: Place, port: str) -> bool:
    """Whether all policies together let a pod of ours speak, or be spoken to."""
    if pod.namespace != NAMESPACE:
        return True
    side = {"Ingress": "from", "Egress": "to"}[direction]
    concerned: list[dict[str, Any]] = [
        policy["spec"]
        for policy in policies
        if direction in policy["spec"]["policyTypes"] and selects(policy["spec"]["podSelector"], pod.labels)
    ]
    return not concerned or any(
        allows(rule, side, other, target, port)
        for spec in concerned
        for rule in spec.get(direction.lower(), [])
    )


@each_overlay
def test_the_policies_allow_exactly_what_is_drawn(overlay: str) -> None:
    everybody, policies = places(overlay), rendered(overlay).all("NetworkPolicy")
    allowed = {
        (source, target, port)
        for source, speaker in everybody.items()
        for target, listener in everybody.items()
        for port in listener.ports
        if NAMESPACE in (speaker.namespace, listener.namespace)
        and may(policies, "Egress", speaker, listener, listener, port)
        and may(policies, "Ingress", listener, speaker, listener, port)
    }
    assert allowed == ARROWS


@each_overlay
def test_whatever_else_comes_into_the_namespace_may_nothing(overlay: str) -> None:
    deny = rendered(overlay).get("NetworkPolicy", "default-deny")["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for policy in rendered(overlay).all("NetworkPolicy"):
        for side, peers in (("ingress", "from"), ("egress", "to")):
            for rule in policy["spec"].get(side, []):
                assert rule[peers]
                assert rule["ports"]


@each_overlay
def test_the_way_in_has_no_favourites_and_is_patient_with_websockets(overlay: str) -> None:
    service = rendered(overlay).get("Service", "gateway")["spec"]
    assert service["sessionAffinity"] == "None"
    assert selects(
        {"matchLabels": service["selector"]}, rendered(overlay).pod("gateway")["metadata"]["labels"]
    )
    ingress = rendered(overlay).get("Ingress", "gateway")
    annotations = ingress["metadata"]["annotations"]
    assert not any("affinity" in name or "hash" in name for name in annotations)
    settings = rendered(overlay).settings("gateway", GatewaySettings)
    silence = settings.ping_interval + settings.pong_timeout
    for direction in ("read", "send"):
        assert int(annotations[f"nginx.ingress.kubernetes.io/proxy-{direction}-timeout"]) > 10 * silence
    (rule,) = ingress["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    assert (path["path"], path["pathType"]) == ("/ws", "Exact")
    assert path["backend"]["service"] == {"name": "gateway", "port": {"name": service["ports"][0]["name"]}}
    assert ingress["spec"]["tls"][0]["hosts"] == [rule["host"]]


def test_prometheus_scrapes_every_service_as_a_job_of_its_name() -> None:
    monitor = rendered("production").get("PodMonitor", "tieline")["spec"]
    for service in SERVICES:
        template = rendered("production").pod(service)
        assert selects(monitor["selector"], template["metadata"]["labels"])
        (endpoint,) = monitor["podMetricsEndpoints"]
        assert endpoint["port"] in {one["name"] for one in template["spec"]["containers"][0]["ports"]}
    assert not selects(monitor["selector"], rendered("production").pod("nats")["metadata"]["labels"])
    assert endpoint["relabelings"] == [
        {"sourceLabels": ["__meta_kubernetes_pod_label_app_kubernetes_io_component"], "targetLabel": "job"}
    ]


@each_overlay
def test_no_token_may_be_where_balancers_log_it(overlay: str) -> None:
    assert rendered(overlay).settings("gateway", GatewaySettings).token_in_query is False
