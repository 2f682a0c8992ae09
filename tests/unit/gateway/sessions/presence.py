"""A presence that answers as a test says. The real one passes the same tests (`tests/broker/gateway`)."""

import asyncio
from collections import deque
from collections.abc import Callable

from gateway.sessions.presence import PresenceAnswered
from tieline.runtime.patience import PATIENCE_S
from tieline.runtime.pending import always
from tieline.runtime.requests import NoAnswer
from tieline.wire.ids import UserId
from tieline.wire.internal.answers import Done
from tieline.wire.internal.directions import GatewayRequest, PresenceReply
from tieline.wire.internal.sessions import Opened, OpenSession


class FakePresence:
    """Answers everything at once, with `Done` or a new session, unless it is told to answer otherwise."""

    def __init__(self) -> None:
        self.revision = 0
        """The newest revision that the gateway knows of."""
        self.asked: list[GatewayRequest] = []
        self.patience: list[float] = []
        """How long each answer would have been waited for."""
        self.is_wanted: list[Callable[[], bool]] = []
        """What says of each request whether it is to be repeated, if nobody answers."""
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.on_ask: Callable[[GatewayRequest], None] = lambda _: None
        """Called with each request, before it is answered."""
        self._replies: dict[type[GatewayRequest], deque[PresenceReply | None]] = {}
        self._begun: list[Callable[[], None]] = []

    def revision_of(self, user: UserId) -> int:
        """Know as much of everybody."""
        del user
        return self.revision

    def reply(self, kind: type[GatewayRequest], *replies: PresenceReply | None) -> None:
        """Answer the next requests of a kind so, and all after them as the last; None: not at all."""
        self._replies[kind] = deque(replies)

    def asked_for(self, kind: type[GatewayRequest]) -> list[GatewayRequest]:
        """List the requests of a kind."""
        return [request for request in self.asked if isinstance(request, kind)]

    async def ask(
        self,
        request: GatewayRequest,
        patience_s: float = PATIENCE_S,
        is_wanted: Callable[[], bool] = always,
    ) -> PresenceReply:
        """Answer, when that is allowed."""
        self._note(request, patience_s)
        self.is_wanted.append(is_wanted)
        await self.may_answer.wait()
        reply = self._next(request)
        if reply is None:
            raise NoAnswer(type(request).__name__)
        return reply

    def begin(
        self, request: GatewayRequest, answered: PresenceAnswered, patience_s: float = PATIENCE_S
    ) -> None:
        """Answer when the test says so, with `answer_begun`."""
        self._note(request, patience_s)
        self._begun.append(lambda: answered(self._next(request)))

    def answer_begun(self) -> None:
        """Answer everything that was begun."""
        begun, self._begun = self._begun, []
        for answer in begun:
            answer()

    def _note(self, request: GatewayRequest, patience_s: float) -> None:
        self.asked.append(request)
        self.patience.append(patience_s)
        self.on_ask(request)

    def _next(self, request: GatewayRequest) -> PresenceReply | None:
        replies = self._replies.get(type(request))
        if replies is None:
            if isinstance(request, OpenSession):
                return Opened(request.session, resumed=False, rooms={})
            return Done()
        return replies.popleft() if len(replies) > 1 else replies[0]
