"""The house that a connection under test lives in: it keeps what it is asked, and answers when told to."""

from typing import Final

from websockets.http11 import Request, Response

from gateway.client.connection import Connection
from gateway.client.keepalive import Pace
from gateway.client.session import AskKeys, AskPresence, AskRouter, Session
from tieline.wire.ids import SessionId
from tieline.wire.internal import Accepted, Done, PresenceReply, RouterReply

RELAYED: Final = Accepted("relayed")
DONE: Final = Done()


class DollHouse:
    """See `gateway.client.host.House`. One connection lives in it."""

    connection: Connection

    def __init__(self) -> None:
        self.pace = Pace()
        self.arrivals: list[tuple[Request, Response]] = []
        self.under_way: list[AskRouter | AskPresence] = []
        """What was asked and is not answered yet."""
        self.asked: list[str] = []
        """The `requestId` of everything that was asked, in order."""
        self.keys_asked: list[AskKeys] = []
        self.told: list[tuple[SessionId, bytes]] = []
        self.gone_with: list[int] = []
        """The close code each time that the connection was said to be gone."""

    def arrived(self, connection: Connection, request: Request, response: Response) -> None:
        """See `House.arrived`."""
        assert connection is self.connection
        self.arrivals.append((request, response))

    def ask_router(self, connection: Connection, ask: AskRouter) -> None:
        """See `House.ask_router`."""
        self._ask(connection, ask)

    def ask_keys(self, connection: Connection, ask: AskKeys) -> None:
        """See `House.ask_keys`."""
        assert connection is self.connection
        self.keys_asked.append(ask)

    def ask_presence(self, connection: Connection, ask: AskPresence) -> None:
        """See `House.ask_presence`."""
        self._ask(connection, ask)

    def _ask(self, connection: Connection, ask: AskRouter | AskPresence) -> None:
        assert connection is self.connection
        self.asked.append(ask.request_id)
        self.under_way.append(ask)

    def tell(self, session: Session, event: bytes) -> None:
        """See `House.tell`."""
        self.told.append((session.session, event))

    def gone(self, connection: Connection) -> None:
        """See `House.gone`."""
        self.gone_with.append(connection.close_code)

    def answer(self, router: RouterReply | None = RELAYED, presence: PresenceReply | None = DONE) -> None:
        """Answer what is under way, which must be one thing."""
        (ask,) = self.under_way
        self.under_way.clear()
        match ask:
            case AskRouter():
                self.connection.turns.router_answered(ask, router)
            case AskPresence():
                self.connection.turns.presence_answered(ask, presence)
