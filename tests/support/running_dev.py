"""`tieline dev` as a process of the tests."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

READY = "Ctrl-C ends everything."
READY_AGAIN = "Tieline is ready again."


class RunningDev:
    """One `tieline dev`, which ends with the `with` block. Its standard error and all logs go to files."""

    def __init__(
        self, folder: Path, arguments: Sequence[str] = (), environ: Mapping[str, str] | None = None
    ) -> None:
        self.ready_file = folder / "ready.json"
        self.temporary = folder / "temporary"
        self.log_file = folder / "processes.log"
        self._errors = folder / "errors"
        self._arguments = arguments
        self._environ = environ or {}

    def __enter__(self) -> Self:
        self.temporary.mkdir()
        with self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "tieline.cli", "dev", "--ready-file", str(self.ready_file)),
                    *("--log-file", str(self.log_file), *self._arguments),
                ],
                env={**os.environ, "TMPDIR": str(self.temporary), **self._environ},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.terminate()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

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
    def document(self) -> Any:
        """What the ready file says now."""
        return json.loads(self.ready_file.read_text())

    def until_said(self, words: str) -> list[str]:
        """Read standard output up to the line with `words`; return those lines."""
        assert self.process.stdout is not None
        lines: list[str] = []
        for line in self.process.stdout:
            lines.append(line.rstrip("\n"))
            if words in line:
                return lines
        raise AssertionError(f"it ended without saying {words!r}, and said\n{lines}\n{self.log}")
