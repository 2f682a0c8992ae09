"""Pods: what they may do, how they are asked how they are, how they go, and how many there are."""

import re

import pytest

from api.settings import ApiSettings
from gateway.settings import GatewaySettings
from presence.settings import PresenceSettings
from tests.k8s.rendered import SERVICES, Json, container_of, each_overlay, rendered, selects
from tieline.runtime.secret_files import FILE_SUFFIX, OPTIONAL
from tieline.runtime.settings import ProcessSettings, variables_of
from tieline.runtime.weak_secrets import doubts_about

pytestmark = pytest.mark.needs("kubectl")

KINDS: dict[str, type[ProcessSettings]] = {
    "gateway": GatewaySettings,
    "router": ProcessSettings,
    "presence": PresenceSettings,
    "api": ApiSettings,
}

LAME_DUCK_S = 32
"""From SIGUSR2 to the end of a NATS node, by deploy/nats/nats.conf: 30 s, and 2 s of grace."""

COMPONENTS = (*SERVICES, "nats")

each_component = pytest.mark.parametrize("component", COMPONENTS)
each_service = pytest.mark.parametrize("service", SERVICES)


def workload(overlay: str, component: str) -> Json:
    """Its Deployment or StatefulSet."""
    (found,) = (one for one in rendered(overlay).workloads() if one["metadata"]["name"] == component)
    return found


@each_overlay
@each_component
def test_a_pod_is_restricted_as_its_namespace_demands(overlay: str, component: str) -> None:
    pod = rendered(overlay).pod(component)["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] >= 10_000
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert not pod.keys() & {"hostNetwork", "hostPID", "hostIPC"}
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {kind for volume in pod["volumes"] for kind in volume if kind != "name"} <= {
        "secret",
        "configMap",
        "emptyDir",
    }
    assert rendered(overlay).get("ServiceAccount", component)["automountServiceAccountToken"] is False
    assert pod["serviceAccountName"] == component


@each_overlay
def test_the_namespace_demands_it(overlay: str) -> None:
    labels = rendered(overlay).get("Namespace", "tieline")["metadata"]["labels"]
    for mode in ("enforce", "audit", "warn"):
        assert labels[f"pod-security.kubernetes.io/{mode}"] == "restricted"


@each_overlay
@each_service
def test_a_service_sees_the_brokers_certificate_and_not_its_key(overlay: str, service: str) -> None:
    (volume,) = mounted(overlay, service, "nats-tls").values()
    assert volume["items"] == [{"key": "ca.crt", "path": "ca.crt"}]
    (path,) = mounted(overlay, service, "nats-tls")
    assert rendered(overlay).environ(service)["TIELINE_NATS_CA"] == f"{path}/ca.crt"


@each_overlay
@each_service
def test_a_service_reads_its_secrets_from_files_and_no_others(overlay: str, service: str) -> None:
    environ = rendered(overlay).environ(service)
    expected = {"TIELINE_NATS_PASSWORD": (f"TIELINE_{service.upper()}_PASSWORD", "nats-passwords", False)}
    if service == "gateway":
        expected |= {
            "TIELINE_JWT_SECRET": ("secret", "tieline-jwt", True),
            "TIELINE_JWT_SECRET_PREVIOUS": ("previous", "tieline-jwt", True),
            "TIELINE_TURN_SECRET": ("secret", "tieline-turn", True),
        }
    if service == "api":
        expected |= {
            "TIELINE_API_KEYS": ("keys", "tieline-api", False),
            "TIELINE_JWT_SECRET": ("secret", "tieline-jwt", True),
        }
    named = {name.removesuffix(FILE_SUFFIX) for name in environ if name.endswith(FILE_SUFFIX)}
    assert named == expected.keys()
    for variable, (key, secret, is_optional) in expected.items():
        path = environ[variable + FILE_SUFFIX]
        assert path.startswith(OPTIONAL) is is_optional
        ((folder, volume),) = mounted(overlay, service, secret).items()
        assert volume.get("optional", False) is is_optional
        assert volume["defaultMode"] == 0o440
        items = {item["path"]: item["key"] for item in volume.get("items", [{"path": key, "key": key}])}
        file = path.removeprefix(OPTIONAL).removeprefix(f"{folder}/")
        assert items == {file: key}


def mounted(overlay: str, service: str, secret: str) -> dict[str, Json]:
    """Where a Secret is mounted in a service's container, and how."""
    pod = rendered(overlay).pod(service)["spec"]
    volumes = {volume["name"]: volume["secret"] for volume in pod["volumes"] if "secret" in volume}
    mounts = pod["containers"][0]["volumeMounts"]
    assert all(mount["readOnly"] for mount in mounts)
    assert {mount["name"] for mount in mounts} == {volume["name"] for volume in pod["volumes"]}
    return {
        mount["mountPath"]: volumes[mount["name"]]
        for mount in mounts
        if volumes[mount["name"]]["secretName"] == secret
    }


@each_overlay
@each_component
def test_a_container_has_requests_and_limits(overlay: str, component: str) -> None:
    resources = container_of(workload(overlay, component))["resources"]
    assert resources["requests"].keys() == resources["limits"].keys() == {"cpu", "memory"}


@each_overlay
@each_service
def test_every_setting_is_known_and_usable(overlay: str, service: str) -> None:
    environ = rendered(overlay).environ(service)
    assert environ.keys() <= set(variables_of(KINDS[service]))
    assert not doubts_about(rendered(overlay).settings(service, KINDS[service]))
    assert container_of(workload(overlay, service))["args"] == [service]


@each_overlay
@each_service
def test_the_ports_are_those_that_the_process_is_told(overlay: str, service: str) -> None:
    ports = {
        one["name"]: str(one["containerPort"]) for one in container_of(workload(overlay, service))["ports"]
    }
    environ = rendered(overlay).environ(service)
    assert ports["ops"] == environ["TIELINE_OPS_PORT"]
    assert ports.get("ws") == environ.get("TIELINE_LISTEN_PORT")
    assert environ["TIELINE_OPS_HOST"] == "0.0.0.0"


@each_overlay
def test_each_broker_is_named_to_the_services_and_to_the_others(overlay: str) -> None:
    replicas = workload(overlay, "nats")["spec"]["replicas"]
    nodes = {f"nats-{number}.nats" for number in range(replicas)}
    for service in SERVICES:
        environ = rendered(overlay).environ(service)
        assert set(environ["TIELINE_NATS_URL"].split(",")) == {f"tls://{node}:4222" for node in nodes}
        assert environ["TIELINE_NATS_USER"] == service
    routes = rendered(overlay).environ("nats")["NATS_ROUTES"]
    if replicas > 1:
        assert set(re.findall(r"nats://([\w.-]+):6222", routes)) == nodes
    assert rendered(overlay).get("Service", "nats")["spec"]["clusterIP"] == "None"
    assert int(rendered(overlay).environ("presence")["TIELINE_REPLICAS"]) == replicas


@each_overlay
def test_gateways_and_presence_agree(overlay: str) -> None:
    one, other = rendered(overlay).environ("gateway"), rendered(overlay).environ("presence")
    for name in ("TIELINE_RESUME_WINDOW", "TIELINE_GATEWAY_LEASE", "TIELINE_NAMESPACE"):
        assert one[name] == other[name]


@each_overlay
@each_service
def test_the_probes_ask_different_things(overlay: str, service: str) -> None:
    container = container_of(workload(overlay, service))
    startup, live, ready = (container[f"{name}Probe"] for name in ("startup", "liveness", "readiness"))
    assert startup["httpGet"] == live["httpGet"] == {"path": "/healthz", "port": "ops"}
    assert ready["httpGet"] == {"path": "/readyz", "port": "ops"}
    assert startup["failureThreshold"] * startup["periodSeconds"] >= 60
    assert live["failureThreshold"] * live["periodSeconds"] >= 30  # a hiccup must cost no connection
    assert ready["failureThreshold"] * ready["periodSeconds"] <= 10


@each_overlay
def test_the_brokers_probes_ask_different_things(overlay: str) -> None:
    container = container_of(workload(overlay, "nats"))
    paths = [container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")]
    assert len(set(paths)) == 3
    assert paths[1] == "/healthz?js-enabled-only=true"  # a lost majority is no reason to restart


@each_overlay
@each_service
def test_a_pod_has_time_to_stop(overlay: str, service: str) -> None:
    settings = rendered(overlay).settings(service, KINDS[service])
    pod = rendered(overlay).pod(service)["spec"]
    before = pod["containers"][0].get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    grace = pod["terminationGracePeriodSeconds"]
    needed = before + settings.longest_stop_s
    assert needed < grace <= needed + 15


@each_overlay
def test_a_gateway_serves_on_while_balancers_learn_that_it_goes(overlay: str) -> None:
    pod = rendered(overlay).pod("gateway")["spec"]
    assert pod["containers"][0]["lifecycle"]["preStop"] == {"sleep": {"seconds": 10}}


@each_overlay
def test_a_broker_has_time_for_its_lame_duck(overlay: str) -> None:
    pod = rendered(overlay).pod("nats")["spec"]
    assert pod["terminationGracePeriodSeconds"] > LAME_DUCK_S
    command = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert command == ["nats-server", "--signal", "ldm=/run/nats/nats.pid"]
    assert "/run/nats/nats.pid" in pod["containers"][0]["args"]
    config = rendered(overlay).get("ConfigMap", "nats-config")["data"]["nats.conf"]
    assert 'lame_duck_duration: "30s"' in config
    assert 'lame_duck_grace_period: "2s"' in config


@each_overlay
@each_service
def test_a_new_pod_works_before_an_old_one_goes(overlay: str, service: str) -> None:
    strategy = workload(overlay, service)["spec"]["strategy"]
    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}


@each_overlay
@each_component
def test_a_disruption_takes_one_at_a_time(overlay: str, component: str) -> None:
    labels = rendered(overlay).pod(component)["metadata"]["labels"]
    budgets = [
        one
        for one in rendered(overlay).all("PodDisruptionBudget")
        if selects(one["spec"]["selector"], labels)
    ]
    assert [one["metadata"]["name"] for one in budgets] == [component]
    assert budgets[0]["spec"]["maxUnavailable"] == 1


@each_overlay
@each_component
def test_pods_of_a_kind_spread_over_machines_and_zones(overlay: str, component: str) -> None:
    template = rendered(overlay).pod(component)
    spread = {one["topologyKey"]: one for one in template["spec"]["topologySpreadConstraints"]}
    assert spread.keys() == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    for one in spread.values():
        assert one["maxSkew"] == 1
        assert selects(one["labelSelector"], template["metadata"]["labels"])
    strict = spread["kubernetes.io/hostname"]["whenUnsatisfiable"] == "DoNotSchedule"
    assert strict == (component == "nats")


@each_overlay
@each_component
def test_a_workload_selects_its_own_pods_and_no_others(overlay: str, component: str) -> None:
    selector = workload(overlay, component)["spec"]["selector"]
    selected = [
        one for one in COMPONENTS if selects(selector, rendered(overlay).pod(one)["metadata"]["labels"])
    ]
    assert selected == [component]


@each_overlay
def test_gateways_are_scaled_up_at_once_and_down_slowly(overlay: str) -> None:
    scaler = rendered(overlay).get("HorizontalPodAutoscaler", "gateway")["spec"]
    assert "replicas" not in workload(overlay, "gateway")["spec"]
    by_connections, by_cpu = scaler["metrics"]
    assert by_connections["pods"]["metric"]["name"] == "tieline_connections"
    assert by_cpu["resource"]["name"] == "cpu"
    target = int(by_connections["pods"]["target"]["averageValue"])
    full = int(rendered(overlay).environ("gateway")["TIELINE_MAX_CONNECTIONS"])
    assert target <= 0.75 * full  # room for those of a gateway that dies, before a new one is there
    assert scaler["behavior"]["scaleUp"]["stabilizationWindowSeconds"] == 0
    down = scaler["behavior"]["scaleDown"]
    assert down["stabilizationWindowSeconds"] >= 600
    assert down["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 300}]


def test_in_production_there_is_more_than_one_of_each() -> None:
    assert rendered("production").get("HorizontalPodAutoscaler", "gateway")["spec"]["minReplicas"] >= 2
    for name in ("router", "presence"):
        assert workload("production", name)["spec"]["replicas"] >= 2
    assert workload("production", "nats")["spec"]["replicas"] == 3
