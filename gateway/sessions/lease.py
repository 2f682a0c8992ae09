"""Say again and again that this gateway lives; learn when the cluster has given it up for dead."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from tieline.runtime.requests import NoAnswer, Requests
from tieline.wire import internal
from tieline.wire.ids import GatewayId
from tieline.wire.internal import OPERATIONS, KeepLease, LeaseKept
from tieline.wire.subjects import Subjects

RENEWALS: Final = 3.3
"""Renewals a lease: two may be lost before it runs out (a lease of 10 s is renewed every 3 s)."""

_log = logging.getLogger(__name__)


class Lease:
    """The gateway's lease in presence. `lost` is called when it had run out: its sessions have ended."""

    def __init__(
        self,
        requests: Requests,
        subjects: Subjects,
        gateway: GatewayId,
        length_s: float,
        lost: Callable[[], None],
    ) -> None:
        self._requests = requests
        self._subject = subjects.presence(OPERATIONS[KeepLease])
        self._ask = internal.encode(KeepLease(gateway))
        self._interval_s = length_s / RENEWALS
        self._lost = lost
        self._run = ""

    async def take(self) -> None:
        """Take the lease for the first time, waiting for presence as long as it takes."""
        while not self._run:
            await self._renew()

    async def keep(self) -> None:
        """Renew the lease until cancelled."""
        while True:
            await asyncio.sleep(self._interval_s)
            await self._renew()

    async def _renew(self) -> None:
        try:
            answer = await self._requests.ask(self._subject, self._ask, patience=self._interval_s)
        except NoAnswer:
            _log.warning("lease not renewed: no answer")
            return
        reply = internal.decode_presence_reply(answer)
        assert isinstance(reply, LeaseKept)
        if self._run not in ("", reply.run):
            _log.error("lease lost")
            self._lost()
        self._run = reply.run
