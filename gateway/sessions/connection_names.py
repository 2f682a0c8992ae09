"""Name connections so that nobody but this gateway and those whom it asks can know the name. Pure.

Whoever names a session's connection speaks for the session (`presence.rules.holding`), and all gateways hear
what each of them is answered. So an answer names the session that was asked for, which is no secret, and its
gateway finds the connection's name by that, even if it has forgotten the connection.
"""

import hashlib
from typing import Final

from tieline.wire.ids import ConnectionId, SessionId

KEY_BYTES: Final = 32
"""Of the key of a gateway's run, random: as many as the hash can use well."""

NAME_BYTES: Final = 6
"""Of a name: each guess is a request, and no broker carries as many as 48 bits take within years."""


class ConnectionNames:
    """The names of one gateway's connections."""

    def __init__(self, key: bytes) -> None:
        """Take a random key of `KEY_BYTES`, which is kept nowhere else."""
        self._key = key

    def of(self, asked: SessionId) -> ConnectionId:
        """Return the name of the connection on which this session was asked to begin."""
        digest = hashlib.blake2b(asked.encode(), key=self._key, digest_size=NAME_BYTES)
        return ConnectionId(digest.hexdigest())
