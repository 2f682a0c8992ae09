"""`tieline dev`: the whole system on this machine, from the broker up, until Ctrl-C or SIGTERM."""

import argparse
import asyncio
import os
import signal
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final

import tieline.runtime.nats_py  # noqa: F401  # before the others
from tieline.cli import ready_file
from tieline.cli.dev import child
from tieline.cli.dev.broker_process import NoNatsServer
from tieline.cli.dev.local_system import LocalSystem, Size, plan
from tieline.cli.dev.log_file import LogFile, open_log
from tieline.cli.dev.ports import HIGHEST, PortTaken
from tieline.cli.dev.screen import Pids, greeting, restarted, show
from tieline.cli.dev.supervisor import Supervisor, SystemFailed
from tieline.cli.exits import EXIT_FAILED, EXIT_OK, refuse
from tieline.cli.options import whole
from tieline.cli.secret import SECRET_FILE_VARIABLE
from tieline.runtime.settings import SettingsError
from tieline.tokens import SECRET_VARIABLE
from tieline.wire.webhooks import problem_of_url

DEFAULT_PORT: Final = 8080


class CallFailed(Exception):
    """`tieline call` has ended with another status than 0, which it carries."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the call failed: {child.how_it_ended(status)}")
        self.status = status


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare how many processes there are, where they listen, and what is written where."""
    parser.add_argument("--gateways", metavar="N", type=whole(), default=2, help="gateways (%(default)s)")
    parser.add_argument("--routers", metavar="N", type=whole(), default=1, help="routers (%(default)s)")
    parser.add_argument(
        "--presences", metavar="N", type=whole(), default=1, help="presence processes (%(default)s)"
    )
    parser.add_argument(
        "--apis", metavar="N", type=whole(0), default=1, help="processes of the backend's API (%(default)s)"
    )
    parser.add_argument(
        "--webhook",
        metavar="URL",
        default="",
        help="tell what happens to this address, signed with TIELINE_WEBHOOK_SECRET or one that is made up",
    )
    parser.add_argument(
        "--port",
        metavar="P",
        type=whole(0, HIGHEST),
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
    parser.add_argument(
        "--log-file",
        metavar="F",
        type=Path,
        help="write the logs of all processes here (default: dev.log in the user's folder for state)",
    )
    parser.add_argument("--verbose", action="store_true", help="show the logs on standard error, too")


def run(options: argparse.Namespace) -> int:
    """Run the system until a signal ends it; 0 then, else something is wrong and a line says what."""
    size = Size(
        options.gateways, options.routers, options.presences, options.port, options.apis, options.webhook
    )
    problem_of_webhook = options.webhook and problem_of_url(options.webhook, may_be_private=True)
    if problem_of_webhook:
        return refuse("dev", f"--webhook {options.webhook}: {problem_of_webhook}")
    if not 0 <= size.port <= size.port + size.gateways - 1 <= HIGHEST:
        return refuse(
            "dev",
            f"--port {size.port} with {size.gateways} gateways: ports are 1 to {HIGHEST}, or 0 for free ones",
        )
    with (
        tempfile.TemporaryDirectory(prefix="tieline-", ignore_cleanup_errors=True) as folder,
        ExitStack() as held,
    ):
        storage = Path(folder, "jetstream")
        written: Path = (options.ready_file or Path(folder, "ready.json")).absolute()
        try:
            system = plan(size, os.environ, storage, held)
        except (NoNatsServer, SettingsError) as problem:
            return refuse("dev", str(problem))
        except PortTaken as problem:
            return refuse("dev", f"{problem}; --port names others (PORT= of `make run`)")
        try:
            ready_file.check_writable(written)
        except OSError as problem:
            why = problem.strerror or problem
            return refuse("dev", f"--ready-file {written} cannot be written: {why}")
        try:
            log = held.enter_context(closing(open_log(options.log_file, os.environ, options.verbose)))
        except BlockingIOError:
            return refuse("dev", f"--log-file {options.log_file}: another `tieline dev` writes to it")
        except OSError as problem:
            why = problem.strerror or problem
            return refuse("dev", f"--log-file {options.log_file} cannot be written: {why}")
        return _run_system(system, written, log, with_call=options.call)


def _run_system(system: LocalSystem, written: Path, log: LogFile, with_call: bool) -> int:
    show(f"Starting {len(system.specs)} processes; all their logs go to {log.path}\n")
    status = EXIT_OK
    try:
        asyncio.run(_Run(system, written, log, with_call).until_stopped())
    except SystemFailed as problem:
        log.note(str(problem), problem.last_lines)
        status = EXIT_FAILED
    except CallFailed as problem:
        log.note(str(problem))
        status = problem.status if problem.status > 0 else EXIT_FAILED
    show(f"Everything has ended; the logs are in {log.path}\n")
    return status


class _Run:
    """One run of the system; the listener of its supervisor."""

    def __init__(self, system: LocalSystem, written: Path, log: LogFile, with_call: bool) -> None:
        self._system = system
        self._written = written
        self._log = log
        self._with_call = with_call
        self._began = time.monotonic()
        self._last_ready: Pids = {}
        """The processes when all were ready last; none before the greeting."""
        self._stop = asyncio.Event()
        self._supervisor = Supervisor(system.specs, log, self)

    async def until_stopped(self) -> None:
        """Run the system until a signal comes.

        Raises:
            SystemFailed: it cannot run.
            CallFailed: it runs, but a call through it failed.
        """
        numbers = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # under nohup, a closed terminal ends nothing
            numbers.append(signal.SIGHUP)
        for number in numbers:
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal)
        await self._supervisor.run(self._stop)

    def on_process_ready(self, name: str) -> None:
        """Print the step."""
        show(f"  {time.monotonic() - self._began:4.1f} s  {name} is ready\n")

    async def on_all_ready(self) -> None:
        """Write the ready file, and print what is new.

        The first time, the call is made if one is wanted, and the greeting is new; later, the processes that
        were restarted.

        Raises:
            SystemFailed: the ready file cannot be written any more.
            CallFailed: the call did not succeed.
        """
        contents = self._system.ready_file(self._supervisor.pids)
        try:
            ready_file.write(self._written, contents)
        except OSError as problem:
            why = problem.strerror or problem
            raise SystemFailed(f"--ready-file {self._written} cannot be written any more: {why}") from None
        before, self._last_ready = self._last_ready, contents.pids
        if before:
            show(f"{restarted(self._system, before, contents.pids)}Tieline is ready again.\n")
            return
        took_s = time.monotonic() - self._began
        if self._with_call:
            show("A call through the system:\n")
            await _call(self._system, self._written)
        show(greeting(self._system, took_s, contents.pids, self._log.path, os.environ))

    def _on_signal(self) -> None:
        if self._stop.is_set():
            self._supervisor.kill()
        else:
            self._stop.set()
            show("Ending everything, and waiting for the clients to leave; once more kills it.\n")


async def _call(system: LocalSystem, written: Path) -> None:
    """Make one call through the system.

    Raises:
        CallFailed: a peer heard nothing, or there was no call at all.
    """
    command = [*child.PYTHON, "-m", "tieline.cli", "call", "--ready-file", str(written)]
    call = await child.start(
        command, {**os.environ, SECRET_VARIABLE: system.secret, SECRET_FILE_VARIABLE: ""}
    )
    try:
        status = await call.wait()
    finally:
        await child.end([call])
    if status:
        raise CallFailed(status)
