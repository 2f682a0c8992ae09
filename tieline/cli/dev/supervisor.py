"""Keep the parts of a system running: start them at once, restart each that ends, end all of them in order.

It knows processes and whether they are ready; what they are is said in `local_system`.
"""

import asyncio
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, NamedTuple

from tieline.cli.dev import child
from tieline.runtime.process import EXIT_BAD_SETTINGS

POLL_S: Final = 0.02
"""Between two looks at a part that is not ready: far below what a start takes, and cheap to answer."""

PROBE_TIMEOUT_S: Final = 1.0
"""For one look: a process of this machine that is ready answers in a millisecond."""

READY_DEADLINE_S: Final = 60.0
"""For the first time that everything is ready. It takes a second or two; a machine this late is stuck."""

FIRST_BACKOFF_S: Final = 0.1
LONGEST_BACKOFF_S: Final = 5.0
"""Between two starts of a part that ends again and again: a mended fault is noticed this soon."""

STOP_UNREADY_DEADLINE_S: Final = 1.0
"""From SIGTERM to SIGKILL in a system that never was ready: it serves nobody, and may hang in its start."""

TRIES_AT_START: Final = 5
"""So often may a part end before everything was ready once; then the fault will not go away by itself."""


class SystemFailed(Exception):
    """The system cannot run; the text says which part failed, and how."""


class Part(NamedTuple):
    """One process of the system. Its name is its own."""

    kind: str
    """What it is: parts of one kind are started and ended together."""
    name: str
    """What it is called in what people read."""
    command: Sequence[str]
    environ: Mapping[str, str]
    why_not_ready: Callable[[], Awaitable[str]]
    """Say what it still waits for; "" when it is ready."""


class Supervisor:
    """Run `parts`, given in the order of who needs whom: they start at once, and end in reverse order."""

    def __init__(self, parts: Sequence[Part], when_ready: Callable[[], Awaitable[None]]) -> None:
        self._parts = parts
        self._when_ready = when_ready
        self._processes: dict[str, Process] = {}  # by the part's name; of one that is down, the last
        self._ends_since_ready: dict[str, int] = {}
        self._starts = 0
        self._started = asyncio.Event()
        self._was_ready = False

    def pids(self, kind: str) -> list[int]:
        """The processes of one kind, in the order of the parts; of one that is down, the last."""
        return [self._processes[part.name].pid for part in self._parts if part.kind == kind]

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set, then end everything. `when_ready` is awaited each time all is ready again.

        Raises:
            SystemFailed: a part could not be started at all, or not everything got ready.
            Exception: whatever `when_ready` raises. Everything has been ended then, too.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(self._keep_running(part)) for part in self._parts]
                running.append(tasks.create_task(self._announce()))
                await stop.wait()
                for task in running:
                    task.cancel()
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        finally:
            await self._end_all()

    def kill(self) -> None:
        """End everything now, in no order, for somebody who asked twice."""
        for process in self._processes.values():
            child.send(process, signal.SIGKILL)

    async def _keep_running(self, part: Part) -> None:
        while True:
            try:
                process = await child.start(part.command, part.environ)
            except OSError as error:
                raise SystemFailed(f"{part.name} cannot be started: {error}") from error
            self._processes[part.name] = process
            self._starts += 1
            self._started.set()
            status = await process.wait()
            await asyncio.sleep(self._backoff_s(part, process.pid, status))

    def _backoff_s(self, part: Part, pid: int, status: int) -> float:
        """Decide when a part that has ended starts again: at once, or later each time that it is no use."""
        how = child.how_it_ended(status)
        ends = self._ends_since_ready[part.name] = self._ends_since_ready.get(part.name, 0) + 1
        if not self._was_ready:
            if status == EXIT_BAD_SETTINGS:
                raise SystemFailed(f"{part.name} cannot run with these settings: see its words above")
            if ends == TRIES_AT_START:
                raise SystemFailed(
                    f"{part.name} ended {ends} times before it was ready, the last time with {how}:"
                    " see its words above"
                )
        if ends == 1:
            say(f"{part.name} (pid {pid}) ended: {how}; starting it again")
            return 0
        delay = min(FIRST_BACKOFF_S * 2.0 ** (ends - 2), LONGEST_BACKOFF_S)
        say(f"{part.name} (pid {pid}) ended {ends} times in a row: {how}; starting it again in {delay:g} s")
        return delay

    async def _announce(self) -> None:
        try:
            async with asyncio.timeout(READY_DEADLINE_S):
                await self._everything_ready()
        except TimeoutError:
            waiting = [f"{part.name}: {why}" for part in self._parts if (why := await _probe(part))]
            raise SystemFailed(
                f"not ready within {READY_DEADLINE_S:g} s. " + "; ".join(waiting or ["All is ready now"])
            ) from None
        self._was_ready = True
        while True:
            self._ends_since_ready.clear()
            await self._when_ready()
            await self._started.wait()
            await self._everything_ready()

    async def _everything_ready(self) -> None:
        """Wait until every part was found ready with none of them started anew meanwhile."""
        starts = -1
        while starts != self._starts:
            self._started.clear()
            starts = self._starts
            for part in self._parts:
                while await _probe(part):  # noqa: ASYNC110  # another process sets no event of ours
                    await asyncio.sleep(POLL_S)

    async def _end_all(self) -> None:
        deadline_s = child.STOP_DEADLINE_S if self._was_ready else STOP_UNREADY_DEADLINE_S
        kinds = dict.fromkeys(part.kind for part in self._parts)
        for kind in reversed(kinds):
            processes = {
                process: part.name
                for part in self._parts
                if part.kind == kind and (process := self._processes.get(part.name)) is not None
            }
            for killed in await child.end(list(processes), deadline_s):
                say(
                    f"{processes[killed]} (pid {killed.pid}) was killed:"
                    f" it had not ended {deadline_s:g} s after SIGTERM"
                )


def say(words: str) -> None:
    """Tell people, on standard error, where the logs are."""
    sys.stderr.write(f"tieline: {words}\n")
    sys.stderr.flush()


async def _probe(part: Part) -> str:
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            return await part.why_not_ready()
    except TimeoutError:
        return f"no answer within {PROBE_TIMEOUT_S:g} s"
