"""Pushes to phones, and a stand-in for the services that carry them.

A real one is an HTTP/2 request to APNs, with the call's id as `apns-collapse-id`, or a data message of high
priority to FCM, with it as `collapse_key`. It raises NotNow while the service does not answer.
"""

from collections import defaultdict
from typing import Literal, Protocol

import msgspec


class Push(msgspec.Struct, frozen=True):
    """What a user's phone is told, while no connection of it is there."""

    user: str
    what: Literal["wake", "missed"]
    """wake: connect, and the call is there; missed: show that somebody has called."""
    caller: str
    call: str
    until: int = 0
    """In Unix milliseconds: then the caller waits no more, and nobody need be woken. 0: it does not wait."""


class PushService(Protocol):
    """What carries pushes."""

    async def send(self, push: Push) -> None:
        """Send one. The same one may come again, and is to be shown once."""
        ...


class StandIn:
    """In the place of a service: keeps what it is given, for pages that ask for it."""

    def __init__(self) -> None:
        self.sent: defaultdict[str, list[Push]] = defaultdict(list)

    async def send(self, push: Push) -> None:
        """Keep it, unless it is there."""
        if push not in self.sent[push.user]:
            self.sent[push.user].append(push)
