"""The pip-installed nats-server as a process of the tests, to be killed and started again at will."""

import os
import subprocess
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self

from tieline.cli.dev.broker_process import broker_command, find_nats_server
from tieline.cli.dev.ports import hold_ports

HOST: Final = "127.0.0.1"

START_TIMEOUT_S: Final = 30
"""It starts in a tenth of a second, unless the machine is very busy."""

_READY: Final = "Server is ready"


class PipNats:
    """One nats-server with JetStream, while its `with` block lasts.

    Killed and started again it has its old port and its old streams.
    """

    def __init__(self, storage: Path) -> None:
        self._storage = storage
        self._held = ExitStack()
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._ready = threading.Event()
        self._said: list[str] = []

    def __enter__(self) -> Self:
        (self._port,) = self._held.enter_context(hold_ports(1, HOST))
        try:
            self.start()
        except BaseException:
            self._held.close()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()
        self._held.close()

    @property
    def url(self) -> str:
        """Where clients find it, also while it is down."""
        return f"nats://{HOST}:{self._port}"

    def start(self) -> None:
        """Start it, and return when it serves."""
        assert self._process is None
        self._ready.clear()
        self._process = subprocess.Popen(
            broker_command(find_nats_server(os.environ), HOST, self._port, self._storage),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,))
        self._reader.start()
        if not self._ready.wait(START_TIMEOUT_S) or self._process.poll() is not None:
            self.kill()
            raise AssertionError(f"no nats-server:\n{''.join(self._said)}")

    def stop(self) -> None:
        """End it as an operator would."""
        if self._process is not None:
            self._process.terminate()
            self._gone()

    def kill(self) -> None:
        """End it without giving it a chance to say anything."""
        if self._process is not None:
            self._process.kill()
            self._gone()

    def _gone(self) -> None:
        assert self._process is not None
        assert self._reader is not None
        self._process.wait()
        self._reader.join()
        self._process = None

    def _read(self, process: subprocess.Popen[str]) -> None:
        """Read its log to the end, so that it never waits for a reader."""
        assert process.stderr is not None
        with process.stderr as log:
            for line in log:
                self._said.append(line)
                if _READY in line:
                    self._ready.set()
        self._ready.set()  # it has ended: nobody need wait for it
