"""The image holds what a service needs, and little else."""

import json
import tomllib
from functools import partial

import docker
import pytest

from tests.containers.fleet import CONFINED, Fleet, Images
from tests.containers.images import ROOT, size_mb
from tests.support.container import RunningContainer
from tests.support.waiting import until

pytestmark = [pytest.mark.needs("docker", "haproxy", "debootstrap", "openssl"), pytest.mark.timeout(420)]

LARGEST_MB = 90
"""What Tieline, and what it needs of PyPI, may add to the base: 60 for gateways, routers and presence, and
30 for what the API and the webhooks ask of PyPI."""

INSPECTION = """
import importlib.util, json, os, shutil
print(json.dumps({
    "uid": os.getuid(),
    "programs": [name for name in %r if shutil.which(name)],
    "modules": [name for name in %r if importlib.util.find_spec(name)],
}))
"""
LOADED = """
import importlib
print(*[name for name in %r if not importlib.import_module(name).__file__.endswith(".so")])
"""
TOOLS = ["pip", "pip3", "cc", "gcc", "g++", "ld", "make", "cargo", "git", "curl", "wget", "nats-server"]
MODULES = ["pip", "setuptools", "ensurepip", "aiortc", "numpy", "pytest", "mypy", "testcontainers"]
NEEDED = ["api", "gateway", "router", "presence", "uvloop"]


def run(
    image: str, command: list[str], entrypoint: list[str] | None = None, **environ: str
) -> tuple[int, str]:
    """Run one container to its end; returns its exit status and all that it said."""
    engine = docker.from_env()
    container = engine.containers.create(
        image, command, entrypoint=entrypoint, environment=environ, **CONFINED
    )
    try:
        container.start()
        return container.wait()["StatusCode"], container.logs().decode()
    finally:
        container.remove(force=True)
        engine.close()


def test_it_runs_as_nobody_and_can_neither_install_nor_compile(images: Images) -> None:
    program = INSPECTION % (TOOLS, MODULES + NEEDED)
    status, said = run(images.tieline, ["-c", program], ["python3"])
    assert status == 0, said
    assert json.loads(said) == {"uid": 65532, "programs": [], "modules": NEEDED}


def test_what_every_message_passes_is_compiled(images: Images) -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["tieline"]["compiled"]
    status, said = run(images.tieline, ["-c", LOADED % listed], ["python3"])
    assert status == 0, said
    assert said.split() == []


@pytest.mark.parametrize("service", ["api", "gateway", "router", "presence"])
def test_its_argument_is_the_service(images: Images, service: str) -> None:
    status, said = run(images.tieline, [service], TIELINE_JWT_SECRET="x" * 32, TIELINE_LOG_LEVEL="loud")
    assert status == 78
    assert said.startswith(f"{service}: TIELINE_LOG_LEVEL: 'loud' is unusable")


def test_what_is_found_wrong_later_ends_it_the_same_way(images: Images) -> None:
    status, said = run(images.tieline, ["router"], TIELINE_NATS_USER="router")
    assert status == 78
    assert said.splitlines()[-1].startswith("router: TIELINE_NATS_USER and TIELINE_NATS_PASSWORD go together")


def test_it_adds_little_to_its_base(images: Images, capsys: pytest.CaptureFixture[str]) -> None:
    whole, base = size_mb(images.tieline), size_mb(images.base)
    with capsys.disabled():
        print(f"\nimage: {whole:.0f} MB, of which {whole - base:.0f} MB on top of its base")
    assert 0 < whole - base < LARGEST_MB


def is_healthy(container: RunningContainer) -> bool:
    return container.health == "healthy"


async def test_its_own_check_finds_every_service_healthy(fleet: Fleet) -> None:
    for kind in ("presence", "router", "gateway"):
        for container in fleet.all(kind):
            await until(partial(is_healthy, container))
