"""Keep one client connected: use a connection until it ends or is to be left, then the next one.

It decides whether the end of a connection is final. How one is made is `connector`; what comes over it
`dispatcher`. When the gateway asks to be left (RECONNECT), the next connection is made while the old one
still works, so that the user is never away. As soon as the next one is established nothing of the old one
is read any more; the server replays what that had not delivered (docs/protocol.md#6-losing-the-connection).
"""

import asyncio

from tieline.client.connector import Connector, Established
from tieline.client.dispatcher import Dispatcher
from tieline.client.errors import Closed, GaveUp
from tieline.client.gateway_pool import Jitter
from tieline.client.pending import PendingRequests
from tieline.wire.codes import CloseCode


class Reconnector:
    """The connection of one client, whichever it is at the moment.

    Without `resume` there is only the first. `give_up_after_s`: for how long after a loss another connection
    is tried; None: for ever.
    """

    def __init__(
        self,
        established: Established,
        connector: Connector,
        pending: PendingRequests,
        dispatcher: Dispatcher,
        *,
        resume: bool,
        give_up_after_s: float | None,
        jitter: Jitter,
    ) -> None:
        self.established = established
        self.closed: Closed | None = None
        """How the last connection ended, once there will be no other; None before."""
        self._connector = connector
        self._pending = pending
        self._dispatcher = dispatcher
        self._resume = resume
        self._give_up_after_s = give_up_after_s
        self._jitter = jitter
        self._is_closing = False
        self._ended = asyncio.Event()
        self._connecting: asyncio.Task[Established | Exception] | None = None
        self._lost_at: float | None = None

    @property
    def last_failure(self) -> Exception | None:
        """Why the last attempt to connect failed; None if it did not."""
        return self._connector.last_failure

    async def close(self) -> None:
        """Close the connection with 1000, and wait until it is closed. The second time it only waits."""
        self._is_closing = True
        if self._connecting is not None:
            self._connecting.cancel()
        await self.established.connection.close()
        await self._ended.wait()

    async def run(self) -> None:
        """Use one connection after the other, until one ends for good."""
        self._pending.connected()
        try:
            async with asyncio.TaskGroup() as tasks:
                while isinstance(outcome := await self._use(self.established), Established):
                    # Not with 1000: that ends the session. Mostly the server has closed it already.
                    tasks.create_task(self.established.connection.close(CloseCode.GOING_AWAY))
                    self.established = outcome
                    if self._is_closing:
                        break
                    self._dispatcher.connection_replaced(outcome.welcome, self._away_s(), outcome.place)
                    self._lost_at = None
                self._end(outcome if isinstance(outcome, Closed) else _closed_by_client())
        finally:
            self._end(_closed_by_client())
            await self.established.connection.close()

    def _away_s(self) -> float:
        return 0.0 if self._lost_at is None else _now() - self._lost_at

    def _end(self, end: Closed) -> None:
        if self.closed is None:
            self.closed = end
            self._dispatcher.connection_ended(end)
            self._ended.set()

    async def _use(self, established: Established) -> Established | Closed:
        """Use a connection until the next one is established, or none ever will be."""
        leave = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(self._read(established, leave))
            writing = tasks.create_task(self._pending.write_to(established.connection))
            leaving = tasks.create_task(leave.wait())
            await asyncio.wait((reading, leaving), return_when=asyncio.FIRST_COMPLETED)
            outcome = None if reading.done() else await self._connect_before_leaving(tasks, reading)
            if outcome is None:
                end = await reading
                outcome = end if self._is_final(end) else await self._connect_after_loss(tasks, end)
            for task in (reading, writing, leaving):
                task.cancel()
        return outcome

    async def _read(self, established: Established, leave: asyncio.Event) -> Closed:
        """Dispatch frames until the connection ends; set `leave` when the gateway is to be left."""
        try:
            while True:
                asked = self._dispatcher.dispatch(await established.connection.receive())
                if asked is not None:
                    delay_ms = asked.after_ms + self._jitter() * asked.jitter_ms
                    asyncio.get_running_loop().call_later(delay_ms / 1000, leave.set)
        except Closed as end:
            return end

    def _is_final(self, end: Closed) -> bool:
        if self._is_closing or not self._resume:
            return True
        match end.code:
            case CloseCode.TOKEN_EXPIRED:
                return not self._connector.may_get_better_token
            case CloseCode.REPLACED:  # by another client, or by an attempt of this one?
                return not self._connector.may_have_replaced
            case _:
                return not end.may_reconnect

    def _connect(self, tasks: asyncio.TaskGroup, *, at_once: bool) -> asyncio.Task[Established | Exception]:
        session = self._dispatcher.session
        self._connecting = tasks.create_task(self._connector.reconnect(session.query, at_once=at_once))
        return self._connecting

    async def _connect_before_leaving(
        self, tasks: asyncio.TaskGroup, reading: asyncio.Task[Closed]
    ) -> Established | Closed | None:
        """Make the next connection while this one works. None: keep this one for as long as it works."""
        connecting = self._connect(tasks, at_once=True)
        await asyncio.wait((reading, connecting), return_when=asyncio.FIRST_COMPLETED)
        if connecting.done():
            outcome = None if connecting.cancelled() else connecting.result()
            return outcome if isinstance(outcome, Established) else None
        end = reading.result()
        if self._is_final(end):
            connecting.cancel()
            return end
        if end.code == CloseCode.REPLACED and self._connector.is_attempting:
            # By the connection that is being made: its WELCOME is on the way, and the user was never away.
            self._lost_at = _now()
            self._pending.disconnected()
        else:
            self._lose(end)
        return await self._outcome_of(connecting, end)

    async def _connect_after_loss(self, tasks: asyncio.TaskGroup, end: Closed) -> Established | Closed:
        """Make the next connection after this one is lost."""
        self._lose(end)
        return await self._outcome_of(self._connect(tasks, at_once=False), end)

    def _lose(self, end: Closed) -> None:
        self._lost_at = _now()
        self._dispatcher.connection_lost(end)

    async def _outcome_of(
        self, connecting: asyncio.Task[Established | Exception], end: Closed
    ) -> Established | Closed:
        """Wait for the next connection, for `give_up_after_s` at most."""
        await asyncio.wait((connecting,), timeout=self._give_up_after_s)
        if not connecting.done():
            connecting.cancel()
            return GaveUp(end.code, end.reason, self._connector.last_failure or end)
        if connecting.cancelled():
            return _closed_by_client()
        outcome = connecting.result()
        match outcome:
            case Established() | Closed():
                return outcome
            case _:
                return GaveUp(end.code, end.reason, outcome)


def _closed_by_client() -> Closed:
    return Closed(CloseCode.NORMAL, "")


def _now() -> float:
    return asyncio.get_running_loop().time()
