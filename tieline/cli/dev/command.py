"""`tieline dev`: the whole system on this machine, from the broker up, until Ctrl-C or SIGTERM."""

import argparse
import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from tieline.cli.dev import child
from tieline.cli.dev.broker_process import NoNatsServer
from tieline.cli.dev.local_system import GATEWAY, LocalSystem, Size, plan
from tieline.cli.dev.ports import HIGHEST, PortTaken
from tieline.cli.dev.supervisor import Supervisor, SystemFailed, say
from tieline.tokens import SECRET_VARIABLE, make_token

DEFAULT_PORT: Final = 8080

READY_MADE_TTL_S: Final = 24 * 3600.0
"""The printed tokens are for trying things out: they should outlive a day's work."""

EXIT_FAILED: Final = 1
EXIT_CANNOT_START: Final = 2


class CallFailed(Exception):
    """`tieline call` has ended with another status than 0, which it carries."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the call failed: {child.how_it_ended(status)}")
        self.status = status


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `tieline dev`."""
    parser.add_argument("--gateways", metavar="N", type=_count, default=2, help="gateways (%(default)s)")
    parser.add_argument("--routers", metavar="N", type=_count, default=1, help="routers (%(default)s)")
    parser.add_argument(
        "--presences", metavar="N", type=_count, default=1, help="presence processes (%(default)s)"
    )
    parser.add_argument(
        "--port",
        metavar="P",
        type=int,
        default=DEFAULT_PORT,
        help="the first gateway's port; the next ones follow; 0: free ports (%(default)s)",
    )
    parser.add_argument(
        "--ready-file",
        metavar="F",
        type=Path,
        help="write URLs and pids here, as JSON, each time all is ready",
    )
    parser.add_argument(
        "--call",
        action="store_true",
        help="once all is ready, make a call with `tieline call`; end with its exit status if it fails",
    )


def run(options: argparse.Namespace) -> int:
    """Run the system until a signal ends it; 0 then, else something is wrong and the words say what."""
    size = Size(options.gateways, options.routers, options.presences, options.port)
    if not 0 <= size.port <= size.port + size.gateways - 1 <= HIGHEST:
        say(f"--port {size.port} with {size.gateways} gateways: ports are 1 to {HIGHEST}, or 0 for free ones")
        return EXIT_CANNOT_START
    with (
        tempfile.TemporaryDirectory(prefix="tieline-", ignore_cleanup_errors=True) as folder,
        ExitStack() as held,
    ):
        storage = Path(folder, "jetstream")
        ready_file: Path = (options.ready_file or Path(folder, "ready.json")).absolute()
        try:
            system = plan(size, os.environ, storage, held)
            ready_file.unlink(missing_ok=True)  # what an earlier run wrote is not true any more
            _write(ready_file.with_name(f"{ready_file.name}.probe"), "").unlink()
        except NoNatsServer as problem:
            say(str(problem))
            return EXIT_CANNOT_START
        except PortTaken as problem:
            say(f"{problem}; --port names others")
            return EXIT_CANNOT_START
        except OSError as problem:
            say(f"--ready-file {ready_file} cannot be written: {problem.strerror or problem}")
            return EXIT_CANNOT_START
        try:
            asyncio.run(_run(system, ready_file, with_call=options.call))
        except SystemFailed as problem:
            say(str(problem))
            return EXIT_FAILED
        except CallFailed as problem:
            say(str(problem))
            return problem.status if problem.status > 0 else EXIT_FAILED
    return 0


async def _run(system: LocalSystem, ready_file: Path, with_call: bool) -> None:
    began = time.monotonic()
    stop = asyncio.Event()
    greeted = False

    async def when_ready() -> None:
        nonlocal greeted
        _write(ready_file, json.dumps(system.ready_document(supervisor.pids), indent=1) + "\n")
        if greeted:
            _tell("Tieline is ready again.\n")
            return
        greeted = True
        took_s = time.monotonic() - began
        if with_call:
            await _call(system, ready_file)
        _tell(_greeting(system, took_s, supervisor.pids(GATEWAY), os.environ))

    supervisor = Supervisor(system.parts, when_ready)

    def on_signal() -> None:
        if stop.is_set():
            supervisor.kill()
        else:
            stop.set()
            _tell("Ending everything; once more kills it.\n")

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # under nohup, a closed terminal ends nothing
        numbers.append(signal.SIGHUP)
    for number in numbers:
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    await supervisor.run(stop)


async def _call(system: LocalSystem, ready_file: Path) -> None:
    """Make one call through the system.

    Raises:
        CallFailed: a peer heard nothing, or there was no call at all.
    """
    command = [sys.executable, "-m", "tieline.cli", "call", "--ready-file", str(ready_file)]
    call = await child.start(command, {**os.environ, SECRET_VARIABLE: system.secret}, sys.stdout.fileno())
    try:
        status = await call.wait()
    finally:
        await child.end([call])
    if status:
        raise CallFailed(status)


def _greeting(system: LocalSystem, took_s: float, pids: Sequence[int], environ: Mapping[str, str]) -> str:
    ops = [f"{kind:<9} {url}" for kind, urls in system.ops_urls.items() for url in urls]
    tokens = [
        f"{user:<9} {make_token(system.secret, user, ['demo'], READY_MADE_TTL_S)}"
        for user in ("alice", "bob")
    ]
    known = environ.get(SECRET_VARIABLE) == system.secret
    prefix = f"with the same {SECRET_VARIABLE}: " if known else f"{SECRET_VARIABLE}={system.secret} "
    return "\n".join(
        [
            f"Tieline is ready, after {took_s:.1f} s.",
            *(
                f"gateway   {url}  (process {pid})"
                for url, pid in zip(system.gateway_urls, pids, strict=True)
            ),
            *(f"demo      {url}" for url in system.demo_urls),
            f"broker    {system.nats_url}",
            "ops endpoints (/metrics, /healthz, /readyz):",
            *(f"  {line}" for line in ops),
            "tokens for the room demo, for a day:",
            *(f"  {line}" for line in tokens),
            f"more tokens: {prefix}{_own_command()} token USER --room ROOM",
            "Ctrl-C ends everything.",
            "",
        ]
    )


def _own_command() -> str:
    """How to call us from here, whether or not the virtual environment is activated."""
    installed = Path(sys.executable).with_name("tieline")
    return "tieline" if shutil.which("tieline") == str(installed) else os.path.relpath(installed)


def _tell(text: str) -> None:
    """Say it on standard output, where somebody need not listen any more: the system goes on without."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _write(path: Path, text: str) -> Path:
    """Write a file so that whoever reads it at any moment finds it whole."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(text)
    return unfinished.replace(path)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text}: at least 1")
    return number
