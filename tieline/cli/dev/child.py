"""One child process: out of reach of the terminal's Ctrl-C, and gone when its parent is gone."""

import asyncio
import ctypes
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

PYTHON: Final = (sys.executable, "-P")
"""For `-m`, whatever folder this is: an application may have an `api` of its own there."""

STOP_DEADLINE_S: Final = 10.0
"""From SIGTERM to SIGKILL: longer than any drain here, and short enough to wait for at a prompt."""

_PR_SET_PDEATHSIG: Final = 1  # <linux/prctl.h>
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


async def start(command: Sequence[str], environ: Mapping[str, str], output: int | None = None) -> Process:
    """Start `command` in a session of its own. `output` gets standard output and error; None: this process's.

    Raises:
        OSError: there is no such program, or it cannot be run.
    """
    return await asyncio.create_subprocess_exec(
        *command,
        env=environ,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
        preexec_fn=die_with(os.getpid()),
    )


async def end(processes: Sequence[Process], deadline_s: float = STOP_DEADLINE_S) -> list[Process]:
    """End all of `processes` at once: SIGTERM, and SIGKILL after `deadline_s`. Return those killed."""
    alive = [process for process in processes if process.returncode is None]
    for process in alive:
        send(process, signal.SIGTERM)
    with suppress(TimeoutError):
        async with asyncio.timeout(deadline_s):
            for process in alive:
                await process.wait()
    stubborn = [process for process in alive if process.returncode is None]
    for process in stubborn:
        send(process, signal.SIGKILL)
    for process in stubborn:
        await process.wait()
    return stubborn


def send(process: Process, number: signal.Signals) -> None:
    """Send a signal, unless the process has just ended by itself."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)


def is_ended_from_outside(status: int) -> bool:
    """Whether a return code is that of a process that did not fail, but was told to end, or was killed.

    A process that handles SIGTERM ends with 0 then, and one that does not has the signal as its return code.
    """
    return status in (0, -signal.SIGTERM, -signal.SIGKILL)


def how_it_ended(status: int) -> str:
    """Say in words what a return code means."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:  # a real-time signal has no name
        return f"killed by signal {-status}"


def die_with(parent: int) -> Callable[[], None]:
    """Make the function that a child runs before its program: it asks Linux for SIGKILL when the parent dies.

    Only the kernel can do that: a supervisor ended by SIGKILL runs no handler, and its children, in sessions
    of their own, get no hang-up from the terminal. Code between fork and exec is safe only if it takes no
    lock that another thread may hold; this looks nothing up, imports nothing, and makes two system calls.
    Linux sends the signal when the *thread* that forked ends: that is the main thread, which runs the event
    loop. Other systems have no such call, and there a killed supervisor leaves its children behind.
    """
    libc, request, signal_number, exit_now = _libc, _PR_SET_PDEATHSIG, int(signal.SIGKILL), os._exit
    prctl = libc.prctl if libc is not None else None
    parent_now = os.getppid

    def in_the_child() -> None:
        if prctl is None:
            return
        prctl(request, signal_number)
        if parent_now() != parent:  # the parent died before the request was made
            exit_now(1)

    return in_the_child
