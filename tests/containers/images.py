"""Images made of what this machine has: nothing is pulled.

- the base that `deploy/Dockerfile` is built on: a minimal Debian with Python, by debootstrap; and
  the same with a compiler, in which it compiles;
- Tieline's own, by that Dockerfile, without a network: its wheels are fetched by this machine's pip;
- HAProxy: this machine's, with the libraries that it loads, and nothing else.

What is made stays in the engine, under a name that follows from what went into it. `python -m
tests.containers.images` makes Tieline's in advance, and what it is made on.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import docker

from deploy.supply_chain.image import build
from tests.support.demand import program
from tests.support.nats_container import DOCKER_TIMEOUT_S
from tieline.cli.options import option_parser

ROOT: Final = Path(__file__).parents[2]

SUITE: Final = "bookworm"
PACKAGES: Final = "python3"
PYTHON: Final = "3.11"
"""What that suite brings."""
COMPILER: Final = ("gcc", "libc6-dev", f"libpython{PYTHON}-dev")

BUILD_TIMEOUT_S: Final = 240
"""For one answer of the engine while it builds."""


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Let no other process make images meanwhile: two that make the same would have one each."""
    with Path(tempfile.gettempdir(), "tieline-test-images.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def base_images(folder: Path) -> tuple[str, str]:
    """Make the base and what compiles, unless they are there; return their names.

    Needs root, debootstrap, and Debian's packages.
    """
    recipe = f"{SUITE} minbase {PACKAGES}"
    base = f"tieline-test-base:{_digest([recipe.encode()])}"
    builder = f"tieline-test-builder:{_digest([recipe.encode(), *(name.encode() for name in COMPILER)])}"
    if not (_is_there(base) and _is_there(builder)):
        root = folder / "root"
        debootstrap = program("debootstrap")
        assert debootstrap is not None
        subprocess.run(
            [debootstrap, "--variant=minbase", f"--include={PACKAGES}", SUITE, root],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        _import(root, folder / "base.tar", base)
        shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
        environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        # Nobody needs it after a power failure: without this dpkg waits for the disk most of the time.
        apt = ["apt-get", "--option", "Dpkg::Options::=--force-unsafe-io"]
        install = ["install", "--yes", "--no-install-recommends", *COMPILER]
        subprocess.run(["chroot", root, *apt, *install], check=True, stdout=subprocess.DEVNULL, env=environ)
        _import(root, folder / "builder.tar", builder)
        shutil.rmtree(root)
    return base, builder


def _import(root: Path, packed: Path, name: str) -> None:
    """Make an image of a folder, but for what only apt wants there."""
    without = ["--exclude=./var/cache/apt/*", "--exclude=./var/lib/apt/lists/*"]
    subprocess.run(["tar", "--create", "--file", packed, *without, "--directory", root, "."], check=True)
    with closing(docker.from_env(timeout=BUILD_TIMEOUT_S)) as engine:
        repository, _, tag = name.partition(":")
        engine.api.import_image_from_file(str(packed), repository=repository, tag=tag)
    packed.unlink()


def tieline_image(folder: Path, base: str, builder: str, built: Path) -> str:
    """Build Tieline's image as `make image` does, SBOM and provenance to `built`; return its name."""
    context = folder / "context"
    _copy_context(context)
    _fetch_wheels(context)
    files = sorted(path for path in context.rglob("*") if path.is_file())
    parts = [base.encode(), builder.encode(), *(_described(path, context) for path in files)]
    name = f"tieline-test:{_digest(parts)}"
    # What the engine has in its cache is not built again.
    build(context, name, base, built, network="none", builder=builder)
    return name


def _copy_context(context: Path) -> None:
    """Copy what `.dockerignore` lets through; the wheels come apart."""
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    for wanted in [line[1:] for line in ignored if line.startswith("!")]:
        source, target = ROOT / wanted, context / wanted
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.is_file():
            shutil.copy(source, target)
    for needed in ("deploy/Dockerfile", ".dockerignore"):
        shutil.copy(ROOT / needed, context / needed)


def _fetch_wheels(context: Path) -> None:
    """Fetch what the Dockerfile asks for where nothing can be fetched, for the Python of the base."""
    wheels = context / "deploy/wheels"
    wheels.mkdir(exist_ok=True)
    fetch = [sys.executable, "-m", "pip", "download", "--require-hashes", "--no-deps", "--quiet"]
    for name in ("requirements.lock", "build.lock"):
        lock = context / "deploy" / name
        where = ["--python-version", PYTHON, "--dest", str(wheels)]
        subprocess.run([*fetch, *where, "--requirement", lock], check=True)


def haproxy_image(folder: Path) -> str:
    """Build an image of this machine's HAProxy, unless it is there; return its name."""
    binary = program("haproxy")
    assert binary is not None
    files = [Path(binary), *_libraries(binary)]
    name = f"tieline-test-haproxy:{_digest(path.read_bytes() for path in files)}"
    if not _is_there(name):
        context = folder / "haproxy"
        for path in files:
            target = context / "root" / path.relative_to("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
        (context / "Dockerfile").write_text(
            f'FROM scratch\nCOPY root /\nUSER 65532:65532\nENTRYPOINT ["{binary}"]\n'
        )
        with closing(docker.from_env(timeout=DOCKER_TIMEOUT_S)) as engine:
            engine.images.build(path=str(context), tag=name, rm=True)
    return name


def _libraries(binary: str) -> list[Path]:
    """List the shared libraries that a program loads, and what loads them."""
    listed = subprocess.run(["ldd", binary], check=True, capture_output=True, text=True).stdout
    return [Path(path) for path in re.findall(r"(/\S+) \(0x", listed)]


def _is_there(name: str) -> bool:
    with closing(docker.from_env(timeout=DOCKER_TIMEOUT_S)) as engine:
        try:
            engine.images.get(name)
        except docker.errors.ImageNotFound:
            return False
    return True


def size_mb(name: str) -> float:
    """Measure an image, in millions of bytes."""
    with closing(docker.from_env(timeout=DOCKER_TIMEOUT_S)) as engine:
        return float(engine.images.get(name).attrs["Size"]) / 1e6


def _described(path: Path, context: Path) -> bytes:
    return str(path.relative_to(context)).encode() + path.read_bytes()


def _digest(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:12]


if __name__ == "__main__":
    option_parser("python -m tests.containers.images", __doc__).parse_args()
    with one_at_a_time(), tempfile.TemporaryDirectory() as made_in:
        base_and_builder = base_images(Path(made_in))
        tieline_image(Path(made_in), *base_and_builder, Path(made_in, "built"))
