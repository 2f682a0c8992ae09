"""Which web pages may connect. Pure.

A browser names the page's origin and lets no page forge it; other clients name none. The gateway knows
neither its own name nor whether TLS ends before it: that the `Host` header, which the browser fills, too,
names the same host and port must do.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from tieline.runtime.settings import SettingsError

ANY: Final = "*"

_DEFAULT_PORTS: Final = {"http": 80, "ws": 80, "https": 443, "wss": 443}

_HOST: Final = r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s/?#@:\[\]]+)(?::(?P<port>[0-9]{1,5}))?"
_ORIGIN: Final = re.compile(rf"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://{_HOST}")
_HOST_HEADER: Final = re.compile(_HOST)


class _Origin(NamedTuple):
    scheme: str
    host: str
    port: int | None
    """None: the scheme has no port, or none that is known."""


class Origins:
    """Decides which origins are let in: those listed, and that of the very gateway that is asked."""

    def __init__(self, listed: Sequence[str] = ()) -> None:
        """Take what `read_origins` gives."""
        self._any = ANY in listed
        self._listed = {_read(text) or text for text in listed}

    def allow(self, origins: Sequence[str], hosts: Sequence[str]) -> bool:
        """Decide by the values of the headers `Origin` and `Host`."""
        if not origins or self._any:
            return True
        if len(origins) > 1:
            return False
        origin = _read(origins[0])
        if (origin or origins[0]) in self._listed:
            return True
        return origin is not None and len(hosts) == 1 and _is_of(origin, hosts[0])


def read_origins(variable: str, value: str) -> tuple[str, ...]:
    """Read the origins that a setting lists with commas between them.

    Raises:
        SettingsError: one of them is none; the text names `variable`.
    """
    listed = tuple(text for part in value.split(",") if (text := part.strip()))
    for text in listed:
        if text not in (ANY, "null") and _read(text) is None:
            raise SettingsError(
                f"{variable}: {text!r} is no origin: scheme://host or scheme://host:port, and no path"
            )
    return listed


def _read(text: str) -> _Origin | None:
    found = _ORIGIN.fullmatch(text)
    if found is None:
        return None
    scheme = found["scheme"].lower()
    port = int(found["port"]) if found["port"] else _DEFAULT_PORTS.get(scheme)
    return _Origin(scheme, found["host"].lower(), port)


def _is_of(origin: _Origin, host: str) -> bool:
    """Whether a `Host` header names an origin's host and port; without a port it is the origin's scheme's."""
    found = _HOST_HEADER.fullmatch(host)
    if found is None or origin.scheme not in _DEFAULT_PORTS:
        return False
    port = int(found["port"]) if found["port"] else _DEFAULT_PORTS[origin.scheme]
    return (origin.host, origin.port) == (found["host"].lower(), port)
