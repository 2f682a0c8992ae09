"""A real HAProxy on loopback: one that says for whom in the PROXY protocol, and the one of `deploy/`."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple, Self

from tests.support.demand import program
from tests.support.http_get import HOST, http_get
from tests.support.process import Process
from tests.support.secured import DEPLOY
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
        with ExitStack() as starting:
            self.port, monitor = starting.enter_context(hold_ports(2, HOST))
            config = _CONFIG.format(
                host=HOST,
                port=self.port,
                monitor=monitor,
                gateway=self._gateway,
                send=self._send,
                patience=int(PATIENCE_S),
            )
            starting.enter_context(_running(self._folder, config, monitor))
            self._ending = starting.pop_all()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._ending.close()


class Ports(NamedTuple):
    """Where the HAProxy of `deploy/` takes clients."""

    plain: int
    tls: int
    api: int
    """Where it takes backends."""


@contextmanager
def shipped_haproxy(
    folder: Path, gateway: tuple[int, int], certificate: Path, api: tuple[int, int] | None = None
) -> Iterator[Ports]:
    """Run `deploy/haproxy.cfg` in front of one gateway and one API process, or none.

    Of both it takes the port and the ops port; `certificate` is a file with the key in it.
    """

    def server(name: str, at: tuple[int, int] | None) -> str:
        return "" if at is None else f"server {name} {HOST}:{at[0]} port {at[1]}"

    with hold_ports(4, HOST) as (plain, tls, backends, monitor):
        config = (DEPLOY / "haproxy.cfg").read_text()
        for here, there in (
            ("bind :8080\n", f"bind {HOST}:{plain}\n"),
            ("bind :8443 ", f"bind {HOST}:{tls} "),
            ("bind :8090\n", f"bind {HOST}:{backends}\n"),
            ("bind :8404\n", f"bind {HOST}:{monitor}\n"),
            ("/etc/haproxy/tls.pem", str(certificate)),
            (
                "server-template gateway 1-20 gateway:8080 resolvers docker init-addr none",
                server("gateway", gateway),
            ),
            ("server-template api 1-20 api:8090 resolvers docker init-addr none", server("api", api)),
        ):
            assert here in config
            config = config.replace(here, there)
        with _running(folder, config, monitor):
            yield Ports(plain, tls, backends)


@contextmanager
def _running(folder: Path, config: str, monitor: int) -> Iterator[None]:
    found = program("haproxy")
    assert found is not None
    file = folder / "haproxy.cfg"
    file.write_text(config)
    process = Process([found, "-db", "-f", file], folder / "haproxy.log")
    try:
        process.until_ready(lambda: http_get(monitor, "/healthz")[0] == 200)
        yield
    finally:
        process.end()
