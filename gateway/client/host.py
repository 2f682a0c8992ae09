"""What a connection needs from the gateway around it. `registry` is the real one."""

from typing import TYPE_CHECKING, Protocol

from websockets.http11 import Request, Response

from gateway.client.keepalive import Pace
from gateway.client.session import AskKeys, AskPresence, AskRouter, Session

if TYPE_CHECKING:
    from gateway.client.connection import Connection


class House(Protocol):
    """Admits connections, asks the cluster on their behalf, and ends their sessions."""

    pace: Pace

    def arrived(self, connection: "Connection", request: Request, response: Response) -> None:
        """Decide on an upgrade request, then call `welcome`, `deny` or `abandon`, now or later."""
        ...

    def ask_router(self, connection: "Connection", ask: AskRouter) -> None:
        """Ask a router, then call `router_answered` once."""
        ...

    def ask_keys(self, connection: "Connection", ask: AskKeys) -> None:
        """Have the keys of tokens fetched anew, then call `keys_answered` once."""
        ...

    def ask_presence(self, connection: "Connection", ask: AskPresence) -> None:
        """Ask presence, then call `presence_answered` once."""
        ...

    def tell(self, session: Session, event: bytes) -> None:
        """Send a session an event the way that those from others come: behind what is stored for it already.

        A client that names it as the last it has had must have had everything before it.
        """
        ...

    def gone(self, connection: "Connection") -> None:
        """Take note that the socket is closed and everything it said is answered; called once."""
        ...
