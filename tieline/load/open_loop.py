"""An open loop: candidates at a fixed rate, whatever becomes of them, while pairs come and go.

How long one took is counted from the moment when it was due (`schedule`), not from when it was sent: waiting
for its turn here is waiting, too.
"""

import asyncio
import gc
import sys
from collections import deque
from contextlib import suppress
from typing import Final

from tieline.load.client import LoadClient, Target, leave
from tieline.load.faults import Faults
from tieline.load.figures import SENT_LATE, UNDER_WAY, percentile
from tieline.load.measurement import Measurement, Subject, clock
from tieline.load.messages import candidates
from tieline.load.pairs import make_pair, make_pairs, new_name
from tieline.load.relay import SIGNALS_PER_COST, WARM_UP_S
from tieline.load.schedule import Schedule
from tieline.load.timer import Alarm

QUIET_S: Final = 2.0
"""After the last message was sent: when nothing has come for so long, what is under way is lost."""

LONGEST_S: Final = 60.0
"""After the last message was sent: a system that cannot keep the rate is waited for no longer than this."""

MOST_AT_ONCE: Final = 64
"""Messages sent before sockets are read again: a loop that only sends would count its own waiting."""


class Line:
    """One established pair, with any number of messages on their way."""

    def __init__(self, measured: Measurement, sender: LoadClient, receiver: LoadClient) -> None:
        self.clients = [sender] if sender is receiver else [sender, receiver]
        self._measured = measured
        self._send = sender.connection.send
        self._candidates = candidates(sender.user, receiver.user)
        self._number = 0
        self._under_way: deque[tuple[bytes, float]] = deque()
        self._came: asyncio.Event | None = None
        """Set by each arrival once nothing is sent any more."""
        sender.connection.on_text = self._on_answer
        receiver.connection.on_text = self._on_arrival

    @property
    def under_way(self) -> int:
        """How many messages have not arrived yet."""
        return len(self._under_way)

    def send(self, due: float) -> None:
        """Send the message that is due at this moment, or was."""
        self._number += 1
        message = self._candidates.write(self._number)
        self._under_way.append((message, due))
        self._send(message)

    async def until_empty(self) -> None:
        """Wait for what is under way, until nothing has come for a while."""
        self._came = asyncio.Event()
        with suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_S):
                while self._under_way:
                    self._came.clear()
                    async with asyncio.timeout(QUIET_S):
                        await self._came.wait()

    def _on_arrival(self, message: bytes) -> None:
        now = clock()
        if self._under_way and message == self._under_way[0][0]:
            _, due = self._under_way.popleft()
            if self._measured.counts(due):
                self._measured.latencies.add(due, now - due)
            if self._came is not None:
                self._came.set()
        else:
            self._count_fault(message)

    def _on_answer(self, _message: bytes) -> None:
        self._measured.faults.refused += 1

    def _count_fault(self, message: bytes) -> None:
        faults = self._measured.faults
        number = self._candidates.read(message)
        if number is None or number > self._number:
            faults.foreign += 1
            return
        late = [one for one in self._under_way if one[0] == message]
        if late:
            faults.out_of_order += 1
            self._under_way.remove(late[0])
        else:
            faults.duplicate += 1


class OpenLoop:
    """Sends at `rate` a second over all lines, in turn, while its block runs. There is always a line."""

    def __init__(self, lines: list[Line], rate: float) -> None:
        self.late: list[float] = []
        """How long after it was due each message was sent, in seconds."""
        self.lines = deque(lines)
        """The one whose turn it is next comes first."""
        self._schedule = Schedule(rate, clock())

    def __enter__(self) -> None:
        self._alarm = Alarm(self._on_due)
        self._on_due()

    def __exit__(self, *_exception: object) -> None:
        self._alarm.close()

    def finish(self, ends: float) -> None:
        """Send what is due until this moment and was not sent: being late at the end leaves nothing out."""
        self._send(ends, sys.maxsize)

    def _on_due(self) -> None:
        self._send(clock(), MOST_AT_ONCE)
        self._alarm.ring_at(self._schedule.next)

    def _send(self, until: float, most: int) -> None:
        for due in self._schedule.due(until, most):
            line = self.lines[0]
            self.lines.rotate(-1)
            self.late.append(clock() - due)
            line.send(due)


async def measure_load(
    target: Target, pairs: int, rate: float, churn: float, seconds: float, measured: Measurement
) -> None:
    """Send `rate` signals a second over `pairs` pairs, of which `churn` a second are replaced by new ones.

    Raises:
        LoadError, UpgradeRefused, OSError, TimeoutError: a pair could not be made.
        FileNotFoundError: one of the processes has ended.
    """
    asked: dict[str, float | str] = {"pairs": pairs, "rate": rate, "churn": churn}
    measured.describe(Subject("load", asked, "signals", SIGNALS_PER_COST))
    clients = await make_pairs(target, pairs, lambda count: measured.step("connect pairs", count, pairs))
    loop = OpenLoop([Line(measured, *pair) for pair in clients], rate)
    gc.collect()
    gc.freeze()
    replacing: asyncio.Task[None] | None = None
    try:
        async with asyncio.TaskGroup() as group:
            if churn:
                replacing = group.create_task(_replace(target, loop, churn, measured))
            with loop:
                await asyncio.sleep(WARM_UP_S)
                measured.start(seconds)
                loop.late.clear()
                await asyncio.sleep(seconds)
                loop.finish(measured.ends)
                measured.stop()
                measured.more[UNDER_WAY] = sum(line.under_way for line in loop.lines)
                measured.more[SENT_LATE] = percentile(sorted(loop.late), 99) * 1000
            if replacing is not None:
                replacing.cancel()
    except ExceptionGroup as errors:
        raise first_of(errors) from None
    finally:
        gc.unfreeze()
    for faults in await asyncio.gather(*(_end(line) for line in loop.lines)):
        measured.faults += faults


async def _replace(target: Target, loop: OpenLoop, churn: float, measured: Measurement) -> None:
    """Let new pairs come, and the oldest go, for ever."""
    oldest = deque(loop.lines)
    name, number = f"{new_name()}_later", 0
    schedule = Schedule(churn, clock())
    async with asyncio.TaskGroup() as group:

        async def exchange(number: int) -> None:
            line = Line(measured, *await make_pair(target, f"{name}_{number}", number))
            loop.lines.append(line)
            oldest.append(line)
            going = oldest.popleft()
            loop.lines.remove(going)
            measured.faults += await _end(going)
            measured.more["pairs replaced"] = measured.more.get("pairs replaced", 0) + 1

        while True:
            await asyncio.sleep(max(0.0, schedule.next - clock()))
            for _ in schedule.due(clock(), MOST_AT_ONCE):
                group.create_task(exchange(number))
                number += 1


async def _end(line: Line) -> Faults:
    """Wait for what is under way, and let both go."""
    await line.until_empty()
    lost = line.under_way
    faults = await leave(line.clients)
    faults.lost += lost
    return faults


def first_of(errors: ExceptionGroup) -> Exception:
    """Return the first error of a group that may hold groups."""
    error = errors.exceptions[0]
    return first_of(error) if isinstance(error, ExceptionGroup) else error
