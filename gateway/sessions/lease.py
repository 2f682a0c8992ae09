"""Tell presence again and again that this gateway is alive; learn when presence has taken it for dead.

How long presence waits for that, and what it does then, is `presence/gateways.py`.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from gateway.sessions.presence import Presence, number_of
from tieline.runtime.guard import bug_guard
from tieline.runtime.requests import NoAnswer
from tieline.runtime.settings import SettingsError
from tieline.wire.ids import GatewayId
from tieline.wire.internal.sessions import KeepLease, LeaseKept

RENEWALS: Final = 3.3
"""Renewals a lease: two may be lost before it runs out (a lease of 10 s is renewed every 3 s)."""

_log = logging.getLogger(__name__)


class OtherNumber(SettingsError):
    """Presence has another number of partitions than this gateway."""


class Lease:
    """The gateway's lease in presence, renewed while the gateway runs.

    `on_answer` is told after each attempt whether presence has renewed it. `on_lost` is called when it had
    run out in between: presence has then treated the gateway as dead. Its sessions that can be resumed wait
    for that, and the others have ended. `on_old_presence` is called when a process of presence answers that
    writes no logs of rooms.
    """

    def __init__(
        self,
        presence: Presence,
        gateway: GatewayId,
        length_s: float,
        on_lost: Callable[[], None],
        on_answer: Callable[[bool], None] = lambda _: None,
        on_old_presence: Callable[[], None] = lambda: None,
        on_time: Callable[[float, float], None] = lambda _broker_s, _round_trip_s: None,
        partitions: int = 1,
    ) -> None:
        """Take also what is told the broker's time with each answer, and how long that took, in seconds.

        `partitions` is how many presence must have.
        """
        self._partitions = partitions
        self._problem = ""
        """Why presence, which has answered, is not the one for this gateway."""
        self._on_time = on_time
        self._presence = presence
        self._gateway = gateway
        self._interval_s = length_s / RENEWALS
        self._on_lost = on_lost
        self._on_answer = on_answer
        self._on_old_presence = on_old_presence
        self._run = ""

    async def take(self) -> None:
        """Take the lease for the first time, waiting for presence as long as it takes.

        Raises:
            OtherNumber: presence has another number of partitions.
        """
        while not self._run:
            with bug_guard(_log, "lease not taken: a bug"):
                await self._renew()
                if not self._problem:
                    continue
            if self._problem:
                raise OtherNumber(self._problem)
            await asyncio.sleep(self._interval_s)

    async def keep(self) -> None:
        """Renew the lease until cancelled."""
        while True:
            await asyncio.sleep(self._interval_s)
            with bug_guard(_log, "lease not renewed: a bug"):
                await self._renew()

    async def _renew(self) -> None:
        asked_at = time.monotonic()
        try:
            reply = await self._presence.ask(KeepLease(self._gateway, hears=True), self._interval_s)
        except NoAnswer:
            _log.warning("lease not renewed: no answer")
            self._on_answer(False)
            return
        if not isinstance(reply, LeaseKept):
            raise TypeError(f"presence answered KeepLease with {type(reply).__name__}")
        if number_of(reply) != self._partitions:
            self._problem = (
                f"TIELINE_PARTITIONS is {self._partitions}, but presence has {number_of(reply)}: all"
                " processes need the same number (docs/operations.md#partitions)"
            )
            _log.error("lease not renewed", extra={"error": self._problem})
            self._on_answer(False)
            return
        self._problem = ""
        self._on_answer(True)
        if reply.now:
            self._on_time(reply.now / 1000, time.monotonic() - asked_at)
        if not reply.logs:
            self._on_old_presence()
        if self._run not in ("", reply.run):
            _log.error("lease lost")
            self._on_lost()
        self._run = reply.run
