"""A real HAProxy on loopback, which passes connections on and says for whom, in the PROXY protocol."""

from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self

from tests.support.demand import program
from tests.support.http_get import HOST, http_get
from tests.support.process import Process
from tests.support.waiting import PATIENCE_S
from tieline.cli.dev.ports import hold_ports

_CONFIG: Final = """
defaults
    mode tcp
    timeout connect {patience}s
    timeout client {patience}s
    timeout server {patience}s
frontend monitor
    bind {host}:{monitor}
    mode http
    monitor-uri /healthz
listen gateway
    bind {host}:{port}
    server gateway {host}:{gateway} {send}
"""


class HAProxy:
    """Runs while its `with` block does. Tests that use it carry `needs("haproxy")`."""

    def __init__(self, folder: Path, gateway: int, send: str) -> None:
        """Pass connections on to the port `gateway`; `send` is "send-proxy" or "send-proxy-v2"."""
        self._folder = folder
        self._gateway = gateway
        self._send = send
        self._ending = ExitStack()

    def __enter__(self) -> Self:
        found = program("haproxy")
        assert found is not None
        with ExitStack() as starting:
            self.port, monitor = starting.enter_context(hold_ports(2, HOST))
            config = self._folder / f"{self._send}.cfg"
            config.write_text(
                _CONFIG.format(
                    host=HOST,
                    port=self.port,
                    monitor=monitor,
                    gateway=self._gateway,
                    send=self._send,
                    patience=int(PATIENCE_S),
                )
            )
            process = Process([found, "-db", "-f", config], self._folder / "haproxy.log")
            starting.callback(process.end)
            process.until_ready(lambda: http_get(monitor, "/healthz")[0] == 200)
            self._ending = starting.pop_all()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._ending.close()
