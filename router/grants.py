"""Cached permissions: for a few seconds one user's candidates for another pass without asking presence.

A grant is dropped as soon as presence says that either user has changed. A question to presence that was
under way at that moment yields no grant: its answer may have been formed before. Pure; times are seconds of
a monotonic clock. Presence decides what is granted (`presence.rules.signals`).
"""

from typing import Final, NamedTuple

from tieline.wire.ids import NO_CALL, CallId, ConnectionId, FrameDigest, SessionId, UserId

MAX_GRANTS: Final = 100_000
"""About 50 MiB; past it all are dropped, and each is asked for again within one round trip."""


class Grant(NamedTuple):
    """Permission to relay candidates of one session to another."""

    session: SessionId
    """The sender's."""
    target_session: SessionId
    until: float
    held: frozenset[FrameDigest]
    """Retries of these are acknowledged as held, and not relayed."""
    call: CallId = NO_CALL
    """What they belong to."""
    connection: ConnectionId = ConnectionId("")
    """That which has the sender's session: what another one says is not granted."""


class Ticket:
    """One question to presence under way; spoiled when a user it concerns changes meanwhile."""

    __slots__ = ("spoiled", "target", "user")

    def __init__(self, user: UserId, target: UserId) -> None:
        self.user = user
        self.target = target
        self.spoiled = False


class Grants:
    """The grants that one router has cached, by sender and target."""

    def __init__(self) -> None:
        self._grants: dict[tuple[UserId, UserId], Grant] = {}
        self._keys: dict[UserId, set[tuple[UserId, UserId]]] = {}
        """Those under which a user stands on either side."""
        self._tickets: set[Ticket] = set()

    def __len__(self) -> int:
        return len(self._grants)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is remembered of any user."""
        return not (self._grants or self._keys)

    def find(
        self, user: UserId, session: SessionId, target: UserId, now: float, call: CallId = NO_CALL
    ) -> Grant | None:
        """Find a grant that is good now, for the call that a candidate names; it may name none."""
        grant = self._grants.get((user, target))
        if grant is None or grant.session != session or grant.until <= now:
            return None
        return None if call and grant.call not in (call, NO_CALL) else grant

    def ask(self, user: UserId, target: UserId) -> Ticket:
        """Note that presence is being asked about these two. Give the ticket back to `answered`."""
        ticket = Ticket(user, target)
        self._tickets.add(ticket)
        return ticket

    def answered(self, ticket: Ticket, grant: Grant | None, back: Grant | None = None) -> None:
        """Keep what presence granted, also to the target (`back`), unless a change may be newer."""
        self._tickets.discard(ticket)
        if ticket.spoiled:
            return
        if grant is not None:
            self._keep((ticket.user, ticket.target), grant)
        if back is not None:
            self._keep((ticket.target, ticket.user), back)

    def _keep(self, key: tuple[UserId, UserId], grant: Grant) -> None:
        if len(self._grants) >= MAX_GRANTS:
            self.drop_all()
        self._grants[key] = grant
        for user in key:
            self._keys.setdefault(user, set()).add(key)

    def drop(self, changed: UserId) -> None:
        """Forget everything about a user."""
        for ticket in self._tickets:
            if changed in (ticket.user, ticket.target):
                ticket.spoiled = True
        for key in self._keys.pop(changed, ()):
            self._grants.pop(key, None)
            other = key[0] if key[1] == changed else key[1]
            keys = self._keys.get(other)
            if keys is not None:
                keys.discard(key)
                if not keys:
                    del self._keys[other]

    def drop_all(self) -> None:
        """Forget everything: after a time in which changes may have been missed."""
        for ticket in self._tickets:
            ticket.spoiled = True
        self._grants.clear()
        self._keys.clear()
