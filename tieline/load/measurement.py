"""One measurement while it goes on: what it has counted, and what processors it has used.

A load (`relay`, `open_loop`, `calls`, ...) fills it in; whoever shows progress reads `phase` meanwhile, and
`figures()` may be asked for at any moment: an interrupted measurement has figures, too.
"""

import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from tieline.load.faults import Faults
from tieline.load.figures import GENERATOR, Figures, warnings
from tieline.load.latencies import Latencies
from tieline.load.processes import Pids, cpu_seconds, waited_seconds

clock: Final = time.perf_counter
"""Of all moments here: CLOCK_MONOTONIC."""


class Subject(NamedTuple):
    """What is measured, and how its figures are called."""

    mode: str
    asked: Mapping[str, float | str]
    unit: str
    cpu_units: int
    """CPU seconds are given for so many units."""
    processes_may_end: bool = False
    """Whether a process that has ended is no reason to give up."""
    counts_time: bool = False
    """Whether CPU seconds are for the time of the measurement, not for things that are done in it."""


class Phase(NamedTuple):
    """What is going on, and how far it is: `done` of `goal`, in seconds if `is_time`."""

    what: str
    done: float
    goal: float
    is_time: bool = False


class NotBegun(Exception):
    """There are no figures: nothing has been measured yet."""


class Measurement:
    """One measurement. Begin with `describe`, then `start` and `stop` around what is counted."""

    def __init__(self, pids: Callable[[], Pids] = dict) -> None:
        """`pids` names the processes whose CPU time is wanted, now."""
        self.latencies = Latencies()
        self.faults = Faults()
        self.more: dict[str, float] = {}
        self.kib: dict[str, float] = {}
        self.count: int | None = None
        """Units; None: as many as there are latencies."""
        self.notes: list[str] = []
        """What to know before believing the figures, beside what they themselves give away."""
        self.pids = pids
        self.began = math.inf
        """When counting began; infinite: not yet."""
        self.ends = math.inf
        """When counting is to end; infinite: nobody knows yet."""
        self._phase = Phase("", 0, 0)
        self._seconds = 0.0
        self._before: _Used | None = None
        self._after: _Used | None = None

    def describe(self, subject: Subject) -> None:
        """Say what is measured."""
        self.subject = subject

    def step(self, what: str, done: float, goal: float) -> None:
        """Say what is going on before and after what is counted."""
        self._phase = Phase(what, done, goal)

    @property
    def phase(self) -> Phase:
        """What is going on now."""
        if self._before is not None and self._after is None and self._seconds:
            return Phase(
                self.subject.mode, min(clock() - self.began, self._seconds), self._seconds, is_time=True
            )
        return self._phase

    def start(self, seconds: float = 0.0) -> None:
        """Begin to count, for so many seconds if that is known; what came before was a warm-up.

        Raises:
            FileNotFoundError: one of the processes has ended.
        """
        self.latencies.clear()
        self._seconds = seconds
        self._before = self._used()
        self.began = clock()
        if seconds:
            self.ends = self.began + seconds

    def counts(self, moment: float) -> bool:
        """Whether what belongs to this moment is counted: it is neither of the warm-up nor after the end."""
        return self.began <= moment < self.ends

    def stop(self) -> None:
        """Count no more processor time. Latencies of what was begun before may still be added.

        Raises:
            FileNotFoundError: one of the processes has ended.
        """
        self._seconds = clock() - self.began
        self._after = self._used()
        self._phase = Phase("finishing", 0, 0)

    def figures(self) -> Figures:
        """Sum up, so far if it is not over.

        Raises:
            NotBegun: nothing was counted yet.
            FileNotFoundError: one of the processes has ended.
        """
        if self._before is None:
            raise NotBegun
        is_whole = self._after is not None
        if self._after is None:
            self.stop()
        assert self._after is not None
        seconds, subject = self._seconds, self.subject
        used = self._after.since(self._before)
        count = len(self.latencies) if self.count is None else self.count
        waited = max(0.0, self._after.waited - self._before.waited) / seconds
        share = used[GENERATOR] / seconds
        return Figures(
            mode=subject.mode,
            asked=dict(subject.asked),
            unit=subject.unit,
            count=count,
            seconds=seconds,
            per_second=count / seconds,
            latency_ms=self.latencies.spread(),
            cpu_per=f"{subject.cpu_units:,} {subject.unit}"
            + (f" in {seconds:.0f} s" if subject.counts_time else ""),
            cpu={part: cpu * subject.cpu_units / max(1, count) for part, cpu in used.items()},
            own_share=share,
            own_wait=waited,
            kib=dict(self.kib),
            more=dict(self.more),
            faults=self.faults,
            is_whole=is_whole,
            notes=[*self.notes, *warnings(share, waited, count, self.more)],
            over_time=self.latencies.over_time(self.began, seconds),
            histogram=self.latencies.bins(),
            hdr=self.latencies.encoded(),
        )

    def _used(self) -> "_Used":
        parts = {**self.pids(), GENERATOR: [os.getpid()]}
        by_pid: dict[str, dict[int, float]] = {}
        for part, members in parts.items():
            by_pid[part] = {}
            for pid in members:
                try:
                    by_pid[part][pid] = cpu_seconds(Path(f"/proc/{pid}/stat").read_text())
                except FileNotFoundError:
                    if not self.subject.processes_may_end:
                        raise
        return _Used(by_pid, waited_seconds())


class _Used(NamedTuple):
    """Seconds until a moment, by part and process."""

    by_pid: dict[str, dict[int, float]]
    waited: float

    def since(self, before: "_Used") -> dict[str, float]:
        """Sum up what each part has used since then; a newer process has used nothing before."""
        return {
            part: sum(used - before.by_pid.get(part, {}).get(pid, 0.0) for pid, used in members.items())
            for part, members in self.by_pid.items()
        }
