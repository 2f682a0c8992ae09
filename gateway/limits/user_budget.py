"""What one user may still ask for on this gateway, on whichever connection. Pure.

It is the `Budget` of `gateway/client/budget.py`. Over a limit of what is done for it, in all or to one other
user, a user is not read; over a limit of offers or refreshes, which its other messages must not wait for, the
message is refused. Who goes on for `TOO_LONG_S`, whatever is answered, is closed, and kept out for a while.
Times are seconds of a monotonic clock.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from gateway.limits.connects import OUT_S, Connects, Wait
from gateway.limits.limit import Limit
from gateway.limits.peers import Peers
from gateway.limits.rate import INSTANT_S, NEVER_USED
from gateway.limits.rates import NO_LIMITS, Rates
from gateway.limits.usage import Usage
from tieline.wire.ids import RoomId, UserId

TOO_LONG_S: Final = 10.0
"""Over the limit for so long without a break, a client is not catching up after a stall: it floods."""

BREAK_S: Final = 1.0
"""A break is this much of the limit that is not asked for: who takes all that the bucket fills with makes
none."""

MOST_OWED_S: Final = 60.0
"""What a user may owe that comes from elsewhere: nonsense from another gateway must not silence a user for
ever."""

BYTES_A_UNIT: Final = 8192
"""So many bytes are copied, checked and carried at about what a small message costs besides."""


class Account(NamedTuple):
    """What a user has used up, in seconds of its budget: what has become of all its charges together."""

    spent_s: float
    """The sum of them."""
    owed_s: float
    """What of that it has not had back, if it owed nothing before."""


def _nobody(_limit: Limit) -> None:
    """Tell nobody."""


class UserBudget:
    """Counts what one user does, and says when it is too much."""

    __slots__ = (
        "__weakref__",
        "_connects",
        "_each_s",
        "_held_until",
        "_most_owed_s",
        "_offers",
        "_over_since",
        "_peers",
        "_rates",
        "_refreshes",
        "_size",
        "_spent_s",
        "_spent_until",
        "_units",
        "on_limited",
        "rooms",
        "usage",
        "user",
    )

    def __init__(self, user: UserId, rates: Rates) -> None:
        self.user = user
        self.usage = Usage()
        self.rooms: tuple[RoomId, ...] = ()
        """Those in which the user was when its last connection ended: for operators, not for limits."""
        self.on_limited: Callable[[Limit], None] = _nobody
        """Told when the user begins to be limited, or is refused something."""
        self._rates = rates
        self._each_s = rates.units.each_s
        self._most_owed_s = rates.units.holds_s + INSTANT_S
        self._units = self._size = self._offers = self._refreshes = NEVER_USED
        self._connects = Connects(rates)
        self._spent_s, self._spent_until = 0.0, NEVER_USED
        self._held_until = NEVER_USED
        self._over_since: float | None = None
        self._peers = Peers()

    @property
    def peers(self) -> int:
        """To how many others the user's messages are counted."""
        return len(self._peers.known)

    def charge(self, price: float, now: float) -> None:
        """Take note that something of this price was done for the user."""
        if self._over_since is not None and self._has_rested(now):
            self._over_since = None
        usage, at, until = self.usage, self._units, self._spent_until
        if now >= usage.half_ends_at:
            usage.begin_half(now)
        usage.units += price
        each_s = self._each_s
        if not each_s:  # without a limit nothing is owed
            return
        spent = price * each_s
        if at < now:  # no `max`, here and in `carry`: every frame passes by, and calls are dear
            at = now
        if until < now:
            until = now
        self._units = at = at + spent
        self._spent_s += spent
        self._spent_until = until + spent
        if at + each_s - now > self._most_owed_s:
            self._is_over(Limit.RATE, now)

    def carry(self, to: UserId, size: int, now: float) -> None:
        """Take note of a WEBRTC message of so many bytes to another user."""
        usage, rates, at = self.usage, self._rates, self._size
        if now >= usage.half_ends_at:
            usage.begin_half(now)
        usage.messages += 1
        usage.size += size
        if rates is NO_LIMITS:
            return
        each_s, holds_s = rates.size
        if at < now:
            at = now
        self._size = at = at + size * each_s
        if at - now > holds_s:
            self._is_over(Limit.BYTES, now)
        if size > BYTES_A_UNIT:
            self._spend(size * max(0.0, each_s - rates.units.each_s / BYTES_A_UNIT), now)
        peer = self._peers.known.get(to) or self._peers.add(to, now)
        at = peer.messages
        each_s, holds_s = rates.pair_messages
        if at < now:
            at = now
        peer.messages = at = at + each_s
        if at - now > holds_s:
            self._hold(Limit.PAIR, rates.pair_messages.wait_s(at, now), now)
        at = peer.size
        each_s, holds_s = rates.pair_size
        if at < now:
            at = now
        peer.size = at = at + size * each_s
        if at - now > holds_s:
            self._hold(Limit.PAIR_BYTES, rates.pair_size.wait_s(at, now), now)

    def answers_again(self, to: UserId, frame: bytes) -> bool:
        """Whether an answer to another user is the very one that was sent to it before."""
        return self._peers.answers_again(to, frame)

    def wait_s(self, now: float) -> float:
        """Return in how many seconds the user may be read again, for a small message; 0: it may be now."""
        if self._units <= now and self._size <= now and self._held_until <= now:
            return 0.0  # nearly always: nothing is owed
        rates = self._rates
        return max(
            rates.units.wait_s(self._units + rates.units.each_s, now),
            rates.size.wait_s(self._size, now),
            self._held_until - now,
            0.0,
        )

    def owes_s(self, now: float) -> float:
        """Return in how many seconds all that was done for the user will be paid for; 0 or less: it is."""
        return self._units - now

    def has_gone_on(self, now: float) -> bool:
        """Whether the user has been over its limit for `TOO_LONG_S` without a break, or a `let_up`.

        What holds it back on account of one other user does not count: it costs nobody anything.
        """
        since = self._over_since
        return since is not None and now - since >= TOO_LONG_S and not self._has_rested(now)

    def let_up(self, now: float) -> None:
        """Take note that the user does not flood, though it is over its limit: it only waits for answers."""
        if self._over_since is not None:
            self._over_since = now

    def may_offer(self, to: UserId, now: float) -> bool:
        """Count one more offer, or tell that there were too many."""
        rates, peer = self._rates, self._peers.known.get(to) or self._peers.add(to, now)
        if rates.offers.wait_s(self._offers + rates.offers.each_s, now):
            return self._refuse(Limit.OFFERS)
        if rates.pair_offers.wait_s(peer.offers + rates.pair_offers.each_s, now):
            return self._refuse(Limit.PAIR_OFFERS)
        self._offers = rates.offers.full_at(self._offers, 1, now)
        peer.offers = rates.pair_offers.full_at(peer.offers, 1, now)
        return True

    def may_refresh(self, now: float) -> bool:
        """Count one more newer token, or tell that there were too many."""
        refreshes = self._rates.refreshes
        if refreshes.wait_s(self._refreshes + refreshes.each_s, now):
            return self._refuse(Limit.REFRESHES)
        self._refreshes = refreshes.full_at(self._refreshes, 1, now)
        return True

    def may_join(self, rooms: int) -> bool:
        """Whether a user that is in so many rooms may join one more."""
        most = self._rates.rooms
        return not most or rooms < most or self._refuse(Limit.ROOMS)

    def connect(self, resumes: bool, now: float) -> Wait | None:
        """Count an attempt to connect, unless it has to wait; None: it need not."""
        debt_s = self._rates.units.wait_s(self._units, now)
        wait = self._connects.attempt(resumes, now, debt_s)
        if wait is not None:
            self._refuse(wait.limit)
        return wait

    def closed_for_flooding(self, now: float) -> None:
        """Keep the user out for a while: it was closed with 4503.

        On this gateway it may not connect; on others it owes as much, and is not read.
        """
        self._connects.keep_out(now)
        if self._rates.units.each_s:
            self._units = max(self._units, now) + OUT_S
            self._spend(OUT_S, now)
        self._over_since = None

    def owe(self, seconds: float, now: float) -> None:
        """Take over what the user used up on other gateways, in seconds until its bucket is full.

        What it has used up here counts among that, so the larger of the two does.
        """
        full_at = now + min(seconds, MOST_OWED_S)
        if self._rates.units.each_s:
            self._units = max(self._units, full_at)
        if self._rates.size.each_s:
            self._size = max(self._size, full_at)

    def account(self, now: float) -> Account:
        """Return what the user has used up since this was asked last.

        Presence adds it to what the user owes (docs/decisions/0071-everything-has-its-price.md).
        """
        account = Account(self._spent_s, max(0.0, self._spent_until - now))
        self._spent_s, self._spent_until = 0.0, NEVER_USED
        return account

    def _spend(self, seconds: float, now: float) -> None:
        self._spent_s += seconds
        until = self._spent_until
        self._spent_until = max(until, now) + seconds

    def _is_over(self, limit: Limit, now: float) -> None:
        if self._over_since is None:
            self._over_since = now
            self.on_limited(limit)

    def _has_rested(self, now: float) -> bool:
        rates = self._rates
        return (
            not rates.units.each_s or self._units + rates.units.each_s - now <= rates.units.holds_s - BREAK_S
        ) and (not rates.size.each_s or self._size - now <= rates.size.holds_s - BREAK_S)

    def _hold(self, limit: Limit, wait_s: float, now: float) -> None:
        if self._held_until <= now:
            self.on_limited(limit)
        self._held_until = max(self._held_until, now + wait_s)

    def _refuse(self, limit: Limit) -> bool:
        self.on_limited(limit)
        return False
