"""Leases: presence's word that one user's candidates for another may pass unasked for a few seconds.

A lease is dropped as soon as presence says that either user has changed. A question to presence that was
under way at that moment yields no lease: its answer may have been formed before. Pure; times are seconds of
a monotonic clock.
"""

from typing import Final, NamedTuple

from tieline.wire.ids import FrameDigest, SessionId, UserId

MAX_LEASES: Final = 100_000
"""About 50 MiB; past it everything is forgotten, and asked again within one round trip each."""


class Lease(NamedTuple):
    """Permission to relay candidates of one session to another."""

    session: SessionId
    """The sender's."""
    target_session: SessionId
    until: float
    held: frozenset[FrameDigest]
    """Retries of these are acknowledged as held, and not relayed."""


class Ticket:
    """One question to presence under way; spoiled when a user it concerns changes meanwhile."""

    __slots__ = ("spoiled", "target", "user")

    def __init__(self, user: UserId, target: UserId) -> None:
        self.user = user
        self.target = target
        self.spoiled = False


class Leases:
    """What one router remembers."""

    def __init__(self) -> None:
        self._leases: dict[tuple[UserId, UserId], Lease] = {}
        self._peers: dict[UserId, set[tuple[UserId, UserId]]] = {}
        self._tickets: set[Ticket] = set()

    def __len__(self) -> int:
        return len(self._leases)

    def find(self, user: UserId, session: SessionId, target: UserId, now: float) -> Lease | None:
        """Find a lease that is good now."""
        lease = self._leases.get((user, target))
        if lease is None or lease.session != session or lease.until <= now:
            return None
        return lease

    def ask(self, user: UserId, target: UserId) -> Ticket:
        """Note that presence is being asked about these two. Give the ticket back to `answered`."""
        ticket = Ticket(user, target)
        self._tickets.add(ticket)
        return ticket

    def answered(self, ticket: Ticket, lease: Lease | None) -> None:
        """Keep the lease that presence granted, unless it may be older than a change."""
        self._tickets.discard(ticket)
        if lease is None or ticket.spoiled:
            return
        if len(self._leases) >= MAX_LEASES:
            self.drop_all()
        pair = (ticket.user, ticket.target)
        self._leases[pair] = lease
        for user in pair:
            self._peers.setdefault(user, set()).add(pair)

    def drop(self, changed: UserId) -> None:
        """Forget everything about a user."""
        for ticket in self._tickets:
            if changed in (ticket.user, ticket.target):
                ticket.spoiled = True
        for pair in self._peers.pop(changed, ()):
            self._leases.pop(pair, None)
            other = pair[0] if pair[1] == changed else pair[1]
            pairs = self._peers.get(other)
            if pairs is not None:
                pairs.discard(pair)
                if not pairs:
                    del self._peers[other]

    def drop_all(self) -> None:
        """Forget everything: after a time in which changes may have been missed."""
        for ticket in self._tickets:
            ticket.spoiled = True
        self._leases.clear()
        self._peers.clear()
