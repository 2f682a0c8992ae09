"""`tieline call --answer` or `--to` as a process of the tests."""

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from tests.support.http_get import HOST
from tests.support.process import Process
from tests.support.system import SECRET
from tests.support.waiting import until


class RunningBot:
    """One bot in a room, which ends with the `with` block."""

    def __init__(self, ports: Sequence[int], room: str, user: str, *options: str) -> None:
        urls = [word for port in ports for word in ("--url", f"ws://{HOST}:{port}/ws")]
        self.user = user
        self._words = ["call", *urls, "--room", room, "--user", user, *options]
        self._said: str | None = None

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory()
        self.process = Process(
            [sys.executable, "-m", "tieline.cli", *self._words],
            Path(self._folder.name, "log"),
            environ={**os.environ, "TIELINE_JWT_SECRET": SECRET},
        )
        return self

    def __exit__(self, *_exception: object) -> None:
        self.process.kill()
        self._said = self.process.output
        self._folder.cleanup()

    @property
    def said(self) -> str:
        """Everything it has said so far."""
        return self.process.output if self._said is None else self._said

    async def says(self, words: str) -> None:
        """Wait until it has said something."""
        await until(lambda: words in self.said or self._fail_if_over(words))

    async def ended(self) -> int:
        """Wait for its end; returns its exit status."""
        await until(lambda: self.process.status is not None)
        assert self.process.status is not None
        return self.process.status

    def _fail_if_over(self, words: str) -> bool:
        is_over = self.process.status is not None
        assert not is_over or words in self.said, f"it ended without saying {words!r}, and said\n{self.said}"
        return False
