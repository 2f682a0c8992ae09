"""The overlays as they are rendered, and ways to find things in them."""

import functools
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
import yaml

from tests.support.demand import program
from tieline.runtime.secret_files import FILE_SUFFIX
from tieline.runtime.settings import ProcessSettings, read_settings

ROOT: Final = Path(__file__).parents[2]
OVERLAYS: Final = ("dev", "production")

SERVICES: Final = ("gateway", "router", "presence", "api")
NAMESPACE: Final = "tieline"

Json = dict[str, Any]
SettingsT = TypeVar("SettingsT", bound=ProcessSettings)

each_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


def text_of(folder: Path) -> str:
    """Render an overlay."""
    done = subprocess.run(
        [str(program("kubectl")), "kustomize", str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    return done.stdout


class Rendered:
    """The objects of the overlay in a folder."""

    def __init__(self, folder: Path) -> None:
        self.objects: list[Json] = [one for one in yaml.safe_load_all(text_of(folder)) if one]

    def all(self, kind: str) -> list[Json]:
        """Every object of a kind."""
        return [one for one in self.objects if one["kind"] == kind]

    def get(self, kind: str, name: str) -> Json:
        """One object; generated names are found without their hash."""
        (found,) = (
            one
            for one in self.all(kind)
            if one["metadata"]["name"] == name or one["metadata"]["name"].rpartition("-")[0] == name
        )
        return found

    def workloads(self) -> list[Json]:
        """The Deployments of the services, and the StatefulSet of the broker."""
        return [*self.all("Deployment"), *self.all("StatefulSet")]

    def pod(self, component: str) -> Json:
        """The pod template of a component."""
        kind = "Deployment" if component in SERVICES else "StatefulSet"
        template: Json = self.get(kind, component)["spec"]["template"]
        return template

    def environ(self, component: str) -> dict[str, str]:
        """What a component's container has in its environment; secrets as the place they come from."""
        (container,) = self.pod(component)["spec"]["containers"]
        environ: dict[str, str] = {}
        for source in container.get("envFrom", []):
            if "configMapRef" in source:
                environ |= self.get("ConfigMap", source["configMapRef"]["name"].rpartition("-")[0])["data"]
        for variable in container.get("env", []):
            secret = variable.get("valueFrom", {}).get("secretKeyRef")
            environ[variable["name"]] = (
                f"secret {secret['name']}/{secret['key']}" if secret else variable.get("value", "")
            )
        return environ

    def settings(self, component: str, kind: type[SettingsT]) -> SettingsT:
        """What a service makes of its environment, and of the files of its secrets, which hold something."""
        environ = self.environ(component)
        files = {name for name in environ if name.endswith(FILE_SUFFIX)}
        held = {
            name.removesuffix(FILE_SUFFIX): "something, which is long enough to sign with" for name in files
        }
        return read_settings(kind, {name: environ[name] for name in environ.keys() - files} | held)


@functools.cache
def rendered(overlay: str) -> Rendered:
    """One overlay of those in the repository, rendered once."""
    return Rendered(ROOT / "deploy/k8s/overlays" / overlay)


def rendered_beside(kustomization: str, folder: Path) -> Rendered:
    """Render an overlay that an operator writes, in a copy of what it stands beside."""
    for part in ("k8s", "nats", "grafana"):
        shutil.copytree(ROOT / "deploy" / part, folder / part)
    mine = folder / "k8s/overlays/mine"
    mine.mkdir()
    (mine / "kustomization.yaml").write_text(kustomization)
    return Rendered(mine)


def container_of(workload: Mapping[str, Any]) -> Json:
    """Its only container."""
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    found: Json = container
    return found


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector matches; an empty one matches everything."""
    for expression in selector.get("matchExpressions", []):
        assert expression["operator"] == "In"
        if labels.get(expression["key"]) not in expression["values"]:
            return False
    wanted: Mapping[str, str] = selector.get("matchLabels", {})
    return wanted.items() <= labels.items()


def strings(value: object) -> Iterator[str]:
    """Every string in an object."""
    match value:
        case str():
            yield value
        case Mapping():
            for one in value.values():
                yield from strings(one)
        case list():
            for one in value:
                yield from strings(one)
