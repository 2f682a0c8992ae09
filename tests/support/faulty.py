"""A broker that goes at the nth thing that is asked of it, for n = 1, 2, … until a loop gets through.

`Faults` counts what is asked, and lets one thing go wrong: with each of the exceptions that nats-py and the
event loop raise then. The broker, the requests and the presence here ask a real or fake one, if nothing goes
wrong. `at_every_await` is the loop around it all.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import pytest
from nats.aio.subscription import Subscription
from nats.errors import (
    ConnectionClosedError,
    ConnectionReconnectingError,
    OutboundBufferLimitError,
    StaleConnectionError,
)
from nats.js.errors import APIError, ServiceUnavailableError

from gateway.sessions.presence import PresenceAnswered
from tests.unit.gateway.sessions.presence import FakePresence
from tieline.runtime.answer_time import AnswerTime
from tieline.runtime.broker import Broker, BrokerAway
from tieline.runtime.nats_parser import Listener
from tieline.runtime.once import Once
from tieline.runtime.patience import PATIENCE_S
from tieline.runtime.pending import Question, always
from tieline.runtime.requests import NoAnswer, Requests
from tieline.wire.internal.directions import GatewayRequest, PresenceReply

Fault = Callable[[], Exception]

BUG: Final[Fault] = lambda: RuntimeError("unable to perform operation; the handler is closed")  # noqa: E731

FAULTS: Final[tuple[Fault, ...]] = (
    OutboundBufferLimitError,
    ConnectionClosedError,
    ConnectionReconnectingError,
    StaleConnectionError,
    TimeoutError,
    ConnectionResetError,
    lambda: APIError(code=503, err_code=10008, description="JetStream system temporarily unavailable"),
    lambda: ServiceUnavailableError(code=503),
    BrokerAway,
    lambda: NoAnswer("subject"),
    BUG,
    lambda: ExceptionGroup("several", [OutboundBufferLimitError(), ValueError("a bug")]),
)
"""What a port may raise."""

MOST: Final = 100
"""Things that no round of a loop asks for."""

each_fault = pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: repr(fault())[:40])


class Faults:
    """Counts what is asked of the broker, and lets the nth thing go wrong; 0: nothing."""

    def __init__(self, nth: int = 0, fault: Fault = BUG) -> None:
        self._nth = nth
        self._fault = fault
        self.asked = 0

    def meet(self) -> None:
        """Ask for something."""
        self.asked += 1
        if self.asked == self._nth:
            raise self._fault()

    def begin(self, nth: int, fault: Fault) -> None:
        """Count anew."""
        self._nth, self._fault, self.asked = nth, fault, 0

    @property
    def has_struck(self) -> bool:
        """Whether something has gone wrong."""
        return 0 < self._nth <= self.asked


class FaultyBroker(Broker):
    """A real broker, of whose answers one goes wrong."""

    def __init__(self, broker: Broker, faults: Faults) -> None:
        super().__init__(broker.client, broker._on_away, broker._on_back)
        self._faults = faults

    def send(
        self, subject: str, payload: bytes, reply: str = "", headers: Mapping[str, str] | bytes = b""
    ) -> None:
        """Send, or not."""
        self._faults.meet()
        super().send(subject, payload, reply, headers)

    async def subscribe(self, subject: str, listener: Listener, queue: str = "") -> Subscription:
        """Listen, or not."""
        self._faults.meet()
        return await super().subscribe(subject, listener, queue)

    async def flush(self) -> None:
        """Flush, or not."""
        self._faults.meet()
        await super().flush()


class FaultyRequests(Requests):
    """Real requests, of which one goes wrong."""

    def __init__(self, broker: Broker, prefix: str, faults: Faults) -> None:
        super().__init__(broker, prefix)
        self._faults = faults

    async def ask(
        self,
        subject: str,
        payload: bytes,
        patience: float = PATIENCE_S,
        is_wanted: Callable[[], bool] = always,
        kind: str = "",
    ) -> bytes:
        """Ask, or not."""
        self._faults.meet()
        return await super().ask(subject, payload, patience, is_wanted, kind)

    def begin_once(
        self,
        subject: str,
        payload: bytes,
        timeout: float,
        headers: Mapping[str, str] | bytes = b"",
        *,
        is_one: bool = True,
        usual: AnswerTime | None = None,
    ) -> Once:
        """Ask, or not."""
        self._faults.meet()
        return super().begin_once(subject, payload, timeout, headers, is_one=is_one, usual=usual)

    def put(
        self,
        subject: str,
        question: Question,
        patience: float = PATIENCE_S,
        headers: Mapping[str, str] | bytes | None = b"",
        kind: str = "",
    ) -> None:
        """Ask, or not."""
        self._faults.meet()
        super().put(subject, question, patience, headers, kind)


class FaultyPresence(FakePresence):
    """A presence, of whose answers one goes wrong."""

    def __init__(self, faults: Faults) -> None:
        super().__init__()
        self._faults = faults

    async def ask(
        self,
        request: GatewayRequest,
        patience_s: float = PATIENCE_S,
        is_wanted: Callable[[], bool] = always,
    ) -> PresenceReply:
        """Answer, or not."""
        self._faults.meet()
        return await super().ask(request, patience_s, is_wanted)

    def begin(
        self, request: GatewayRequest, answered: PresenceAnswered, patience_s: float = PATIENCE_S
    ) -> None:
        """Take a request, or not."""
        self._faults.meet()
        super().begin(request, answered, patience_s)


async def at_every_await(get_through: Callable[[int], Awaitable[Faults]], fewest: int) -> None:
    """Have the nth thing go wrong, for n = 1, 2, … until there is no nth thing; so many there must be.

    `get_through` lets it go wrong, asserts that all comes right in the end, and returns the faults.
    """
    nth = 1
    while True:
        assert nth <= MOST
        try:
            faults = await get_through(nth)
        except BaseException as error:
            error.add_note(f"what goes wrong is number {nth}")
            raise
        if not faults.has_struck:
            break
        nth += 1
    assert nth > fewest


def unnamed(caplog: pytest.LogCaptureFixture) -> list[str]:
    """List what was logged with a traceback by somebody else than a guard, which names what has failed.

    What a listener or the end of a turn meets, the connection to the broker names.
    """
    return [
        f"{record.name}: {record.getMessage()}"
        for record in caplog.records
        if record.exc_info
        and not (record.getMessage().endswith(": a bug") or record.getMessage() == "broker error")
    ]
