"""Write log lines in a thread of its own, so that a reader of standard error that stops stops no service.

Lines wait in a queue that is bounded; what does not fit is dropped, counted, and said once a second. How a
line looks is up to `tieline.runtime.logs`.
"""

import contextlib
import logging
import os
import queue
import select
import threading
import time
from collections.abc import Callable
from logging.handlers import QueueHandler, QueueListener
from typing import Final

from tieline.runtime import metrics

MOST_WAITING: Final = 4096
"""Lines that wait to be written: about 2 MiB. A reader that is merely slow reads so many within seconds."""

SAY_EVERY_S: Final = 1.0
"""Between two lines that say how many were dropped."""

FLUSH_S: Final = 2.0
"""For writing what waits when the process ends: less than an orchestrator waits before it kills."""

GATHER_S: Final = 0.01
"""For more lines to come before some are written: each time that the thread wakes up for one, whoever logs
waits for it, and a gateway logs thousands of lines a second when its clients come back all at once."""

GATHER_BYTES: Final = 32 * 1024
"""What is written at once, and one line more at most; with so much nothing more is waited for."""

Queue = queue.Queue[str | None]
"""Lines; None ends the thread."""


class LogWriter:
    """Writes the lines of all loggers to one descriptor, from `begin` to `end`."""

    def __init__(
        self,
        formatter: logging.Formatter,
        descriptor: int,
        most: int = MOST_WAITING,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        waiting: Queue = queue.Queue(most)
        self._taking = _Taking(waiting, formatter)
        self._writing = _Writing(waiting, self._taking, descriptor, pause)

    def begin(self, logger: logging.Logger) -> None:
        """Take the place of all handlers of a logger."""
        logger.handlers[:] = [self._taking]
        self._writing.start()

    def end(self, patience_s: float = FLUSH_S) -> bool:
        """Write what waits; returns whether all of it was written. What is logged later is lost."""
        ending = threading.Thread(target=self._writing.stop, daemon=True)
        ending.start()
        ending.join(patience_s)
        return not ending.is_alive()


class _Taking(QueueHandler):
    """Formats a record where it is logged, which takes microseconds, and leaves the line to the thread."""

    def __init__(self, waiting: Queue, formatter: logging.Formatter) -> None:
        super().__init__(waiting)
        self.setFormatter(formatter)
        self._waiting = waiting
        self.dropped = 0

    def prepare(self, record: logging.LogRecord) -> str:
        """Make the line of a record."""
        return self.format(record)

    def enqueue(self, line: object) -> None:
        """Keep a line, or drop it when too many wait."""
        try:
            self._waiting.put_nowait(str(line))
        except queue.Full:
            self.dropped += 1
            metrics.LOG_LINES_DROPPED.inc()


class _Writing(QueueListener):
    """The thread."""

    def __init__(
        self,
        waiting: Queue,
        taking: _Taking,
        descriptor: int,
        pause: Callable[[float], object],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(waiting)
        self._descriptor = descriptor
        self._waiting = waiting
        self._taking = taking
        self._pause = pause
        self._now = now
        self._failed = 0
        """Lines that could not be written."""
        self._said = 0
        self._say_at = 0.0

    def handle(self, line: object) -> None:
        """Write a line, with what comes soon after it. Whatever these fail of, the next may be written.

        Nobody else would write them.

        Raises:
            queue.Empty: nothing more comes, which ends the thread.
        """
        lines, is_last = self._gathered(str(line))
        try:
            self._write(lines)
        except Exception:
            self._failed += len(lines)
            metrics.LOG_LINES_DROPPED.inc(len(lines))
        if self._dropped > self._said and self._now() >= self._say_at:
            self._say_dropped()
        if is_last:
            raise queue.Empty

    def _gathered(self, line: str) -> tuple[list[str], bool]:
        """Take what waits behind a line; returns all of it, and whether nothing more comes."""
        lines, size, has_paused = [line], len(line), False
        while size < GATHER_BYTES:
            try:
                following = self._waiting.get_nowait()
            except queue.Empty:
                if has_paused:
                    break
                has_paused = True
                self._pause(GATHER_S)
                continue
            if following is None:
                return lines, True
            lines.append(following)
            size += len(following)
        return lines, False

    def enqueue_sentinel(self) -> None:
        """Ask the thread to end when it has written what waits."""
        self._waiting.put(None)  # there may be no room just now

    def stop(self) -> None:
        """Wait until all is written; for ever, if nobody reads it."""
        super().stop()
        if self._dropped > self._said:
            self._say_dropped()

    @property
    def _dropped(self) -> int:
        return self._taking.dropped + self._failed

    def _say_dropped(self) -> None:
        dropped = self._dropped
        fields = {"msg": "log lines dropped", "lines": dropped - self._said}
        record = logging.makeLogRecord({"levelno": logging.WARNING, "levelname": "WARNING", **fields})
        self._say_at = self._now() + SAY_EVERY_S
        with contextlib.suppress(Exception):  # it is said once more when there is something to say
            self._write([self._taking.prepare(record)])
            self._said = dropped

    def _write(self, lines: list[str]) -> None:
        """Write whole lines.

        There is no buffer: one that is locked when the process ends would abort it.
        """
        left = memoryview("\n".join((*lines, "")).encode(errors="backslashreplace"))
        while left:
            select.select((), (self._descriptor,), ())  # it may be one that does not block
            left = left[os.write(self._descriptor, left) :]
