"""What a connection asks of the rest of the system. `gateway/sessions/questions.py` is the real one."""

from collections.abc import Callable
from typing import Protocol

from gateway.client.actions import AskKeys, AskPresence, AskRouter, RoomListing
from gateway.client.session import Session
from tieline.wire.internal.directions import PresenceReply, RouterReply
from tieline.wire.internal.signals import Answers

RouterAnswered = Callable[[AskRouter, RouterReply | Answers | None], None]
"""Called once, with what was asked and the reply, or None when no reply came in time.

A plain reply is to the first signal alone: nothing is known of those that follow it.
"""

PresenceAnswered = Callable[[AskPresence, PresenceReply | RoomListing | None], None]
"""Called once, with what was asked and the reply, or None when no reply came in time."""

KeysAnswered = Callable[[AskKeys, bool], None]
"""Called once, with what was asked and whether the keys are fresh now; they are not if they cannot be had."""


class Host(Protocol):
    """Asks others on behalf of the sessions of this gateway."""

    def ask_router(self, session: Session, ask: AskRouter, answered: RouterAnswered) -> None:
        """Ask a router to carry a signal of a session, and those that follow it."""
        ...

    def ask_presence(self, session: Session, ask: AskPresence, answered: PresenceAnswered) -> None:
        """Ask presence about a room of a session, or to take note of its newer token."""
        ...

    def ask_keys(self, ask: AskKeys, answered: KeysAnswered) -> None:
        """Have the keys that verify tokens fetched anew."""
        ...

    def tell(self, session: Session, event: bytes) -> None:
        """Send a session an event the way that those from others come: behind what is stored for it already.

        A client that names it as the last message it has had must have had everything before it.
        """
        ...
