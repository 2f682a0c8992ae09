"""Keep one client connected: use a connection until it ends or is to be left, then the next one.

Asked to leave (RECONNECT), it makes the next connection while the old one still works: nobody sees the user
away. From the moment the next one stands nothing of the old one is read; what it had is replayed.
"""

import asyncio

from tieline.client.connector import Dialer, Link
from tieline.client.dispatcher import Reception
from tieline.client.errors import Closed, GaveUp
from tieline.client.gateway_pool import Jitter
from tieline.client.pending import Letters
from tieline.wire.codes import CloseCode


class Line:
    """The connection of one client, whichever it is at the moment.

    Without `resume` there is only the first. `give_up_after_s`: how long a lost one is tried to be replaced;
    None: for ever.
    """

    def __init__(
        self,
        link: Link,
        dialer: Dialer,
        letters: Letters,
        reception: Reception,
        *,
        resume: bool,
        give_up_after_s: float | None,
        jitter: Jitter,
    ) -> None:
        self.link = link
        self.closed: Closed | None = None
        """How all ended; None before."""
        self._dialer = dialer
        self._letters = letters
        self._reception = reception
        self._resume = resume
        self._give_up_after_s = give_up_after_s
        self._jitter = jitter
        self._is_closing = False
        self._over = asyncio.Event()
        self._dialing: asyncio.Task[Link | Exception] | None = None
        self._lost_at: float | None = None

    async def close(self) -> None:
        """Say goodbye, and wait until it has been said. Again: nothing."""
        self._is_closing = True
        if self._dialing is not None:
            self._dialing.cancel()
        await self.link.connection.close()
        await self._over.wait()

    async def hold(self) -> None:
        """Use one connection after the other, until one ends for good."""
        self._letters.connect()
        try:
            async with asyncio.TaskGroup() as tasks:
                while isinstance(outcome := await self._use(self.link), Link):
                    # Not with 1000: that ends the session. Mostly the server has closed it already.
                    tasks.create_task(self.link.connection.close(CloseCode.GOING_AWAY))
                    self.link = outcome
                    if self._is_closing:
                        break
                    self._reception.change(outcome.welcome, self._away_s())
                    self._lost_at = None
                self._end(outcome if isinstance(outcome, Closed) else _goodbye())
        finally:
            self._end(_goodbye())
            await self.link.connection.close()

    def _away_s(self) -> float:
        return 0.0 if self._lost_at is None else _now() - self._lost_at

    def _end(self, end: Closed) -> None:
        if self.closed is None:
            self.closed = end
            self._reception.end(end)
            self._over.set()

    async def _use(self, link: Link) -> Link | Closed:
        """Use a connection until there is a next one, or never will be."""
        leave = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(self._read(link, leave))
            writing = tasks.create_task(self._letters.write_to(link.connection))
            leaving = tasks.create_task(leave.wait())
            await asyncio.wait((reading, leaving), return_when=asyncio.FIRST_COMPLETED)
            outcome = None if reading.done() else await self._move(tasks, reading)
            if outcome is None:
                end = await reading
                outcome = end if self._is_final(end) else await self._replace(tasks, end)
            for task in (reading, writing, leaving):
                task.cancel()
        return outcome

    async def _read(self, link: Link, leave: asyncio.Event) -> Closed:
        try:
            while True:
                asked = self._reception.take(await link.connection.receive())
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
                return not self._dialer.may_get_better_token
            case CloseCode.REPLACED:  # by a stranger, or by an attempt of one's own?
                return not self._dialer.may_have_replaced
            case _:
                return not end.may_reconnect

    def _dial(self, tasks: asyncio.TaskGroup, *, at_once: bool) -> asyncio.Task[Link | Exception]:
        session = self._reception.session
        self._dialing = tasks.create_task(self._dialer.again(session.query, at_once=at_once))
        return self._dialing

    async def _move(self, tasks: asyncio.TaskGroup, reading: asyncio.Task[Closed]) -> Link | Closed | None:
        """Make the next connection while this one works. None: this one must do as long as it does."""
        dialing = self._dial(tasks, at_once=True)
        await asyncio.wait((reading, dialing), return_when=asyncio.FIRST_COMPLETED)
        if dialing.done():
            outcome = None if dialing.cancelled() else dialing.result()
            return outcome if isinstance(outcome, Link) else None
        end = reading.result()
        if self._is_final(end):
            dialing.cancel()
            return end
        if end.code == CloseCode.REPLACED and self._dialer.is_attempting:
            # By the connection that is being made: its welcome is on the way, and nobody was away.
            self._lost_at = _now()
            self._letters.disconnect()
        else:
            self._lose(end)
        return await self._made(dialing, end)

    async def _replace(self, tasks: asyncio.TaskGroup, end: Closed) -> Link | Closed:
        """Make the next connection after this one is lost."""
        self._lose(end)
        return await self._made(self._dial(tasks, at_once=False), end)

    def _lose(self, end: Closed) -> None:
        self._lost_at = _now()
        self._reception.lose(end)

    async def _made(self, dialing: asyncio.Task[Link | Exception], end: Closed) -> Link | Closed:
        """Wait for the next connection as long as it makes sense."""
        await asyncio.wait((dialing,), timeout=self._give_up_after_s)
        if not dialing.done():
            dialing.cancel()
            return GaveUp(end.code, end.reason, self._dialer.last_failure or end)
        if dialing.cancelled():
            return _goodbye()
        outcome = dialing.result()
        match outcome:
            case Link() | Closed():
                return outcome
            case _:
                return GaveUp(end.code, end.reason, outcome)


def _goodbye() -> Closed:
    return Closed(CloseCode.NORMAL, "")


def _now() -> float:
    return asyncio.get_running_loop().time()
