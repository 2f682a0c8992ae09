"""Gateways: keeping their leases, and what becomes of the sessions of one that died."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Final

from presence.announce import Announcer
from presence.records import Records
from presence.sessions import Sessions
from tieline import metrics
from tieline.wire.codes import CloseCode
from tieline.wire.ids import GatewayId, SessionId, UserId
from tieline.wire.internal import KeepLease, LeaseKept
from tieline.wire.subjects import Keys

AT_ONCE: Final = 64
"""Sessions of a dead gateway that are looked after side by side, so that live traffic keeps its share."""

LEASE_SHARE: Final = 0.8
"""The part of the lease after which a silent gateway is asked directly whether it lives; the answer may take
the rest. A broker that was away longer than a lease must not end the sessions of gateways that came back
with it."""

AskWhetherAlive = Callable[[GatewayId, float], Awaitable[bool]]
"""Ask a gateway directly, for so many seconds at most."""


class Gateways:
    """Every gateway's life, as far as presence knows. Raises what `Store` raises; repeating is safe."""

    def __init__(
        self,
        records: Records,
        sessions: Sessions,
        announcer: Announcer,
        is_alive: AskWhetherAlive,
        lease_s: float,
    ) -> None:
        self._records = records
        self._sessions = sessions
        self._announcer = announcer
        self._is_alive = is_alive
        self._lease_s = lease_s

    async def keep_lease(self, ask: KeepLease) -> LeaseKept:
        """Let a gateway live for another lease."""
        key = Keys.lease_timer(ask.gateway)
        found = (await self._records.store.read(key)).get(key)
        run = found.value.decode() if found is not None and found.value else secrets.token_hex(8)
        await self._records.store.put(key, run.encode(), self._lease_s * LEASE_SHARE)
        return LeaseKept(run)

    async def lease_ran_out(self, gateway: GatewayId, before: int) -> bool:
        """Bury a gateway whose lease ran out at revision `before`, unless it answers; say whether it is dead.

        Sessions noted later are spared: the gateway lives after all, and began them since.
        """
        if await self._is_alive(gateway, self._lease_s * (1 - LEASE_SHARE)):
            return False
        noted = await self._records.store.read(Keys.sessions_of(gateway))
        left = [
            (UserId(str(record.value, "utf-8")), SessionId(key.rpartition(".")[2]), key)
            for key, record in noted.items()
            if record.value and record.revision < before
        ]
        for start in range(0, len(left), AT_ONCE):
            async with asyncio.TaskGroup() as looking_after:
                for user, session, key in left[start : start + AT_ONCE]:
                    looking_after.create_task(self._orphaned(gateway, user, session, key))
        return True

    async def _orphaned(self, gateway: GatewayId, user: UserId, session: SessionId, key: str) -> None:
        """Let one session of a dead gateway wait to be resumed, or end it."""
        record, _ = await self._records.user(user)
        if record is not None and record.session == session and record.gateway == gateway:
            if not record.secret:  # told first: once it has ended, nobody who repeats this finds it any more
                self._announcer.close(user, session, record, CloseCode.BROKER_LOST)
            await self._sessions.lose_connection(user, record.connection, resumable=True)
        await self._records.forget(key)
        metrics.SESSIONS_ORPHANED.inc()
