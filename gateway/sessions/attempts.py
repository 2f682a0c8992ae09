"""Which of one user's attempts to connect are under way: few at once, for each ends the one before it.

Of those that have to wait only the newest does. The others have been given up, or are of a page that is to be
replaced.
"""

from typing import Final, NamedTuple

from websockets.http11 import Response

from gateway.admission.handshake import Admitted
from gateway.client.connection import Connection
from tieline.wire.ids import UserId

MOST_OF_A_USER: Final = 2
"""Attempts of one user under way at once: a page that is reloaded connects again beside its last attempt."""


class Attempt(NamedTuple):
    """A client that may be let in."""

    connection: Connection
    response: Response
    admitted: Admitted

    @property
    def user(self) -> UserId:
        """Whose it is."""
        return self.admitted.claims.user


class Attempts:
    """The attempts that are under way, by user, and the one of each that waits."""

    def __init__(self) -> None:
        self._under_way: dict[UserId, int] = {}
        self._waiting: dict[UserId, Attempt] = {}

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def begin(self, attempt: Attempt) -> bool:
        """Count an attempt as under way, until `done`; False: its user has enough of them."""
        under_way = self._under_way.get(attempt.user, 0)
        if under_way >= MOST_OF_A_USER:
            return False
        self._under_way[attempt.user] = under_way + 1
        return True

    def wait(self, attempt: Attempt) -> Attempt | None:
        """Let an attempt wait; returns the older one that waited, which is the caller's to refuse."""
        older = self._waiting.get(attempt.user)
        self._waiting[attempt.user] = attempt
        return older

    def done(self, attempt: Attempt) -> Attempt | None:
        """Count an attempt no more; returns the one that waited for it, which is under way from now on."""
        following = self._waiting.pop(attempt.user, None)
        if following is not None and not following.connection.is_closing:
            return following
        left = self._under_way.pop(attempt.user) - 1
        if left:
            self._under_way[attempt.user] = left
        return None
