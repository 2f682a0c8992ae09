"""The systems under load: each is a context that starts it on free ports, and leaves nothing behind.

Each runs in a process group of its own, so that Ctrl-C reaches only the benchmark, which then ends them in
order. A benchmark that is killed takes them along.
"""

import asyncio
import json
import os
import secrets
import signal
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

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

ROOT: Final = Path(__file__).parent.parent


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


@asynccontextmanager
async def echo() -> AsyncIterator[System]:
    """Start the bare echo: one process."""
    async with _reference("bench.echo") as (port, pid):
        target = Target(f"ws://127.0.0.1:{port}/", None)
        yield System("bare echo", target, lambda: {"server": [pid]}, "server")


@asynccontextmanager
async def handrolled() -> AsyncIterator[System]:
    """Start the hand-rolled relay: two gateways and a broker."""
    async with AsyncExitStack() as stack:
        nats_url, nats_pid = await stack.enter_async_context(_nats_server())
        gateways = [
            await stack.enter_async_context(_reference("bench.handrolled", "--nats", nats_url))
            for _ in range(2)
        ]
        sender_url, receiver_url = (f"ws://127.0.0.1:{port}/" for port, _ in gateways)
        pids = {"gateways": [pid for _, pid in gateways], "broker": [nats_pid]}
        yield System("hand-rolled relay", Target(sender_url, receiver_url), lambda: pids, "gateways")


@asynccontextmanager
async def tieline(*, limits: str = "off") -> AsyncIterator[System]:
    """Start Tieline: two gateways, a router, a presence and a broker, as `tieline dev` does."""
    secret = secrets.token_urlsafe(32)
    with tempfile.TemporaryDirectory(prefix="tieline-bench-") as folder:
        ready, log = Path(folder, "ready.json"), Path(folder, "log")
        words = (
            *("-m", "tieline.cli", "dev", "--gateways", "2", "--port", "0", "--ready-file", str(ready)),
            *("--log-file", str(log)),
        )
        environment = {
            "TIELINE_JWT_SECRET": secret,
            "TIELINE_LIMITS": limits,
            "TIELINE_LOG_LEVEL": "warning",
        }
        async with _process((sys.executable, *words), environment=environment) as process:
            sender_url, receiver_url = (await _until_written(ready, process, "tieline dev"))["gateways"]

            def pids() -> Pids:
                written = ready_file.read(ready).pids
                return {
                    "gateways": written["gateway"],
                    "router + presence": written["router"] + written["presence"],
                    "broker": written["nats"],
                }

            try:
                yield System("Tieline", Target(sender_url, receiver_url, secret), pids, "gateways")
            except Exception:
                sys.stderr.write(f"the log of Tieline is in {_kept(log)}\n")
                raise


def _kept(log: Path) -> Path:
    """Keep a log whose folder goes: it may say why there are no figures."""
    descriptor, name = tempfile.mkstemp(prefix="tieline-bench-", suffix=".log")
    with os.fdopen(descriptor, "wb") as kept:
        kept.write(log.read_bytes())
    return Path(name)


STARTERS: Final = {"tieline": tieline, "handrolled": handrolled, "echo": echo}
"""Every system, by the word that chooses it."""


@asynccontextmanager
async def _reference(module: str, *words: str) -> AsyncIterator[tuple[int, int]]:
    async with _process((sys.executable, "-m", module, *words), stdout=PIPE) as process:
        assert process.stdout is not None
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                line = await process.stdout.readline()
        except TimeoutError:
            line = b""
        if not line:
            raise StartError(f"{module} did not start")
        yield int(line), process.pid


@asynccontextmanager
async def _nats_server() -> AsyncIterator[tuple[str, int]]:
    try:
        program = find_nats_server(os.environ)  # the one that Tieline has
    except NoNatsServer as problem:
        raise StartError(str(problem)) from None
    with tempfile.TemporaryDirectory(prefix="handrolled-bench-") as folder:
        words = ("--addr", "127.0.0.1", "--port", "-1", "--ports_file_dir", folder)
        environment = broker_environment(os.environ)  # as many processors as Tieline's has
        async with _process((str(program), *words), environment, stderr=DEVNULL) as process:
            ports = Path(folder, f"nats-server_{process.pid}.ports")
            (url,) = (await _until_written(ports, process, "nats-server"))["nats"]
            yield url, process.pid


@asynccontextmanager
async def _process(
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
    stdout: int = DEVNULL,
    stderr: int | None = None,
) -> AsyncIterator[Process]:
    """Run a process; at the end ask it to end, and after `STOP_TIMEOUT_S` kill it and all it started."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=PIPE,
        stdout=stdout,
        stderr=stderr,
        cwd=ROOT,
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


async def _until_written(file: Path, process: Process, name: str) -> dict[str, Any]:
    """Wait for the JSON object that a starting process writes into `file`."""
    deadline = asyncio.get_running_loop().time() + START_TIMEOUT_S
    while True:
        try:
            written: dict[str, Any] = json.loads(file.read_text())  # noqa: ASYNC240  # tiny
        except (FileNotFoundError, ValueError):  # not yet, or not yet all of it
            if process.returncode is not None:
                raise StartError(f"{name} ended with {process.returncode} before it was ready") from None
            if asyncio.get_running_loop().time() > deadline:
                raise StartError(f"{name} was not ready within {START_TIMEOUT_S:g} s") from None
            await asyncio.sleep(LOOK_AGAIN_S)
        else:
            return written
