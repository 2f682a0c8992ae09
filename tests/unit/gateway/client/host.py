"""What a connection under test asks: kept until the test answers."""

from collections.abc import Callable
from typing import Final

from gateway.client.actions import AskKeys, AskPresence, AskRouter
from gateway.client.host import KeysAnswered, PresenceAnswered, RouterAnswered
from gateway.client.session import Session
from tieline.wire.ids import SessionId
from tieline.wire.internal.answers import Done
from tieline.wire.internal.directions import PresenceReply, RouterReply
from tieline.wire.internal.signals import Accepted, Answers

RELAYED: Final = Accepted("relayed")
DONE: Final = Done()


class FakeHost:
    """A `Host` in whose hands nothing is answered by itself."""

    def __init__(self) -> None:
        self.under_way: list[AskRouter | AskPresence] = []
        """What was asked and is not answered yet."""
        self.asked: list[str] = []
        """The `requestId` of everything that was asked, in order."""
        self.keys_asked: list[AskKeys] = []
        self.told: list[tuple[SessionId, bytes]] = []
        self._to_answer: list[Callable[[RouterReply | Answers | None, PresenceReply | None], None]] = []
        self._keys_answered: list[Callable[[bool], None]] = []

    def ask_router(self, _session: Session, ask: AskRouter, answered: RouterAnswered) -> None:
        """Keep a question to a router."""
        self._keep(ask, lambda router, _: answered(ask, router))

    def ask_presence(self, _session: Session, ask: AskPresence, answered: PresenceAnswered) -> None:
        """Keep a question to presence."""
        self._keep(ask, lambda _, presence: answered(ask, presence))

    def ask_keys(self, ask: AskKeys, answered: KeysAnswered) -> None:
        """Keep a question to the key server."""
        self.keys_asked.append(ask)
        self._keys_answered.append(lambda is_fresh: answered(ask, is_fresh))

    def tell(self, session: Session, event: bytes) -> None:
        """Keep an event of the gateway's own."""
        self.told.append((session.session, event))

    def answer(
        self, router: RouterReply | Answers | None = RELAYED, presence: PresenceReply | None = DONE
    ) -> None:
        """Answer what is under way, which must be one thing."""
        (answered,) = self._to_answer
        self.under_way.clear()
        self._to_answer.clear()
        answered(router, presence)

    def answer_keys(self, is_fresh: bool) -> None:
        """Answer the one question to the key server."""
        (answered,) = self._keys_answered
        self._keys_answered.clear()
        answered(is_fresh)

    def _keep(
        self,
        ask: AskRouter | AskPresence,
        answered: Callable[[RouterReply | Answers | None, PresenceReply | None], None],
    ) -> None:
        self.asked.append(ask.request_id)
        self.under_way.append(ask)
        self._to_answer.append(answered)
