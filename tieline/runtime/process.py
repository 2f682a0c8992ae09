"""Run one service as a process: uvloop, logs, settings with clear errors, and signals that end it."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Final, TypeVar

import uvloop

from tieline import __version__
from tieline.runtime import logs, metrics
from tieline.runtime.lag import measure_lag
from tieline.runtime.settings import ProcessSettings, SettingsError, misspelt, read_settings, usage

_log = logging.getLogger(__name__)

T = TypeVar("T")
SettingsT = TypeVar("SettingsT", bound=ProcessSettings)

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
    except SettingsError as problem:
        sys.stderr.write(f"{service}: {problem}\n")
        sys.exit(EXIT_BAD_SETTINGS)
    logs.set_up(service, settings.log_level)
    for name, meant in misspelt(kind, os.environ).items():
        _log.warning("no such setting", extra={"variable": name, "perhaps": meant})
    metrics.BUILD_INFO.labels(service, __version__).set(1)
    problem_found: BaseException | None = None
    try:
        uvloop.run(_until_signalled(settings, main))
    except* SettingsError as problems:
        problem_found = _first(problems)
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
    """The process was told to end while it was still waiting for what it needs to begin."""


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
        getting.cancel()
    if not done:
        raise Stopped
    return getting.result()


async def _until_signalled(
    settings: SettingsT, main: Callable[[SettingsT, asyncio.Event], Awaitable[None]]
) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        if stopping.is_set():
            os._exit(128 + number)
        stopping.set()
        loop.call_later(settings.longest_stop_s, os._exit, EXIT_NOT_STOPPED)

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
