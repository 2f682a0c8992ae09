"""Ports on this machine: which are free, and where to reach what listens on them."""

import secrets
import socket
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

HIGHEST: Final = 65_535
_LOWEST: Final = 10_000
"""Below are the ports that well-known services are configured to."""

REFUSED_BY_BROWSERS: Final = 10_080
"""The one from there on that no browser opens (WHATWG Fetch, *port blocking*)."""

_OUTGOING: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_OUTGOING_ELSEWHERE: Final = (32_768, 60_999)

_MAY_BE_HELD: Final = sys.platform == "linux"
"""Whether a socket may listen on a port to which another one is bound, if both set SO_REUSEADDR."""


class PortTaken(Exception):
    """A port cannot be listened on, or there are not enough free ones; the text says which and why."""


def check_free(host: str, port: int) -> None:
    """Find out whether this process could listen on `host`:`port` now.

    Raises:
        PortTaken: it could not.
    """
    try:
        _listen(host, port).close()
    except OSError as error:
        raise PortTaken(f"port {port} on {host} cannot be used: {error.strerror or error}") from None


@contextmanager
def hold_ports(count: int, host: str, but: Iterable[int] = ()) -> Iterator[list[int]]:
    """Reserve `count` free ports on `host` while the block runs, none of them in `but` or closed to browsers.

    They are likely to stay free while a process restarts: they lie outside the range from which the system
    serves outgoing connections, and no other call gives them out, here or in another process, whether or not
    a process listens on them already. (On Linux only; elsewhere they are free when they are found.)

    Raises:
        PortTaken: there are not so many.
    """
    first, last = _outgoing()
    excluded = frozenset((*but, REFUSED_BY_BROWSERS))
    candidates = [
        port for port in range(_LOWEST, HIGHEST + 1) if not first <= port <= last and port not in excluded
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
    """Bind a port that no socket has, so that services can listen on it and no other program can hold it."""
    holder = _socket(host)
    try:
        holder.bind((host, port))  # fails beside any other socket, also one that holds the port
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # allows sockets that set this, too
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
