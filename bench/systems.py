"""The systems under load: each is a context that starts it on free ports, and leaves nothing behind.

Each runs in a process group of its own, so that Ctrl-C reaches only the benchmark, which then ends them in
order. A benchmark that is killed takes them along.
"""

import asyncio
import json
import os
import secrets
import shlex
import shutil
import signal
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench.parts import GATEWAYS, in_parts
from bench.socketio_connection import QUERY, SocketIoConnection
from tieline.cli import ready_file
from tieline.cli.dev import child
from tieline.cli.dev.broker_process import NoNatsServer, broker_environment, find_nats_server
from tieline.load.client import Target
from tieline.load.processes import Pids

START_TIMEOUT_S: Final = 30.0
"""Tieline is ready within 3 s on a machine at rest; a busy machine may take longer."""

STOP_TIMEOUT_S: Final = 20.0
"""For a system to end by itself before it is killed: a drain may close hundreds of connections."""

LOOK_AGAIN_S: Final = 0.02
"""Between two looks for a file that a starting process writes."""

HANDROLLED: Final = "hand-rolled relay"

BROKER_HAS_HALF: Final = ", broker on half"
"""Of the name of a system: its broker has half the processors, as Tieline's has; else it has all."""

ROOT: Final = Path(__file__).parent.parent


SOCKETIO: Final = ("node", "bench/socketio/relay.js")
SOCKETIO_PACKAGES: Final = ROOT / "bench/socketio/node_modules/socket.io"


def _python(module: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module)


class Size(NamedTuple):
    """How many processes of each kind a Tieline has."""

    gateways: int = 2
    routers: int = 1
    presences: int = 1


USUAL: Final = Size()
NO_SETTINGS: Final[Mapping[str, str]] = {}


class StartError(Exception):
    """A system did not start; the text says which, and why."""


@dataclass(frozen=True)
class System:
    """A running system."""

    name: str
    target: Target
    pids: Callable[[], Pids]
    """Its present processes, by their kind."""
    edge: str
    """The key of `pids` whose first process serves the senders."""
    nats_url: str = ""
    """Of a Tieline's broker."""


@asynccontextmanager
async def echo() -> AsyncIterator[System]:
    """Start the bare echo: one process."""
    async with _reference(*_python("bench.echo")) as (port, pid):
        target = Target(f"ws://127.0.0.1:{port}/", None)
        yield System("bare echo", target, lambda: {"server": [pid]}, "server")


@asynccontextmanager
async def handrolled(*, broker_has_half: bool = False) -> AsyncIterator[System]:
    """Start the hand-rolled relay: two gateways and a broker."""
    name = f"{HANDROLLED}{BROKER_HAS_HALF if broker_has_half else ''}"
    async with (
        _nats_server(broker_has_half) as broker,
        _two(_python("bench.handrolled"), broker, name) as system,
    ):
        yield system


@asynccontextmanager
async def stored(*, broker_has_half: bool = False) -> AsyncIterator[System]:
    """Start the hand-rolled relay that stores: two gateways and a broker with JetStream."""
    name = f"{HANDROLLED} that stores{BROKER_HAS_HALF if broker_has_half else ''}"
    async with (
        _nats_server(broker_has_half, stores=True) as broker,
        _two((*_python("bench.handrolled"), "--stores"), broker, name) as system,
    ):
        yield system


@asynccontextmanager
async def socketio() -> AsyncIterator[System]:
    """Start the relay of socket.io and Redis: two servers, and a Redis that stores nothing."""
    missing = why_no_socketio()
    if missing:
        raise StartError(f"socket.io + Redis: {missing}")
    with tempfile.TemporaryDirectory(prefix="socketio-bench-") as folder:
        socket = Path(folder, "redis.sock")
        words = ("--port", "0", "--unixsocket", str(socket), "--save", "", "--appendonly", "no")
        program = str(shutil.which("redis-server"))
        async with run_process((program, *words, "--dir", folder)) as process:
            await _until_listening(socket, process, "redis-server")
            broker = _Broker((str(socket),), process.pid)
            async with _two(SOCKETIO, broker, "socket.io + Redis", QUERY) as system:
                yield replace(system, target=replace(system.target, connection=SocketIoConnection))


def why_no_socketio() -> str:
    """Say what is missing for the relay of socket.io and Redis; "": nothing."""
    for program in ("redis-server", "node"):
        if shutil.which(program) is None:
            return f"no {program} on the PATH"
    if not SOCKETIO_PACKAGES.exists():
        return "its packages are not installed: npm ci --prefix bench/socketio"
    return ""


@asynccontextmanager
async def tieline(
    *,
    limits: str = "off",
    tree: Path = ROOT,
    name: str = "Tieline",
    size: Size = USUAL,
    acks: bool = False,
    settings: Mapping[str, str] = NO_SETTINGS,
    log: Path | None = None,
) -> AsyncIterator[System]:
    """Start Tieline, as `tieline dev` does, but without events, which are off where nobody asks for them.

    Of this tree, or of another one that has a `tieline dev`. `acks`: who sends asks for them. `log` is kept.
    """
    secret = secrets.token_urlsafe(32)
    with tempfile.TemporaryDirectory(prefix="tieline-bench-") as folder:
        ready, log = Path(folder, "ready.json"), log or Path(folder, "log")
        words = (
            *("-m", "tieline.cli", "dev", "--port", "0", "--ready-file", str(ready), "--log-file", str(log)),
            *("--gateways", str(size.gateways), "--routers", str(size.routers)),
            *("--presences", str(size.presences)),
        )
        environment = {
            "TIELINE_JWT_SECRET": secret,
            "TIELINE_EVENTS": "off",
            "TIELINE_LIMITS": limits,
            "TIELINE_LOG_LEVEL": "warning",
            **settings,
            "PYTHONPATH": os.pathsep.join(filter(None, (str(tree), os.environ.get("PYTHONPATH")))),
        }
        async with run_process((sys.executable, *words), environment=environment, folder=tree) as process:
            written = await _until_written(ready, process, "tieline dev")
            urls = written["gateways"]
            target = Target(urls[0], urls[1 % len(urls)], secret, more_urls=tuple(urls[2:]), acks=acks)

            def pids() -> Pids:
                return in_parts(ready_file.read(ready).pids)

            try:
                yield System(name, target, pids, GATEWAYS, written["nats"])
            except Exception:
                sys.stderr.write(f"the log of {name} is in {_kept(log)}\n")
                raise


def _kept(log: Path) -> Path:
    """Keep a log whose folder goes: it may say why there are no figures."""
    descriptor, name = tempfile.mkstemp(prefix="tieline-bench-", suffix=".log")
    with os.fdopen(descriptor, "wb") as kept:
        kept.write(log.read_bytes())
    return Path(name)


STARTERS: Final[Mapping[str, Callable[[], AbstractAsyncContextManager[System]]]] = {
    "tieline": tieline,
    "tieline-acks": partial(tieline, name="Tieline, with acks", acks=True),
    "handrolled": handrolled,
    "handrolled-half": partial(handrolled, broker_has_half=True),
    "socketio": socketio,
    "stored": stored,
    "stored-half": partial(stored, broker_has_half=True),
    "echo": echo,
}
"""Every system, by the word that chooses it. Redis has one thread: no more than Tieline's broker has."""

USUAL_SYSTEMS: Final = tuple(word for word in STARTERS if word != "tieline-acks")
"""Those of a bench that is not told which: acks are looked at in the relay alone."""

NO_STORM: Final[Mapping[str, str]] = {
    "echo": "the bare echo is one process, after whose death there is none to come back to",
    "tieline-acks": "all who come back to a Tieline ask for acks",
}
"""Why a system loses no gateway, by the word that chooses it."""


class _Broker(NamedTuple):
    words: tuple[str, ...]
    """By which a gateway is told where it is."""
    pid: int


@asynccontextmanager
async def _two(command: Sequence[str], broker: _Broker, name: str, path: str = "/") -> AsyncIterator[System]:
    """Start two gateways of a reference on a broker."""
    async with AsyncExitStack() as stack:
        gateways = [await stack.enter_async_context(_reference(*command, *broker.words)) for _ in range(2)]
        sender_url, receiver_url = (f"ws://127.0.0.1:{port}{path}" for port, _ in gateways)
        pids = {GATEWAYS: [pid for _, pid in gateways], "broker": [broker.pid]}
        yield System(name, Target(sender_url, receiver_url), lambda: pids, GATEWAYS)


@asynccontextmanager
async def _reference(*command: str) -> AsyncIterator[tuple[int, int]]:
    async with run_process(command, stdout=PIPE) as process:
        assert process.stdout is not None
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                line = await process.stdout.readline()
        except TimeoutError:
            line = b""
        if not line:
            raise StartError(f"{shlex.join(command)} did not start")
        yield int(line), process.pid


@asynccontextmanager
async def _nats_server(has_half: bool, *, stores: bool = False) -> AsyncIterator[_Broker]:
    try:
        program = find_nats_server(os.environ)  # the one that Tieline has
    except NoNatsServer as problem:
        raise StartError(str(problem)) from None
    with tempfile.TemporaryDirectory(prefix="handrolled-bench-") as folder:
        words = ["--addr", "127.0.0.1", "--port", "-1", "--ports_file_dir", folder]
        if stores:
            words += ["--jetstream", "--store_dir", folder]
        environment = broker_environment(os.environ) if has_half else dict(os.environ)
        async with run_process((str(program), *words), environment, stderr=DEVNULL) as process:
            ports = Path(folder, f"nats-server_{process.pid}.ports")
            (url,) = (await _until_written(ports, process, "nats-server"))["nats"]
            yield _Broker(("--nats", url), process.pid)


@asynccontextmanager
async def run_process(
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
    stdout: int = DEVNULL,
    stderr: int | None = None,
    folder: Path = ROOT,
) -> AsyncIterator[Process]:
    """Run a process; at the end ask it to end, and after `STOP_TIMEOUT_S` kill it and all it started."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=PIPE,
        stdout=stdout,
        stderr=stderr,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        start_new_session=True,
        preexec_fn=child.die_with(os.getpid()),
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await process.wait()
            except TimeoutError:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()


async def _until_listening(socket: Path, process: Process, name: str) -> None:
    """Wait until a starting process listens on its socket."""
    deadline = asyncio.get_running_loop().time() + START_TIMEOUT_S
    while True:
        try:
            _, writer = await asyncio.open_unix_connection(socket)
        except (FileNotFoundError, ConnectionRefusedError):
            _raise_if_late(process, name, deadline)
            await asyncio.sleep(LOOK_AGAIN_S)
        else:
            writer.close()
            return


def _raise_if_late(process: Process, name: str, deadline: float) -> None:
    if process.returncode is not None:
        raise StartError(f"{name} ended with {process.returncode} before it was ready")
    if asyncio.get_running_loop().time() > deadline:
        raise StartError(f"{name} was not ready within {START_TIMEOUT_S:g} s")


async def _until_written(file: Path, process: Process, name: str) -> dict[str, Any]:
    """Wait for the JSON object that a starting process writes into `file`."""
    deadline = asyncio.get_running_loop().time() + START_TIMEOUT_S
    while True:
        try:
            written: dict[str, Any] = json.loads(file.read_text())  # noqa: ASYNC240  # tiny
        except (FileNotFoundError, ValueError):  # not yet, or not yet all of it
            _raise_if_late(process, name, deadline)
            await asyncio.sleep(LOOK_AGAIN_S)
        else:
            return written
