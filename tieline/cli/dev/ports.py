"""Ports on this machine: which are free, and where to reach what listens on them."""

import secrets
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

HIGHEST: Final = 65_535
_LOWEST: Final = 10_000
"""Below are the ports that well-known services are configured to."""

_OUTGOING: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_OUTGOING_ELSEWHERE: Final = (32_768, 60_999)

_MAY_BE_HELD: Final = sys.platform == "linux"
"""Whether one may listen on a port to which another socket is bound, if both ask for SO_REUSEADDR."""


class PortTaken(Exception):
    """Somebody else listens on the port, or we may not; the text says which and why."""


def check_free(host: str, port: int) -> None:
    """Find out whether we could listen on `host`:`port` now.

    Raises:
        PortTaken: we could not.
    """
    try:
        _listen(host, port).close()
    except OSError as error:
        raise PortTaken(f"port {port} on {host} cannot be used: {error.strerror or error}") from None


@contextmanager
def hold_ports(count: int, host: str, but: Sequence[int] = ()) -> Iterator[list[int]]:
    """Have `count` free ports on `host` while the block runs, likely to stay free while a process restarts.

    For that they lie outside the range from which the system serves outgoing connections, and no other call
    gives them out, here or in another process, whether or not somebody listens on them already (Linux only:
    elsewhere they are free when they are found, and that is all).

    Raises:
        PortTaken: there are not so many.
    """
    first, last = _outgoing()
    taken = frozenset(but)
    candidates = [
        port for port in range(_LOWEST, HIGHEST + 1) if not first <= port <= last and port not in taken
    ]
    found: list[int] = []
    with ExitStack() as holding:
        for port in secrets.SystemRandom().sample(candidates, len(candidates)):
            if len(found) == count:
                break
            try:
                holding.enter_context(_hold(host, port))
            except OSError:
                continue
            found.append(port)
        if len(found) < count:
            raise PortTaken(f"no {count} free ports on {host}")
        if not _MAY_BE_HELD:
            holding.close()
        yield found


def reachable(host: str) -> str:
    """How a client on this machine reaches what listens on `host`, ready to stand in a URL."""
    match host:
        case "0.0.0.0":  # every interface
            return "127.0.0.1"
        case "::":
            return "[::1]"
        case _:
            return f"[{host}]" if ":" in host else host


def _listen(host: str, port: int) -> socket.socket:
    listener = _socket(host)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the services do
        listener.bind((host, port))
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


def _hold(host: str, port: int) -> socket.socket:
    """Take a port that nobody has, so that services can listen on it and nobody else can hold it."""
    holder = _socket(host)
    try:
        holder.bind((host, port))  # fails beside any other socket, one that holds included
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # lets in who has set this, too
    except OSError:
        holder.close()
        raise
    return holder


def _socket(host: str) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)


def _outgoing() -> tuple[int, int]:
    try:
        first, last = map(int, _OUTGOING.read_text().split())
    except (OSError, ValueError):
        return _OUTGOING_ELSEWHERE
    return first, last
