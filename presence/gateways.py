"""Gateways: keeping their leases, and what becomes of the sessions of one that died."""

import functools
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from presence.changes import Changes
from presence.listeners import Listeners
from presence.records import Records
from presence.rules import session as session_rules
from presence.side_by_side import batched, side_by_side, some_at_once
from presence.store import Record
from tieline import metrics
from tieline.runtime.unreadable import Unreadable
from tieline.wire.ids import Address, GatewayId, SessionId, UserId
from tieline.wire.internal import KeepLease, LeaseKept, SessionGone
from tieline.wire.subjects import Keys, identifier

TOGETHER: Final = 64
"""Sessions of a dead gateway whose records are read in one go."""

AT_ONCE: Final = 8
"""Sessions of a dead gateway that are looked after side by side, so that live traffic keeps its share."""

LEASE_SHARE: Final = 0.8
"""The part of the lease after which a silent gateway is asked directly whether it lives; the answer may take
the rest. A broker that was away longer than a lease must not end the sessions of gateways that came back
with it."""

_unreadable: Final = Unreadable(logging.getLogger(__name__))

AskWhetherAlive = Callable[[GatewayId, float], Awaitable[bool]]
"""Ask a gateway directly, for so many seconds at most."""


class Gateways:
    """Every gateway's life, as far as presence knows. Raises what `Store` raises; repeating is safe."""

    def __init__(
        self,
        records: Records,
        changes: Changes,
        is_alive: AskWhetherAlive,
        lease_s: float,
        resume_window_s: float,
        listeners: Listeners,
    ) -> None:
        self._records = records
        self._changes = changes
        self._is_alive = is_alive
        self._lease_s = lease_s
        self._resume_window_s = resume_window_s
        self._listeners = listeners

    async def keep_lease(self, ask: KeepLease) -> LeaseKept:
        """Let a gateway live for another lease."""
        key = Keys.lease_timer(ask.gateway)
        found = (await self._records.store.read(key)).get(key)
        run = _run_in(found) or secrets.token_hex(8)
        taking = self._records.store.put(key, run.encode(), self._lease_s * LEASE_SHARE)
        await (side_by_side(taking, self._listeners.note(ask.gateway)) if ask.hears else taking)
        return LeaseKept(run, logs=True)

    async def lease_ran_out(self, gateway: GatewayId, before: int) -> bool:
        """Treat a gateway whose lease ran out at revision `before` as dead, unless it answers.

        Returns whether it is dead. Sessions noted later are spared: the gateway lives after all, and began
        them since.
        """
        if await self._is_alive(gateway, self._lease_s * (1 - LEASE_SHARE)):
            return False
        noted = await self._records.store.read(Keys.sessions_of(gateway))
        left = [
            (address, record.revision)
            for key, record in noted.items()
            if record.value and record.revision < before and (address := _noted(key, record)) is not None
        ]
        failure: Exception | None = None
        for some in batched(left, TOGETHER):
            try:
                await self._leave_behind(gateway, some)
            except Exception as error:  # a record that cannot be read, too, must not keep the others waiting
                failure = error
        if failure is not None:
            raise failure
        return True

    async def _leave_behind(self, gateway: GatewayId, some: list[tuple[Address, int]]) -> None:
        found = await self._records.store.read(*(Keys.user(address.user) for address, _ in some))

        async def leave(one: tuple[Address, int]) -> None:
            await self._orphaned(gateway, *one, found)

        await some_at_once(leave, some, AT_ONCE)

    async def _orphaned(
        self, gateway: GatewayId, address: Address, note: int, found: Mapping[str, Record]
    ) -> None:
        """Let one session of a dead gateway wait to be resumed, or end it; then remove its note."""
        rule = functools.partial(session_rules.orphan, address, gateway, self._resume_window_s)
        reply = await self._changes.user(address.user, rule, found=found)
        if isinstance(reply, SessionGone):  # it is no user's live session, so no effect removes the note
            await self._records.remove(Keys.session(gateway, address.session), note)
        metrics.SESSIONS_ORPHANED.inc()


def _run_in(lease: Record | None) -> str:
    """Read the name of a lease's run; "" if there is none, or none that can be read."""
    if lease is None:
        return ""
    try:
        return lease.value.decode()
    except ValueError as error:
        _unreadable.note("record", error)
        return ""


def _noted(key: str, note: Record) -> Address | None:
    """Read whose session a note is about; None: it cannot be read."""
    try:
        return Address(UserId(note.value.decode()), SessionId(identifier(key.rpartition(".")[2])))
    except ValueError as error:
        _unreadable.note("record", error)
        return None
