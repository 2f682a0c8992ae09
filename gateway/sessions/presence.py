"""Ask presence, with typed requests and replies. Which process of presence answers is the broker's choice."""

import functools
from collections.abc import Callable
from typing import Protocol

import msgspec

from tieline.runtime.answers import Asking
from tieline.runtime.patience import PATIENCE_S
from tieline.runtime.pending import always
from tieline.runtime.requests import Requests
from tieline.wire.ids import NO_TOKEN, UserId
from tieline.wire.internal import codec
from tieline.wire.internal.answers import UNPROVEN, Outdated, Refused
from tieline.wire.internal.directions import OPERATIONS, GatewayRequest, PresenceReply
from tieline.wire.internal.sessions import LeaseKept, Opened, OpenSession, Register, Regrant
from tieline.wire.subjects import Subjects

PresenceAnswered = Callable[[PresenceReply | None], None]
"""Called once, with the reply, or with None when no reply came in time."""


class Presence(Protocol):
    """Presence, as a gateway asks it. A request is repeated until it is answered, maybe carried out twice."""

    def revision_of(self, user: UserId) -> int:
        """Find the newest revision that is known of a user's partition; 0: none. See `OpenSession.asked`."""
        ...

    async def ask(
        self,
        request: GatewayRequest,
        patience_s: float = PATIENCE_S,
        is_wanted: Callable[[], bool] = always,
    ) -> PresenceReply:
        """Ask, and return the reply. Once it `is_wanted` no more, the request is not repeated.

        Raises:
            NoAnswer: no reply came within `patience_s`; the request may or may not have been carried out.
        """
        ...

    def begin(
        self, request: GatewayRequest, answered: PresenceAnswered, patience_s: float = PATIENCE_S
    ) -> None:
        """Ask, and call `answered` when the reply has come, or none within `patience_s`."""
        ...


def without_token(request: GatewayRequest) -> GatewayRequest:
    """Keep back the token of a client from a presence that does not look at it."""
    if not isinstance(request, OpenSession | Register | Regrant) or request.token == NO_TOKEN:
        return request
    return msgspec.structs.replace(request, token=NO_TOKEN)


def number_of(lease: LeaseKept) -> int:
    """Read how many partitions presence has."""
    return len(lease.revisions) or 1


class RemotePresence:
    """The presence processes of one namespace, over the broker.

    An answer that cannot be understood, or is of another kind than was asked for, is none.
    """

    def __init__(self, requests: Requests, subjects: Subjects) -> None:
        self._asking = Asking(requests)
        self._subjects = subjects
        self._revisions = [0] * subjects.partitions.number
        self._gives_tokens = False
        """Presence looks at tokens itself, as far as is known."""

    def revision_of(self, user: UserId) -> int:
        """Find the newest revision that is known of a user's partition; 0: none. See `OpenSession.asked`."""
        return self._revisions[self._subjects.place_of(user)]

    async def ask(
        self,
        request: GatewayRequest,
        patience_s: float = PATIENCE_S,
        is_wanted: Callable[[], bool] = always,
    ) -> PresenceReply:
        """Ask, and return the reply. Once it `is_wanted` no more, the request is not repeated.

        Raises:
            NoAnswer: no reply came within `patience_s`; the request may or may not have been carried out.
        """
        was_given = self._gives_tokens  # another request may be refused meanwhile, and find out first
        reply = await self._ask(request, patience_s, is_wanted)
        if isinstance(reply, Refused) and reply.reason == UNPROVEN and not was_given:
            self._gives_tokens = True  # it was set so a moment ago
            reply = await self._ask(request, patience_s, is_wanted)
        if isinstance(reply, LeaseKept):
            self._gives_tokens = reply.tokens
        match reply:
            case LeaseKept(revision=revision) if revision and number_of(reply) == len(self._revisions):
                # Also where it is lower: a broker that came back empty counts anew.
                self._revisions = list(reply.revisions or (revision,))
            case Opened(revision=revision) | Outdated(revision=revision) if isinstance(
                request, OpenSession | Register
            ):
                at = self._subjects.place_of(request.user)
                self._revisions[at] = max(self._revisions[at], revision)
            case _:
                pass
        return reply

    async def _ask(
        self, request: GatewayRequest, patience_s: float, is_wanted: Callable[[], bool]
    ) -> PresenceReply:
        asked = request if self._gives_tokens else without_token(request)
        read = functools.partial(codec.read_answer, asked)
        subject, payload = self._subject(asked), codec.encode(asked)
        return await self._asking.ask(subject, payload, read, patience_s, is_wanted)

    def begin(
        self, request: GatewayRequest, answered: PresenceAnswered, patience_s: float = PATIENCE_S
    ) -> None:
        """Ask, and call `answered` when the reply has come, or none within `patience_s`."""
        read = functools.partial(codec.read_answer, request)
        self._asking.begin(self._subject(request), codec.encode(request), read, answered, patience_s)

    def _subject(self, request: GatewayRequest) -> str:
        return self._subjects.presence(OPERATIONS[type(request)])
