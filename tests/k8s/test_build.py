"""Each overlay builds, is valid to the letter, and holds no secret and no floating image."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import kubernetes_validate
import pytest

from tests.k8s.rendered import (
    NAMESPACE,
    ROOT,
    SERVICES,
    Json,
    container_of,
    each_overlay,
    rendered,
    rendered_beside,
    strings,
)
from tieline import __version__
from tieline.cli.dev.broker_process import find_nats_server

pytestmark = pytest.mark.needs("kubectl")

KUBERNETES = "1.32"
"""What the manifests are valid for; preStop's `sleep` needs 1.30."""

OPERATOR = "monitoring.coreos.com/v1"
"""The Prometheus operator's: Kubernetes has no schema of these."""

EVERYWHERE = ("Namespace",)
"""Kinds that are in no namespace."""


@each_overlay
def test_every_object_is_valid_to_the_letter(overlay: str) -> None:
    objects = [one for one in rendered(overlay).objects if one["apiVersion"] != OPERATOR]
    assert len(objects) > 20
    for one in objects:
        kubernetes_validate.validate(one, KUBERNETES, strict=True)


def test_what_is_not_valid_would_be_noticed() -> None:
    gateway: Json = {**rendered("dev").get("Deployment", "gateway"), "replica": 3}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(gateway, KUBERNETES, strict=True)


@each_overlay
def test_everything_is_in_the_namespace(overlay: str) -> None:
    for one in rendered(overlay).objects:
        if one["kind"] not in EVERYWHERE:
            assert one["metadata"]["namespace"] == NAMESPACE


@each_overlay
def test_no_two_objects_have_one_name(overlay: str) -> None:
    names = [(one["kind"], one["metadata"]["name"]) for one in rendered(overlay).objects]
    assert len(set(names)) == len(names)


@each_overlay
def test_images_are_named_by_version(overlay: str) -> None:
    images = {container_of(one)["image"] for one in rendered(overlay).workloads()}
    program = find_nats_server(os.environ)
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    tried = re.search(r"v(\d+\.\d+\.\d+)", said)
    assert tried
    assert images == {f"tieline:{__version__}", f"nats:{tried[1]}-alpine"}
    assert not any("latest" in text for one in rendered(overlay).workloads() for text in strings(one))


@each_overlay
def test_secrets_are_referred_to_and_never_inlined(overlay: str) -> None:
    assert rendered(overlay).all("Secret") == []
    for service in SERVICES:
        environ = rendered(overlay).environ(service)
        secrets = {name for name in environ if "PASSWORD" in name or "SECRET" in name}
        assert secrets
        assert all(name.endswith("_FILE") for name in secrets)  # which files those are: test_pods
        assert all(environ[name].removeprefix("-").startswith("/etc/") for name in secrets)
    for config in rendered(overlay).all("ConfigMap"):
        for key in config["data"]:
            said = key.removeprefix("TIELINE_TOKEN_IN_QUERY")  # which says where none may be
            assert not re.search("password|secret|token", said, re.IGNORECASE)


def secrets_in(value: object) -> Iterator[str]:
    """The names of all Secrets that an object refers to."""
    match value:
        case {"secretKeyRef": {"name": str() as name}} | {"secretRef": {"name": str() as name}}:
            yield name
        case {"secretName": str() as name}:
            yield name
        case dict():
            for one in value.values():
                yield from secrets_in(one)
        case list():
            for one in value:
                yield from secrets_in(one)


def test_an_operator_is_told_to_make_the_secrets_that_are_referred_to(tmp_path: Path) -> None:
    told = (ROOT / "docs/operations.md").read_text()
    made = set(re.findall(r"create secret (?:generic|tls) ([\w-]+)", told))
    with_workers = "resources: [../production]\ncomponents: [../../components/webhooks]\n"
    assert set(secrets_in(rendered_beside(with_workers, tmp_path).objects)) == made


@pytest.mark.parametrize("kind", ["PodMonitor", "PrometheusRule"])
def test_what_prometheus_operator_reads_is_only_where_there_is_one(kind: str) -> None:
    assert len(rendered("production").all(kind)) == 1
    assert rendered("dev").all(kind) == []
