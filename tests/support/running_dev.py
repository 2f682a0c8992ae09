"""`tieline dev` as a process of the tests."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self, TypedDict

from tests.support.partitions import partitions
from tests.support.process import Process

READY = "Ctrl-C ends everything."
READY_AGAIN = "Tieline is ready again."


class ReadyDocument(TypedDict):
    """The ready file, spelled here once more: other programs rely on its names."""

    gateways: list[str]
    ops: dict[str, list[str]]
    nats: str
    pids: dict[str, list[int]]
    api: str
    apiKey: str


class RunningDev:
    """One `tieline dev`, which ends with the `with` block. Its standard error and all logs go to files."""

    def __init__(
        self,
        folder: Path,
        arguments: Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
        stdout: int | None = None,
    ) -> None:
        """Set it up; its standard output may go to an open descriptor instead of being read here."""
        self.ready_file = folder / "ready.json"
        self.temporary = folder / "temporary"
        self.log_file = folder / "processes.log"
        self._errors = folder / "errors"
        self._stdout = folder / "stdout"
        self._given_stdout = stdout
        self._read_until = 0
        self._arguments = arguments
        self._environ = environ or {}

    def __enter__(self) -> Self:
        self.temporary.mkdir()
        self.process = Process(
            [
                *(sys.executable, "-m", "tieline.cli", "dev", "--ready-file", str(self.ready_file)),
                *("--log-file", str(self.log_file), *self._arguments),
            ],
            self._errors,
            stdout=self._stdout if self._given_stdout is None else self._given_stdout,
            environ={
                **os.environ,
                "TMPDIR": str(self.temporary),
                "TIELINE_PARTITIONS": str(partitions()),
                **self._environ,
            },
        )
        return self

    def __exit__(self, *_exception: object) -> None:
        self.process.end()

    @property
    def errors(self) -> str:
        """Standard error so far."""
        return self._errors.read_text(errors="replace")

    @property
    def log(self) -> str:
        """Standard error and the logs of all processes so far."""
        logs = self.log_file.read_text(errors="replace") if self.log_file.exists() else ""
        return self.errors + logs

    @property
    def document(self) -> ReadyDocument:
        """What the ready file says now."""
        document: ReadyDocument = json.loads(self.ready_file.read_text())
        return document

    def until_said(self, words: str) -> list[str]:
        """Wait for a line with `words` on standard output; return the lines since the last such call."""
        self.process.until_ready(lambda: self._end_of_line_with(words))
        end = self._end_of_line_with(words)
        lines = self._stdout.read_bytes()[self._read_until : end].decode().splitlines()
        self._read_until = end
        return lines

    def _end_of_line_with(self, words: str) -> int:
        """Where the first unread line with `words` ends, in bytes; 0 if there is no such line yet."""
        written = self._stdout.read_bytes()
        place = written.find(words.encode(), self._read_until)
        return written.find(b"\n", place) + 1 if place >= 0 else 0
