"""The STUN and TURN servers that a client is told, with credentials made for it. Pure.

The credentials are those of the "REST API for access to TURN services", which coturn calls
`use-auth-secret`: the TURN server and this gateway share a secret and nothing else. The user name says until
when it is good and for which user; the password is its HMAC. Nothing has to be stored or revoked.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Collection
from typing import Final, NamedTuple

from tieline.runtime.settings import SettingsError
from tieline.wire.ids import UserId
from tieline.wire.replies import IceServer, IceServerList

_URL: Final = re.compile(
    r"(?P<scheme>[a-z]+):(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~-]+)(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<transport>\?transport=(?:udp|tcp))?"
)
"""RFC 7064 and RFC 7065: no slashes, no path, and a transport for TURN alone."""

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_.-]|[uU](?=[nN][iI][oO][nN])")
"""What is escaped in a user name. coturn refuses blanks, quotes and backslashes, and names that hold both
`union` and `select`, which it takes for SQL; others than ASCII are prepared by each client in its own way
before it hashes them (RFC 8489, 9.2.2); and a colon ends the expiry."""


class IceServers(NamedTuple):
    """Where a client can learn its own address (STUN) and be relayed (TURN); `ttl_s` is for credentials."""

    stun_urls: tuple[str, ...] = ()
    turn_urls: tuple[str, ...] = ()
    turn_secret: str = ""
    ttl_s: int = 3600

    def listed(self, user: UserId, now: float) -> IceServerList:
        """List the servers with credentials for `user` that are good from `now` (Unix seconds)."""
        servers = [IceServer(self.stun_urls)] if self.stun_urls else []
        if self.turn_urls:
            name = f"{int(now) + self.ttl_s}:{turn_user(user)}"
            servers.append(IceServer(self.turn_urls, name, password(self.turn_secret, name)))
        return IceServerList(tuple(servers), self.ttl_s)


def turn_user(user: UserId) -> str:
    """Spell a user so that every TURN client and server reads the same: `=XX` for each byte that is unsafe.

    Two users never get one name: the sign itself is escaped. The longest has 384 characters, of the 508 that
    a browser takes.
    """
    return _UNSAFE.sub(lambda unsafe: "".join(f"={byte:02X}" for byte in unsafe[0].encode()), user)


def password(secret: str, username: str) -> str:
    """Make the password that coturn expects for a user name."""
    digest = hmac.digest(secret.encode(), username.encode(), hashlib.sha1)
    return base64.b64encode(digest).decode()


def read_urls(variable: str, value: str, schemes: Collection[str]) -> tuple[str, ...]:
    """Read the URLs that a setting lists with commas between them.

    Raises:
        SettingsError: one of them is none of these schemes; the text names `variable`.
    """
    urls = tuple(url for part in value.split(",") if (url := part.strip()))
    for url in urls:
        problem = _problem(url, schemes)
        if problem:
            raise SettingsError(f"{variable}: {url!r} {problem}")
    return urls


def _problem(url: str, schemes: Collection[str]) -> str:
    """Say what is wrong with a URL; "" if nothing is."""
    scheme = url.partition(":")[0]
    if scheme not in schemes:
        return f"does not begin with {' or '.join(f'{allowed}:' for allowed in schemes)}"
    found = _URL.fullmatch(url)
    if found is None or not 0 < int(found["port"] or 1) < 65_536:
        return f"is not of the form {scheme}:host or {scheme}:host:port (no slashes)"
    if found["transport"] and scheme.startswith("stun"):
        return "names a transport, which only turn: and turns: have"
    return ""
