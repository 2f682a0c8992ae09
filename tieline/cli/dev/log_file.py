"""The one file to which `tieline dev` writes the logs of all its processes.

Only whole lines are written, so that the lines of two processes never mix. The services write JSON lines
(`tieline.runtime.logs`), the nats-server text of its own.
"""

import asyncio
import fcntl
import os
import stat
import sys
import tempfile
import time
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import BinaryIO, Final

from tieline.cli.dev.hints import Hints

SHOWN_LINES: Final = 15
"""Lines that are shown of a process that has ended: a traceback's last calls and its error."""

SHOWN_LINE_BYTES: Final = 2000
"""A JSON line with an exception in it is long; what is cut off can be read in the file."""

LONGEST_LINE_BYTES: Final = 1 << 20
"""A longer line is written in pieces, so that memory stays bounded."""


class LogFile:
    """The file, and with `is_verbose` standard error as well. It takes bytes that end with a line."""

    def __init__(self, path: Path, file: BinaryIO, is_verbose: bool = False) -> None:
        self.path = path
        self._file: BinaryIO | None = file
        self._is_verbose = is_verbose
        self._hints = Hints()

    def write(self, lines: bytes) -> None:
        """Append lines, and say what they mean. A full disk ends the logging, not the system."""
        self._append(lines)
        if self._is_verbose:
            _show(lines)
        for hint in self._hints.of(lines, time.monotonic()):
            self.note(hint)

    def note(self, words: str, end_of_log: Sequence[bytes] = ()) -> None:
        """Write a line about the system itself, and show it together with the end of a process's log."""
        line = f"tieline: {words}\n".encode()
        self._append(line)
        shown = () if self._is_verbose else (b"  | " + each + b"\n" for each in end_of_log)
        _show(b"".join((line, *shown)))

    def close(self) -> None:
        """Close the file, so that the next `tieline dev` may use it."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _append(self, lines: bytes) -> None:
        if self._file is None:
            return
        try:
            self._file.write(lines)
        except OSError as problem:
            self.close()
            _show(f"tieline: {self.path} cannot be written any more: {problem.strerror}\n".encode())


class ProcessOutput(asyncio.Protocol):
    """The output of one process, from its pipe into the log file."""

    def __init__(self, log: LogFile) -> None:
        self._log = log
        self._unfinished = b""
        self._last: deque[bytes] = deque(maxlen=SHOWN_LINES)
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def last_lines(self) -> list[bytes]:
        """The last lines, without their ends."""
        return list(self._last)

    async def finish(self, timeout_s: float) -> None:
        """Wait until all is written, and close. After `timeout_s` a descendant is holding the pipe open."""
        await asyncio.wait((self._ended,), timeout=timeout_s)
        self._pipe.close()
        await self._ended

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the pipe."""
        self._pipe = transport

    def data_received(self, data: bytes) -> None:
        """Write the lines that are complete."""
        whole, newline, self._unfinished = (self._unfinished + data).rpartition(b"\n")
        if newline:
            self._write(whole + newline)
        if len(self._unfinished) > LONGEST_LINE_BYTES:
            self._write_unfinished()

    def connection_lost(self, _error: Exception | None) -> None:
        """Write what is left."""
        if self._unfinished:
            self._write_unfinished()
        self._ended.set_result(None)

    def _write_unfinished(self) -> None:
        lines, self._unfinished = self._unfinished + b"\n", b""
        self._write(lines)

    def _write(self, lines: bytes) -> None:
        self._log.write(lines)
        self._last.extend(line[:SHOWN_LINE_BYTES] for line in lines[:-1].split(b"\n")[-SHOWN_LINES:])


def open_log(path: Path | None, environ: Mapping[str, str], is_verbose: bool = False) -> LogFile:
    """Open an empty log file, which no other `tieline dev` uses until it is closed.

    Without a `path` it is in the folder for state of this user (XDG Base Directory Specification), or a
    temporary file if there can be no such folder.

    Raises:
        OSError: `path` cannot be written, or another `tieline dev` writes to it.
    """
    if path is not None:
        return LogFile(path, _open(path), is_verbose)
    home = environ.get("HOME") or os.path.expanduser("~")
    folder = Path(environ.get("XDG_STATE_HOME") or Path(home, ".local", "state"), "tieline")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number in count(1):
            path = folder / ("dev.log" if number == 1 else f"dev-{number}.log")
            try:
                return LogFile(path, _open(path), is_verbose)
            except BlockingIOError:
                continue
    except OSError:
        pass
    descriptor, name = tempfile.mkstemp(prefix="tieline-dev-", suffix=".log")
    return LogFile(Path(name), open(descriptor, "wb", buffering=0), is_verbose)


def _open(path: Path) -> BinaryIO:
    file = path.open("ab", buffering=0)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):  # a device cannot be emptied
            file.truncate(0)
    except OSError:
        file.close()
        raise
    return file


def _show(lines: bytes) -> None:
    """Write to standard error. If its reader has gone, the system runs on without it."""
    try:
        sys.stderr.buffer.write(lines)
        sys.stderr.buffer.flush()
    except BrokenPipeError:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stderr.fileno())
