"""Every socket of a client from the moment it is accepted: who may stay until its request has been read.

A socket that has not asked yet is half open. Too many of those, or of all, and one of them goes
(`half_open`). What comes before the request, the header of a trusted proxy, is read here too
(`proxy_protocol`). Whom a request admits is `handshake`'s to decide, and how often its user and address
may come `gateway/sessions/upgrades.py`'s.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

from gateway.admission.addresses import Network, is_among, site_of
from gateway.admission.half_open import HalfOpen
from gateway.admission.proxy_protocol import BadHeader, read_header
from tieline import metrics
from tieline.runtime.tally import Tally
from tieline.wire.codes import HandshakeError

MAX_HALF_OPEN: Final = 1_000
"""Sockets that have not asked yet. An honest one asks as soon as it is open, so that so many are thousands of
newcomers a second; each may take some 40 KiB meanwhile."""

_SAID: Final = frozenset((401, 403, 429, 431))
"""Statuses of refusals that the log tells of; the others are probes', or those of a gateway that says why
itself."""


_ABOUT_TOKENS: Final = frozenset((401, 429))
"""Statuses of refusals that a token may be the reason of."""


class Guest(Protocol):
    """A client that is not let in yet."""

    def abandon(self) -> None:
        """Cut it off."""
        ...


class Room(NamedTuple):
    """How much there is for clients; 0: for any number."""

    sockets: int = 0
    half_open: int = 0

    @property
    def sessions(self) -> int:
        """How many of the sockets may have a session; the others tell newcomers that there is no room."""
        return max(1, self.sockets - self.half_open) if self.sockets else 0


def room(sockets: int, half_open: int) -> Room:
    """Divide so many sockets: at most a quarter is for those that are half open; 0: as many as that."""
    most = sockets // 4
    return Room(sockets, most if half_open == 0 else min(half_open, most))


class Visit:
    """One socket, from accept on until it is closed."""

    __slots__ = ("_entrance", "_guest", "_head", "_leave", "address", "user", "why")

    def __init__(self, entrance: "Entrance", guest: Guest, address: str, head: bytearray | None) -> None:
        self._entrance = entrance
        self._guest: Guest | None = guest
        self._head = head
        self._leave: Callable[[], None] | None = None
        self.address = address
        """Where the client comes from, as far as that is known by now."""
        self.user = ""
        """Whom its token names, once that is known."""
        self.why = ""
        """Which check its token has failed, or the origin that was refused."""

    @property
    def is_awaited(self) -> bool:
        """Whether the header of a proxy has yet to come, which says who this is."""
        return self._head is not None

    def read(self, data: bytes) -> bytes:
        """Take the proxy's header away from what came; empty: more has to come, or the client is cut."""
        if self._head is None:
            return data
        self._head += data
        try:
            header = read_header(bytes(self._head))
        except BadHeader:
            self._entrance.cut(self, "proxy_header")
            return b""
        if header is None:
            return b""
        rest, self._head = bytes(self._head[header.size :]), None
        if header.source is not None:
            self._entrance.half_open.remove(self)
            self.address = header.source
            self._entrance.half_open.add(self, site_of(self.address))
        return rest

    def asked(self) -> None:
        """Take note that the request has been read."""
        self._entrance.half_open.remove(self)

    def explain(self, why: str, user: str = "") -> None:
        """Take note, for our log alone, of the check that its token has failed, and whose it is, if known.

        Of a page from elsewhere it is the page's origin.
        """
        self.why = why
        self.user = user

    def counted(self, leave: Callable[[], None]) -> None:
        """Have `leave` called when the socket is closed: it is counted elsewhere, too."""
        self._leave = leave

    def denied(self, error: HandshakeError) -> None:
        """Count a refusal, and say so."""
        self._entrance.denied(self, error)

    def fail_tls(self, why: str) -> None:
        """Say that the client and we do not agree on TLS; `why` is OpenSSL's word for it."""
        self._entrance.fail_tls(self, why)

    def abandon(self) -> None:
        """Cut the client off; nothing once the socket is closed."""
        if self._guest is not None:
            self._guest.abandon()

    def over(self) -> None:
        """Take note that the socket is closed; only the first time counts."""
        self._entrance.forget(self)
        self._guest = None
        if self._leave is not None:
            self._leave()
            self._leave = None


class Entrance:
    """Counts the sockets of one gateway."""

    def __init__(
        self,
        room: Room,
        tally: Tally,
        trusted_proxies: Sequence[Network] = (),
        *,
        expects_header: bool = False,
    ) -> None:
        """With `expects_header` whatever a trusted proxy opens begins with a header of the PROXY protocol."""
        self._room = room
        self._tally = tally
        self._trusted_proxies = trusted_proxies
        self._expects_header = expects_header
        self._here: set[Visit] = set()
        self.half_open = HalfOpen[Visit]()

    def __len__(self) -> int:
        return len(self._here)

    def enter(self, guest: Guest, peer: str) -> Visit:
        """Take note of a socket that comes from `peer`; it, or another one, may have to go for it."""
        is_proxy = self._expects_header and is_among(peer, self._trusted_proxies)
        visit = Visit(self, guest, peer, bytearray() if is_proxy else None)
        self._here.add(visit)
        self.half_open.add(visit, site_of(peer))
        if 0 < self._room.half_open < len(self.half_open):
            self._cut_heaviest("half_open")
        elif 0 < self._room.sockets < len(self._here):
            self._cut_heaviest("descriptors")
        return visit

    def denied(self, visit: Visit, error: HandshakeError) -> None:
        """See `Visit.denied`."""
        metrics.HANDSHAKES_REFUSED.labels(error.reason).inc()
        fields = {"reason": error.reason, "address": visit.address}
        if visit.user:
            fields["user"] = visit.user
        why = visit.why if error.status in _ABOUT_TOKENS else ""
        if why:
            fields["why"] = why
        level = logging.INFO if error.status in _SAID else logging.DEBUG
        who = visit.user or site_of(visit.address)
        if (
            error is HandshakeError.FOREIGN_ORIGIN
        ):  # its browser says nothing of that, so that it is looked for here
            level, who, fields["origin"] = logging.WARNING, visit.why, visit.why
        self._tally.note(level, "connection refused", f"{error.reason} {why}", who, **fields)

    def fail_tls(self, visit: Visit, why: str) -> None:
        """See `Visit.fail_tls`."""
        fields = {"why": why, "address": visit.address}
        self._tally.note(logging.INFO, "TLS handshake failed", why, site_of(visit.address), **fields)

    def cut(self, visit: Visit, why: str) -> None:
        """Cut a client off that has not asked yet."""
        metrics.HALF_OPEN_CUT.labels(why).inc()
        fields = {"sockets": len(self._here), "half_open": len(self.half_open), "address": visit.address}
        who = site_of(visit.address)
        self._tally.note(logging.WARNING, "half-open connection cut", why, who, why=why, **fields)
        self.forget(visit)
        visit.abandon()

    def forget(self, visit: Visit) -> None:
        """Count a socket no more."""
        self._here.discard(visit)
        self.half_open.remove(visit)

    def _cut_heaviest(self, why: str) -> None:
        visit = self.half_open.heaviest()
        if visit is not None:
            self.cut(visit, why)
