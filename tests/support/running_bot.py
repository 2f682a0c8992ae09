"""`tieline call --answer` or `--to` as a process of the tests."""

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Self

from tests.support.raw_client import HOST
from tests.support.system import SECRET
from tests.support.waiting import PATIENCE_S, until


class RunningBot:
    """One bot in a room, which ends with the `with` block."""

    def __init__(self, ports: Sequence[int], room: str, user: str, *options: str) -> None:
        urls = [word for port in ports for word in ("--url", f"ws://{HOST}:{port}/ws")]
        self.user = user
        self._words = ["call", *urls, "--room", room, "--user", user, *options]
        self._lines: list[str] = []

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tieline.cli", *self._words],
            env={**os.environ, "TIELINE_JWT_SECRET": SECRET},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()

    @property
    def said(self) -> str:
        """Everything it has said so far."""
        return "".join(self._lines)

    async def says(self, words: str) -> None:
        """Wait until it has said something."""
        await until(lambda: words in self.said or self._fail_if_over(words))

    async def ended(self) -> int:
        """Wait for its end; returns its exit status."""
        await until(lambda: self.process.poll() is not None)
        self._reader.join(PATIENCE_S)
        assert self.process.returncode is not None
        return self.process.returncode

    def _fail_if_over(self, words: str) -> bool:
        is_over = self.process.poll() is not None and not self._reader.is_alive()
        assert not is_over or words in self.said, f"it ended without saying {words!r}, and said\n{self.said}"
        return False

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.append(line)
