"""A nats-server in a container, through testcontainers.

The image is `NATS_IMAGE` if that is set. Else it is built here, from nothing but the statically linked
nats-server of the pip package: no image has to be pulled from anywhere.
"""

import gc
import hashlib
import io
import os
import tarfile
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Final

from tieline.cli.dev.broker_process import find_nats_server

IMAGE_VARIABLE: Final = "NATS_IMAGE"
CLIENT_PORT: Final = 4222
STORAGE: Final = "/data"

POLL_S: Final = 0.05
"""Between two looks at its log: it starts in a fraction of a second."""

DOCKER_TIMEOUT_S: Final = 60
"""For one answer of the engine: it builds the image and starts containers while tests load the machine."""

_DOCKERFILE: Final = b"""\
FROM scratch
COPY nats-server /nats-server
ENTRYPOINT ["/nats-server"]
"""


@cache
def docker_answers() -> bool:
    """Find out, once, whether there is a Docker engine for us."""
    import docker

    answers = False
    with warnings.catch_warnings():
        # Where there is no engine docker-py leaves the socket it tried open; it is collected here.
        warnings.simplefilter("ignore", ResourceWarning)
        with (
            suppress(docker.errors.DockerException, OSError),
            closing(docker.from_env(timeout=DOCKER_TIMEOUT_S)) as engine,
        ):
            answers = bool(engine.ping())
        gc.collect()
    return answers


@contextmanager
def nats_container() -> Iterator[str]:
    """Run one with JetStream, whose streams live in its memory; yield its URL on this machine."""
    # Ryuk, which testcontainers starts to clean up behind killed runs, is an image that must be pulled.
    os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    with (
        DockerContainer(os.environ.get(IMAGE_VARIABLE) or nats_image())
        .with_command(["--jetstream", "--store_dir", STORAGE])
        .with_exposed_ports(CLIENT_PORT)
        .with_tmpfs_mount(STORAGE)
        .waiting_for(
            LogMessageWaitStrategy("Server is ready")
            .with_startup_timeout(DOCKER_TIMEOUT_S)
            .with_poll_interval(POLL_S)
        )
    ) as container:
        yield f"nats://{container.get_container_host_ip()}:{container.get_exposed_port(CLIENT_PORT)}"


def nats_image() -> str:
    """Build the image unless it is there; return its name, which follows from the program inside."""
    import docker

    program = find_nats_server(os.environ)
    name = f"tieline-test-nats:{hashlib.sha256(program.read_bytes()).hexdigest()[:12]}"
    with closing(docker.from_env(timeout=DOCKER_TIMEOUT_S)) as engine:
        try:
            engine.images.get(name)
        except docker.errors.ImageNotFound:
            engine.images.build(fileobj=_context(program), custom_context=True, tag=name, rm=True)
    return name


def _context(program: Path) -> io.BytesIO:
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        dockerfile = tarfile.TarInfo("Dockerfile")
        dockerfile.size = len(_DOCKERFILE)
        tar.addfile(dockerfile, io.BytesIO(_DOCKERFILE))
        tar.add(program.resolve(), arcname="nats-server", filter=_executable)
    context.seek(0)
    return context


def _executable(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.mode = 0o755
    return member
