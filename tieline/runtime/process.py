"""Run one service as a process: uvloop, logs, settings with clear errors, and signals that end it.

`run` is what a `__main__` ends with. What its `main` then begins with is `joined`: the ops endpoints, and a
connection to the broker over which it can ask.
"""

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from types import MappingProxyType
from typing import Final, NamedTuple, TypeVar

import uvloop

from tieline import __version__
from tieline.runtime import garbage, logs, metrics
from tieline.runtime.broker import Broker, connect
from tieline.runtime.cancelling import end
from tieline.runtime.lag import measure_lag
from tieline.runtime.log_writer import LogWriter
from tieline.runtime.ops import BROKER_AWAY, STARTING, Pages, Ready, bound_port, serve_ops
from tieline.runtime.requests import Requests
from tieline.runtime.settings import ProcessSettings, SettingsError, misspelt, read_settings, usage
from tieline.runtime.weak_secrets import doubts_about

_log = logging.getLogger(__name__)

T = TypeVar("T")
SettingsT = TypeVar("SettingsT", bound=ProcessSettings)

LAST_LINES_S: Final = 0.5
"""For the last lines of the log when a process is to end at once."""

EXIT_NOT_READ: Final = 74  # EX_IOERR of sysexits.h: it failed, and could not say why
EXIT_NOT_STOPPED: Final = 75  # EX_TEMPFAIL of sysexits.h: cut off, not finished
EXIT_BAD_SETTINGS: Final = 78  # EX_CONFIG of sysexits.h: starting again will not help


def run(
    service: str,
    kind: type[SettingsT],
    main: Callable[[SettingsT, asyncio.Event], Awaitable[None]],
) -> None:
    """Read `kind` from the environment, run `main` until it returns, and exit.

    `main` gets the settings and an event that is set on SIGTERM or SIGINT. A second signal ends the
    process at once. It takes no arguments: given any, it lists its settings instead.
    """
    words = sys.argv[1:]
    if words:
        is_wanted = words in (["-h"], ["--help"])
        told = f"{service} takes no arguments; its settings stand in its environment"
        told = f"{told} (docs/configuration.md):\n{usage(kind)}\n"
        (sys.stdout if is_wanted else sys.stderr).write(told)
        sys.exit(os.EX_OK if is_wanted else os.EX_USAGE)
    try:
        settings = read_settings(kind, os.environ)
        doubts = doubts_about(settings)
    except SettingsError as problem:
        sys.stderr.write(f"{service}: {problem}\n")
        sys.exit(EXIT_BAD_SETTINGS)
    log_lines = logs.set_up(service, settings.log_level)
    for name, meant in misspelt(os.environ, kind).items():
        _log.warning("no such setting", extra={"variable": name, "perhaps": meant})
    for doubt in doubts:
        _log.warning(doubt.event, extra=dict(doubt.fields))
    metrics.BUILD_INFO.labels(service, __version__).set(1)
    garbage.settle()
    problem_found: BaseException | None = None
    is_failing = True
    try:
        uvloop.run(_until_signalled(settings, main, log_lines))
        is_failing = False
    except* SettingsError as problems:
        problem_found = _first(problems)
    finally:
        is_written = log_lines.end()
        if is_failing and not is_written:
            os._exit(EXIT_NOT_READ)  # nobody reads standard error, so a traceback could not be written either
    # Not in the `except*`: before Python 3.11.4, what is raised in there comes out as a group.
    if problem_found is not None:
        sys.stderr.write(f"{service}: {problem_found}\n")
        sys.exit(EXIT_BAD_SETTINGS)


def _first(problems: BaseExceptionGroup[SettingsError]) -> BaseException:
    problem: BaseException = problems
    while isinstance(problem, BaseExceptionGroup):
        problem = problem.exceptions[0]
    return problem


class Stopped(Exception):
    """The process was told to stop before it had what it needs to begin."""


async def unless_stopped(stopping: asyncio.Event, needed: Coroutine[None, None, T]) -> T:
    """Wait for what a process cannot begin without.

    Raises:
        Stopped: the process was told to end first.
    """
    async with asyncio.TaskGroup() as waiting:
        getting = waiting.create_task(needed)
        stopped = waiting.create_task(stopping.wait())
        await asyncio.wait((getting, stopped), return_when=asyncio.FIRST_COMPLETED)
        done = getting.done()
        stopped.cancel()
        await end(getting)
    if not done:
        raise Stopped
    return getting.result()


class Joined(NamedTuple):
    """A process that is connected to the broker."""

    instance: str
    """The id of this run of the process."""
    ready: Ready
    """Not ready: it still holds `STARTING`."""
    broker: Broker
    requests: Requests


@contextlib.asynccontextmanager
async def joined(
    service: str,
    settings: ProcessSettings,
    stopping: asyncio.Event,
    replies: Callable[[str], str],
    inbox: Callable[[str], str] = lambda _: "",
    id_name: str = "instance",
    pages: Pages = MappingProxyType({}),
) -> AsyncIterator[Joined]:
    """Serve the ops endpoints, connect to the broker, and close both in the end.

    `pages` are more endpoints. `replies` and `inbox` give the subjects, for the id of this run, on which
    it is answered (see `Requests` and `connect`). The first line of the log has that id as `id_name`, and
    the port of the ops endpoints.

    Raises:
        SettingsError: the ops endpoints cannot be served, or the broker can never be reached so.
        Stopped: `stopping` was set while the broker did not answer.
    """
    instance = f"{service[0]}{os.getpid()}-{secrets.token_hex(4)}"
    ready = Ready(BROKER_AWAY, STARTING)
    ops = await serve_ops(settings.ops_host, settings.ops_port, ready.why_not, pages)
    try:
        starts = {id_name: instance, "ops_port": bound_port(ops)}
        logging.getLogger(service).info("%s starts", service, extra=starts)
        if settings.limits == "off":
            _log.warning("limits are off: one client can use up what all need (TIELINE_LIMITS)")
        name = f"tieline-{service}-{instance}"
        connecting = connect(settings.nats_url, name, settings.nats_login, inbox(instance))
        broker = await unless_stopped(stopping, connecting)
        ready.clear(BROKER_AWAY)
        broker.when_away(lambda: ready.hold(BROKER_AWAY))
        broker.when_back(lambda: ready.clear(BROKER_AWAY))
        try:
            requests = Requests(broker, replies(instance))
            await requests.start()
            yield Joined(instance, ready, broker, requests)
        except BaseException:  # with which the process ends at once
            broker.abandon()
            raise
    finally:
        ops.close()
    await broker.close()


async def _until_signalled(
    settings: SettingsT, main: Callable[[SettingsT, asyncio.Event], Awaitable[None]], log_lines: LogWriter
) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        if stopping.is_set():
            exit_now(128 + number)
        stopping.set()
        loop.call_later(settings.longest_stop_s, exit_now, EXIT_NOT_STOPPED)

    def exit_now(status: int) -> None:
        log_lines.end(LAST_LINES_S)
        os._exit(status)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    async with asyncio.TaskGroup() as measuring:
        lag = measuring.create_task(measure_lag())
        try:
            await main(settings, stopping)
        except* Stopped:
            pass
        finally:
            lag.cancel()
