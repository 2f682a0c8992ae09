"""A nats-server of its own for each test that needs one: to be killed, and started again on its port."""

import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.broker.runtime.watching import Attempts
from tieline.runtime.broker import Broker, connect
from tieline.runtime.requests import Requests

EXECUTABLE: Final = Path(sys.executable).with_name("nats-server")
"""Where pip puts it: beside the interpreter of this virtual environment."""

_LISTENING: Final = re.compile(r"Listening for client connections on 127\.0\.0\.1:(\d+)")


class NatsServer:
    """One nats-server with JetStream on a free port, which it keeps when it is started again."""

    def __init__(self, storage: Path) -> None:
        self._storage = storage
        self._port = -1  # the server takes a free one
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """Where it listens, or did before it was killed."""
        return f"nats://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it, and return when it is ready."""
        process = subprocess.Popen(
            [EXECUTABLE, "-a", "127.0.0.1", "-p", str(self._port), "-js", "-sd", self._storage],
            stderr=subprocess.PIPE,
            text=True,
        )
        self._process = process
        assert process.stderr is not None
        said: list[str] = []
        for line in process.stderr:
            said.append(line)
            if found := _LISTENING.search(line):
                self._port = int(found[1])
            if "Server is ready" in line:
                return
        self.kill()
        raise AssertionError(f"nats-server did not start: {''.join(said)}")

    def freeze(self) -> None:
        """Make it hang: it keeps its connections, and answers nothing, until it is killed."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        """End it at once, if it runs."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[NatsServer]:
    """A running nats-server for one test alone."""
    server = NatsServer(tmp_path / "jetstream")
    server.start()
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture
async def broker(nats: NatsServer) -> AsyncIterator[Broker]:
    """A connection to that server."""
    connected = await connect(nats.url, "test")
    yield connected
    await connected.close()


@pytest.fixture
async def service(nats: NatsServer) -> AsyncIterator[Broker]:
    """Another connection to that server, for whoever answers."""
    connected = await connect(nats.url, "service")
    yield connected
    await connected.close()


@pytest.fixture
def attempts(broker: Broker) -> Attempts:
    """That connection, telling of everything that is sent on it."""
    return Attempts(broker)


@pytest.fixture
async def requests(attempts: Attempts) -> Requests:
    """Requests on it, ready to be asked."""
    asking = Requests(attempts, "t.router.r-1.reply")
    await asking.start()
    return asking
