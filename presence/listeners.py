"""Know whether every gateway hears the logs of rooms, so that no change need be sent to each member.

A gateway of version 0.1 does not: its members are told one by one, through their mailboxes. To find them all
entries of a room are read at each change, which costs what a room holds; so it is done only while such a
gateway lives, or may.
"""

from collections.abc import Callable
from typing import Final

from presence.store import Store
from tieline.wire.ids import GatewayId
from tieline.wire.subjects import Keys

LOOK_EVERY_MS: Final = 1_000
"""How long it is believed that all gateways hear: less than a gateway takes from its first lease to its first
member."""

DOUBT_MS: Final = 60_000
"""How long an older gateway is remembered: one that is cut off has no lease for a while, but members."""

LISTENER_TTL_S: Final = 60.0
"""How long a gateway is known to hear: while versions are mixed, some renewals of its lease are answered by
processes that do not know of this."""


class Listeners:
    """What is known of the gateways. Raises what `Store` raises. `clock` tells Unix milliseconds."""

    def __init__(self, store: Store, clock: Callable[[], int]) -> None:
        self._store = store
        self._clock = clock
        self._good_until = 0
        self._doubted_until = 0
        self._are_all = False
        """As far as was known when a gateway lived last."""

    async def are_all(self) -> bool:
        """Whether every gateway hears the logs, as far as is known."""
        now = self._clock()
        if now < self._good_until:
            return True
        if now < self._doubted_until:
            return False
        found = await self._store.read(Keys.leases(), Keys.listeners())
        there = [key.rpartition(".") for key, record in found.items() if record.value]
        living = {gateway for kind, _, gateway in there if kind == Keys.leases().removesuffix(".*")}
        hearing = {gateway for kind, _, gateway in there if kind == Keys.listeners().removesuffix(".*")}
        if living:
            self._are_all = living <= hearing
            self._doubted_until = 0 if self._are_all else now + DOUBT_MS
        # With no lease at all nobody is new: presence is too busy to renew them, and must not do more then.
        if self._are_all:
            self._good_until = now + LOOK_EVERY_MS
        return self._are_all

    async def note(self, gateway: GatewayId) -> None:
        """Note that a gateway hears the logs."""
        await self._store.put(Keys.listener(gateway), b"1", LISTENER_TTL_S)
