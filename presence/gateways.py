"""Gateways: keeping their leases, and what becomes of the sessions of one that died."""

import functools
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from presence.changes import Changes
from presence.listeners import Listeners
from presence.records import Records
from presence.rules import session as session_rules
from presence.side_by_side import batched, both, side_by_side, some_at_once
from presence.store import Record, read_one
from tieline import metrics
from tieline.runtime.unreadable import Unreadable
from tieline.wire.ids import Address, GatewayId, SessionId, UserId
from tieline.wire.internal.answers import SessionGone
from tieline.wire.internal.directions import PresenceReply
from tieline.wire.internal.sessions import KeepLease, LeaseKept, Opened, OpenSession, Register
from tieline.wire.partitions import FIRST
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
        now: Callable[[], int] = lambda: 0,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        wants_tokens: bool = False,
    ) -> None:
        """Take also what tells the broker's time, in Unix milliseconds, 0: unknown.

        With `wants_tokens` gateways are told to give presence the tokens of their clients.
        """
        self._wants_tokens = wants_tokens
        self._now = now
        self._monotonic = monotonic
        self._records = records
        self._changes = changes
        self._is_alive = is_alive
        self._lease_s = lease_s
        self._resume_window_s = resume_window_s
        self._listeners = listeners

    async def keep_lease(self, ask: KeepLease) -> LeaseKept:
        """Let a gateway live for another lease, in each partition: where one ran out, it is another run."""
        keys = [Keys.lease_timer(ask.gateway, at) for at in self._records.partitions]
        found = await self._records.store.read(*keys)
        runs = {_run_in(found.get(key)) for key in keys}
        run = (runs.pop() if len(runs) == 1 else "") or secrets.token_hex(8)
        taking = (self._records.store.put(key, run.encode(), self._lease_s * LEASE_SHARE) for key in keys)
        noting = (self._listeners.note(ask.gateway),) if ask.hears else ()
        revisions, _ = await both(side_by_side(*taking), side_by_side(*noting))
        now, tokens = self._now(), self._wants_tokens
        of_each = tuple(revisions) if len(keys) > 1 else ()
        return LeaseKept(run, logs=True, revision=revisions[0], now=now, tokens=tokens, revisions=of_each)

    async def minded(
        self, ask: OpenSession | Register, carry_out: Callable[[], Awaitable[PresenceReply]]
    ) -> PresenceReply:
        """Have a session begin only for a gateway that lives.

        Whether it has its lease was looked at before the session was written. When that took so long that the
        gateway may have died and been looked after in between, it is looked at once more: nobody else would
        find the session.
        """
        began = self._monotonic()
        reply = await carry_out()
        if not ask.asked or self._monotonic() - began <= self._lease_s * (1 - LEASE_SHARE):
            return reply
        key = Keys.lease_timer(ask.gateway, self._records.place_of(Keys.user(ask.user)))
        lease = await read_one(self._records.store, key)
        if not lease.value:
            session = reply.session if isinstance(reply, Opened) else ask.session
            await self._orphaned(ask.gateway, lease.revision, Address(ask.user, session), {})
        return reply

    async def lease_ran_out(self, gateway: GatewayId, before: int, at: int = FIRST) -> bool:
        """Treat a gateway whose lease ran out at revision `before` of a partition as dead, unless it answers.

        Returns whether it is dead. Sessions noted later are spared: the gateway lives after all, and began
        them since.
        """
        if await self._is_alive(gateway, self._lease_s * (1 - LEASE_SHARE)):
            return False
        noted = await self._records.store.read(Keys.sessions_of(gateway, at))
        left = [
            (address, record.revision)
            for key, record in noted.items()
            if record.value and record.revision < before and (address := _noted(key, record)) is not None
        ]
        failure: Exception | None = None
        for some in batched(left, TOGETHER):
            try:
                await self._leave_behind(gateway, before, at, some)
            except Exception as error:  # a record that cannot be read, too, must not keep the others waiting
                failure = error
        if failure is not None:
            raise failure
        return True

    async def _leave_behind(
        self, gateway: GatewayId, ran_out: int, at: int, some: list[tuple[Address, int]]
    ) -> None:
        users = (Keys.user(address.user) for address, _ in some)
        found = await self._records.store.read(Keys.lease_timer(gateway, at), *users)

        async def leave(one: tuple[Address, int]) -> None:
            address, note = one
            reply = await self._orphaned(gateway, ran_out, address, found)
            if isinstance(reply, SessionGone):  # it is no user's live session, so no effect removes the note
                await self._records.remove(Keys.session(gateway, address.session), note)
            metrics.SESSIONS_ORPHANED.inc()

        await some_at_once(leave, some, AT_ONCE)

    async def _orphaned(
        self, gateway: GatewayId, ran_out: int, address: Address, found: Mapping[str, Record]
    ) -> PresenceReply:
        """Let one session of a dead gateway wait to be resumed, or end it.

        `ran_out` is the revision of what the gateway's lease has left: a newer one says that it lives.
        """
        orphan = session_rules.orphan
        rule = functools.partial(orphan, address, gateway, self._resume_window_s, ran_out=ran_out)
        lease = (Keys.lease_timer(gateway, self._records.place_of(Keys.user(address.user))),)
        return await self._changes.user(address.user, rule, also=lease, found=found or None)


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
