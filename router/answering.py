"""Answer gateways: the answers to one pack of signals, those of one turn of the event loop together.

What they say is in `parcels`, what is done with a signal in `service`.
"""

import logging
from collections.abc import Callable
from typing import Final

from router.parcels import NO_ROOM, RELAYED, Outcome
from tieline.runtime.broker import Broker, BrokerAway
from tieline.runtime.guard import bug_guard
from tieline.runtime.tally import Tally
from tieline.wire.internal import codec
from tieline.wire.internal.directions import RouterReply
from tieline.wire.internal.signals import Answers

Answer = Callable[[RouterReply | Answers], None]
"""How one signal is answered, together with those that follow it."""

UNANSWERED: Final = "signals unanswered"
"""What the log calls signals that are asked again."""

_log = logging.getLogger(__name__)

_unsent: Final = bug_guard(_log, "answers not sent: a bug")


class PackAnswers:
    """The answers to one pack of signals: those of one turn of the event loop leave together."""

    __slots__ = ("_broker", "_ready", "_reply", "_tally")

    def __init__(self, broker: Broker, reply: str, tally: Tally) -> None:
        self._broker = broker
        self._reply = reply
        self._tally = tally
        self._ready: list[tuple[int, RouterReply | Answers]] = []

    def give(self, place: int, answer: RouterReply | Answers) -> None:
        """Answer the signal in that place, after everything that has been published for it."""
        if not self._ready:
            self._broker.on_flush(self._send)
        self._ready.append((place, answer))

    def _send(self) -> None:
        ready, self._ready = self._ready, []
        with _unsent:
            try:
                self._broker.send(self._reply, codec.encode(ready))
            except BrokerAway:
                self._tally.note(logging.WARNING, UNANSWERED, "", "", error="broker away", signals=len(ready))


def tell(answer: Answer, outcome: Outcome) -> None:
    """Answer a signal; one whose outcome is unknown is not answered, and sent again by its gateway."""
    if outcome is Outcome.STORED:
        answer(RELAYED)
    elif outcome is Outcome.NO_ROOM:
        answer(NO_ROOM)
