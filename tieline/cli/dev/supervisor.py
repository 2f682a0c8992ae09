"""Keep the processes of a system running: start all at once, restart each that ends, end all in order.

It knows how to run a process and whether the process is ready. Which processes there are is decided in
`local_system`.
"""

import asyncio
import os
import signal
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from tieline.cli.dev import child
from tieline.cli.dev.log_file import LogFile, ProcessOutput
from tieline.runtime.process import EXIT_BAD_SETTINGS

POLL_S: Final = 0.02
"""Between two probes of a process that is not ready: far below the time of a start, and cheap to answer."""

PROBE_TIMEOUT_S: Final = 1.0
"""For one probe: a process of this machine that is ready answers in a millisecond."""

READY_DEADLINE_S: Final = 60.0
"""For the first time that everything is ready. It takes a second or two; a machine this late is stuck."""

FIRST_BACKOFF_S: Final = 0.1
LONGEST_BACKOFF_S: Final = 5.0
"""Between two starts of a process that ends repeatedly: it runs this soon after a fault is repaired."""

STOP_UNREADY_DEADLINE_S: Final = 1.0
"""From SIGTERM to SIGKILL in a system that never was ready: it has no clients, and may hang in its start."""

TRIES_AT_START: Final = 5
"""A process may end so often before all were ready once; after that the fault will not go away by itself."""

OUTPUT_DEADLINE_S: Final = 1.0
"""For the output of an ended process: all is in the pipe already, unless a descendant goes on writing."""


class SystemFailed(Exception):
    """The system cannot run; the text says which process failed, and how."""

    def __init__(self, why: str, last_lines: Sequence[bytes] = ()) -> None:
        super().__init__(why)
        self.last_lines = last_lines
        """Of the process's log."""


class ProcessSpec(NamedTuple):
    """How to run one process of the system."""

    kind: str
    """Processes of one kind are ended together."""
    name: str
    """For people; unique."""
    command: Sequence[str]
    environ: Mapping[str, str]
    why_not_ready: Callable[[], Awaitable[str]]
    """Tell what the process still waits for; "" when it is ready."""


class Listener(Protocol):
    """What a supervisor reports to."""

    def on_process_ready(self, name: str) -> None:
        """Note that a process is ready for the first time."""

    async def on_all_ready(self) -> None:
        """Act on the fact that all are ready, the first time and after each restart.

        Raises:
            Exception: anything; then the supervisor ends all processes.
        """


class Supervisor:
    """Run the processes of `specs`, given in the order of their dependencies, and end them in reverse order.

    All are started at once: each waits by itself for those that it depends on.
    """

    def __init__(
        self,
        specs: Sequence[ProcessSpec],
        log: LogFile,
        listener: Listener,
        *,
        ready_deadline_s: float = READY_DEADLINE_S,
    ) -> None:
        self._specs = specs
        self._log = log
        self._listener = listener
        self._ready_deadline_s = ready_deadline_s
        self._processes: dict[str, Process] = {}  # by the spec's name; of a process that is down, the last
        self._outputs: dict[str, ProcessOutput] = {}
        self._ends_since_ready: dict[str, int] = {}
        self._were_ready: set[str] = set()
        self._starts = 0
        self._started = asyncio.Event()
        self._was_ready = False

    def pids(self, kind: str) -> list[int]:
        """The processes of one kind, in the order of the specs; of one that is down, the last."""
        return [self._processes[spec.name].pid for spec in self._specs if spec.kind == kind]

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set, then end all processes.

        Raises:
            SystemFailed: a process could not be started at all, or not all became ready.
            Exception: raised by the listener. All processes have been ended then, too.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(self._keep_running(spec)) for spec in self._specs]
                running.append(tasks.create_task(self._announce()))
                await stop.wait()
                for task in running:
                    task.cancel()
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        finally:
            await self._end_all()

    def kill(self) -> None:
        """End all processes now, in no order: the user has asked twice."""
        for process in self._processes.values():
            child.send(process, signal.SIGKILL)

    async def _keep_running(self, spec: ProcessSpec) -> None:
        while True:
            try:
                process = await self._start(spec)
            except OSError as error:
                raise SystemFailed(f"{spec.name} cannot be started: {error}") from error
            self._processes[spec.name] = process
            self._starts += 1
            self._started.set()
            status = await process.wait()
            await self._outputs[spec.name].finish(OUTPUT_DEADLINE_S)
            await asyncio.sleep(self._backoff_s(spec, process.pid, status))

    async def _start(self, spec: ProcessSpec) -> Process:
        reading, writing = os.pipe()
        try:
            _, output = await asyncio.get_running_loop().connect_read_pipe(
                lambda: ProcessOutput(self._log), os.fdopen(reading, "rb", buffering=0)
            )
            self._outputs[spec.name] = output
            return await child.start(spec.command, spec.environ, writing)
        finally:
            os.close(writing)

    def _backoff_s(self, spec: ProcessSpec, pid: int, status: int) -> float:
        """Decide when a process that has ended is started again: at once, or later each time that it ends."""
        how = child.how_it_ended(status)
        last_lines = self._outputs[spec.name].last_lines
        ends = self._ends_since_ready[spec.name] = self._ends_since_ready.get(spec.name, 0) + 1
        if not self._was_ready:
            if status == EXIT_BAD_SETTINGS:
                raise SystemFailed(f"{spec.name} cannot run with these settings", last_lines)
            if ends == TRIES_AT_START:
                raise SystemFailed(
                    f"{spec.name} ended {ends} times before it was ready, the last time with {how}",
                    last_lines,
                )
        if ends == 1:
            told = f"{spec.name} (pid {pid}) ended: {how}; starting it again"
            if child.is_ended_from_outside(status):  # the end of its log would say nothing about the cause
                self._log.note(f"{told}; its log is in {self._log.path}")
            else:
                self._log.note(told, last_lines)
            return 0
        delay = min(FIRST_BACKOFF_S * 2.0 ** (ends - 2), LONGEST_BACKOFF_S)
        self._log.note(
            f"{spec.name} (pid {pid}) ended {ends} times in a row: {how}; starting it again in {delay:g} s"
        )
        return delay

    async def _announce(self) -> None:
        try:
            async with asyncio.timeout(self._ready_deadline_s):
                await self._everything_ready()
        except TimeoutError:
            waiting = [f"{spec.name}: {why}" for spec in self._specs if (why := await _probe(spec))]
            raise SystemFailed(
                f"not ready within {self._ready_deadline_s:g} s. "
                + "; ".join(waiting or ["All is ready now"])
            ) from None
        self._was_ready = True
        while True:
            self._ends_since_ready.clear()
            await self._listener.on_all_ready()
            await self._started.wait()
            await self._everything_ready()

    async def _everything_ready(self) -> None:
        """Wait until every process was found ready, and none was restarted meanwhile."""
        starts = -1
        while starts != self._starts:
            self._started.clear()
            starts = self._starts
            for spec in self._specs:
                while await _probe(spec):  # noqa: ASYNC110  # another process can set no event here
                    await asyncio.sleep(POLL_S)
                if spec.name not in self._were_ready:
                    self._were_ready.add(spec.name)
                    self._listener.on_process_ready(spec.name)

    async def _end_all(self) -> None:
        deadline_s = child.STOP_DEADLINE_S if self._was_ready else STOP_UNREADY_DEADLINE_S
        kinds = dict.fromkeys(spec.kind for spec in self._specs)
        for kind in reversed(kinds):
            processes = {
                process: spec.name
                for spec in self._specs
                if spec.kind == kind and (process := self._processes.get(spec.name)) is not None
            }
            for killed in await child.end(list(processes), deadline_s):
                self._log.note(
                    f"{processes[killed]} (pid {killed.pid}) was killed:"
                    f" it had not ended {deadline_s:g} s after SIGTERM"
                )
        for output in self._outputs.values():
            await output.finish(OUTPUT_DEADLINE_S)


async def _probe(spec: ProcessSpec) -> str:
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            return await spec.why_not_ready()
    except TimeoutError:
        return f"no answer within {PROBE_TIMEOUT_S:g} s"
