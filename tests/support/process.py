"""A program as a process of the tests: started, waited for, made to stand still, ended by its process id.

What it writes goes to files: it never waits for a reader, and a failed start can show what was written.
The services (`system.py`), `tieline dev`, bots, nats-server, Prometheus and coturn add what is their own.
A container is no process of ours: see `container.py`.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.support.waiting import POLL_S

START_TIMEOUT_S: Final = 60.0
"""To be ready. The slowest program, `tieline dev`, takes 3 s on an idle machine; this is for a busy one."""

END_TIMEOUT_S: Final = 60.0
"""For a process that was asked to end: a drain takes a second or two, on an idle machine."""

SHOWN_OUTPUT: Final = 12_000
"""How many characters of what a process has written stand under a failure."""


class Process:
    """One program that runs from now on. The caller ends it, kills it, or waits for its end."""

    def __init__(
        self,
        command: Sequence[str | Path],
        log: Path,
        *,
        stdout: Path | int | None = None,
        environ: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        """Start it, with this environment instead of ours and in this folder, if they are given.

        What it writes is added to `log`; its standard output goes to `stdout` if that is given: to a file, or
        to an open descriptor.
        """
        self.command = [str(word) for word in command]
        self._log = log
        self._begin = log.stat().st_size if log.exists() else 0
        with log.open("ab") as errors:
            if isinstance(stdout, Path):
                with stdout.open("ab") as written:
                    self._process = self._start(written.fileno(), errors.fileno(), environ, folder)
            else:
                output = errors.fileno() if stdout is None else stdout
                self._process = self._start(output, errors.fileno(), environ, folder)

    def _start(
        self, stdout: int, stderr: int, environ: Mapping[str, str] | None, folder: Path | None
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.command, env=environ, cwd=folder, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """Its exit status, or None while it runs; the negative number of the signal that ended it."""
        return self._process.poll()

    @property
    def output(self) -> str:
        """What its log has got since it was started, from others too if they share that."""
        return self._log.read_bytes()[self._begin :].decode(errors="replace")

    @property
    def _described(self) -> str:
        return f"{' '.join(self.command)}\n{self.output[-SHOWN_OUTPUT:]}"

    def until_ready(self, is_ready: Callable[[], object], timeout_s: float = START_TIMEOUT_S) -> None:
        """Wait until `is_ready` gives something true.

        Raises:
            AssertionError: it ended before, or took too long; it is gone, and the error shows what it wrote.
        """
        deadline = time.monotonic() + timeout_s
        try:
            while not is_ready():
                assert self.status is None or is_ready(), f"it ended with {self.status} before it was ready"
                assert time.monotonic() < deadline, f"it was not ready within {timeout_s:g} s"
                time.sleep(POLL_S)
        except AssertionError as failed:
            self.kill()
            raise AssertionError(f"{failed}: {self._described}") from None
        except BaseException:
            self.kill()
            raise

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        self._process.send_signal(number)

    def freeze(self) -> None:
        """Make it stand still until `unfreeze` or `kill`: its connections stay, and nothing is answered."""
        self.send_signal(signal.SIGSTOP)

    def unfreeze(self) -> None:
        """Let it go on."""
        self.send_signal(signal.SIGCONT)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Make it stand still while the block runs."""
        self.freeze()
        try:
            yield
        finally:
            self.unfreeze()

    def terminate(self) -> None:
        """Ask it to end, and do not wait for that."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it without giving it a chance to write anything."""
        self.send_signal(signal.SIGKILL)
        self._process.wait()

    def wait(self, timeout_s: float = END_TIMEOUT_S) -> int:
        """Wait for its end; returns its exit status.

        Raises:
            AssertionError: it did not end in time; it is gone, and the error shows what it wrote.
        """
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"it did not end within {timeout_s:g} s: {self._described}") from None

    def end(self) -> int:
        """Ask it to end, and wait for that; returns its exit status."""
        self.terminate()
        return self.wait()


def is_alive(pid: int) -> bool:
    """Whether there is a process with this id, of ours or of anybody's."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
