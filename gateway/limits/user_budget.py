"""What one user may still ask for on this gateway, on whichever connection. Pure.

It is the `Budget` of `gateway/client/budget.py`. Over a limit of what is done for it, in all or to one other
user, a user is not read; over a limit of offers or refreshes, which its other messages must not wait for, the
message is refused. Who goes on for `TOO_LONG_S` is closed, and kept out for a while. Times are seconds of a
monotonic clock.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from gateway.limits.limit import Limit
from gateway.limits.rate import INSTANT_S, NEVER_USED
from gateway.limits.rates import Rates
from gateway.limits.usage import Usage
from tieline.wire.ids import UserId

TOO_LONG_S: Final = 10.0
"""Over the limit for so long without a break, a client is not catching up after a stall: it floods."""

BREAK_S: Final = 1.0
"""A break is this much of the limit that is not asked for: who takes all that the bucket fills with makes
none."""

OUT_S: Final = 30.0
"""How long a user that was closed with 4503 is kept out: long enough that coming back does not pay."""

MOST_OUT_S: Final = 600.0
"""The same at most: it doubles each time that the user is closed again, as long as it is remembered."""

MOST_OWED_S: Final = 60.0
"""What a user may owe that comes from elsewhere: nonsense from another gateway must not silence a user for
ever."""

FEW_PEERS: Final = 16
"""Others to whom one user's messages are counted, before those are forgotten to whom it owes nothing any
more: a gateway keeps the budgets of some ten thousand users, and each may write to anybody."""

MAX_PEERS: Final = 128
"""The same at most; beyond them the half that was sent least is forgotten."""

MAX_ANSWERS: Final = 16
"""Others to whom one user's last answer is known."""

BYTES_A_UNIT: Final = 8192
"""So many bytes are copied, checked and carried at about what a small message costs besides."""


class Account(NamedTuple):
    """What a user has used up, in seconds of its budget: what has become of all its charges together."""

    spent_s: float
    """The sum of them."""
    owed_s: float
    """What of that it has not had back, if it owed nothing before."""


class _Peer:
    """What goes to one other user: the moments at which its buckets are full."""

    __slots__ = ("messages", "offers", "size")

    def __init__(self) -> None:
        self.messages = NEVER_USED
        self.size = NEVER_USED
        self.offers = NEVER_USED

    def idle_at(self) -> float:
        return max(self.messages, self.size, self.offers)


def _nobody(_limit: Limit) -> None:
    """Tell nobody."""


class UserBudget:
    """Counts what one user does, and says when it is too much."""

    __slots__ = (
        "__weakref__",
        "_answers",
        "_connects",
        "_each_s",
        "_held_until",
        "_many_peers",
        "_most_owed_s",
        "_offers",
        "_out_s",
        "_out_until",
        "_over_since",
        "_peers",
        "_rates",
        "_refreshes",
        "_resumes",
        "_size",
        "_spent_s",
        "_spent_until",
        "_units",
        "on_limited",
        "usage",
        "user",
    )

    def __init__(self, user: UserId, rates: Rates) -> None:
        self.user = user
        self.usage = Usage()
        self.on_limited: Callable[[Limit], None] = _nobody
        """Told when the user begins to be limited, or is refused something."""
        self._rates = rates
        self._each_s = rates.units.each_s
        self._most_owed_s = rates.units.holds_s + INSTANT_S
        self._units = self._size = self._offers = self._refreshes = NEVER_USED
        self._connects = self._resumes = NEVER_USED
        self._spent_s, self._spent_until = 0.0, NEVER_USED
        self._held_until = NEVER_USED
        self._over_since: float | None = None
        self._out_s = 0.0
        self._out_until = NEVER_USED
        self._peers: dict[UserId, _Peer] = {}
        self._many_peers = FEW_PEERS
        self._answers: dict[UserId, int] = {}

    @property
    def peers(self) -> int:
        """To how many others the user's messages are counted."""
        return len(self._peers)

    def charge(self, price: float, now: float) -> None:
        """Take note that something of this price was done for the user."""
        if self._over_since is not None and self._has_rested(now):
            self._over_since = None
        usage, at, until = self.usage, self._units, self._spent_until
        if now >= usage.half_ends_at:
            usage.begin_half(now)
        usage.units += price
        each_s = self._each_s
        spent = price * each_s
        # Written out, here and in `carry`: every frame passes by, and calls are dear.
        self._units = at = (at if at > now else now) + spent  # noqa: FURB136
        self._spent_s += spent
        self._spent_until = (until if until > now else now) + spent  # noqa: FURB136
        if at + each_s - now > self._most_owed_s:
            self._is_over(Limit.RATE, now)

    def carry(self, to: UserId, size: int, now: float) -> None:
        """Take note of a WEBRTC message of so many bytes to another user."""
        usage, rates, at = self.usage, self._rates, self._size
        if now >= usage.half_ends_at:
            usage.begin_half(now)
        usage.messages += 1
        usage.size += size
        each_s, holds_s = rates.size
        self._size = at = (at if at > now else now) + size * each_s  # noqa: FURB136
        if at - now > holds_s:
            self._is_over(Limit.BYTES, now)
        if size > BYTES_A_UNIT:
            self._spend(size * max(0.0, each_s - rates.units.each_s / BYTES_A_UNIT), now)
        peer = self._peers.get(to) or self._new_peer(to, now)
        at = peer.messages
        each_s, holds_s = rates.pair_messages
        peer.messages = at = (at if at > now else now) + each_s  # noqa: FURB136
        if at - now > holds_s:
            self._hold(Limit.PAIR, rates.pair_messages.wait_s(at, now), now)
        at = peer.size
        each_s, holds_s = rates.pair_size
        peer.size = at = (at if at > now else now) + size * each_s  # noqa: FURB136
        if at - now > holds_s:
            self._hold(Limit.PAIR_BYTES, rates.pair_size.wait_s(at, now), now)

    def answers_again(self, to: UserId, frame: bytes) -> bool:
        """Whether an answer to another user is the very one that was sent to it before."""
        answers, answer = self._answers, hash(frame)
        before = answers.pop(to, None)
        answers[to] = answer
        if len(answers) > MAX_ANSWERS:
            del answers[next(iter(answers))]
        return before == answer

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
        """Whether the user has been over its limit for `TOO_LONG_S` without a break.

        Its next message is refused with RATE_LIMITED, and then the connection is closed with 4503. What
        holds it back on account of one other user does not count: it costs nobody anything.
        """
        since = self._over_since
        return since is not None and now - since >= TOO_LONG_S and not self._has_rested(now)

    def may_offer(self, to: UserId, now: float) -> bool:
        """Count one more offer, or tell that there were too many."""
        rates, peer = self._rates, self._peers.get(to) or self._new_peer(to, now)
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

    def connect(self, resumes: bool, now: float) -> float:
        """Count an attempt to connect; returns in how many seconds it may be made, 0: it is.

        An attempt that has to wait is not counted, or trying again would keep the user out.
        """
        rates = self._rates
        wait = self._out_until - now
        if wait > 0:
            return wait
        wait = rates.connects.wait_s(self._connects + rates.connects.each_s, now)
        if wait:
            self._refuse(Limit.CONNECTS)
            return wait
        if resumes:
            wait = rates.resumes.wait_s(self._resumes + rates.resumes.each_s, now)
            if wait:
                self._refuse(Limit.RESUMES)
                return wait
            self._resumes = rates.resumes.full_at(self._resumes, 1, now)
        self._connects = rates.connects.full_at(self._connects, 1, now)
        return 0.0

    def closed_for_flooding(self, now: float) -> None:
        """Keep the user out for a while: it was closed with 4503.

        On this gateway it may not connect; on others it owes as much, and is not read.
        """
        self._out_s = min(2 * self._out_s, MOST_OUT_S) if self._out_s else OUT_S
        self._out_until = now + self._out_s
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

    def _new_peer(self, to: UserId, now: float) -> _Peer:
        if len(self._peers) >= self._many_peers:
            self._forget_peers(now)
        peer = self._peers[to] = _Peer()
        return peer

    def _forget_peers(self, now: float) -> None:
        """Forget those for whom beginning anew makes no difference, and more if these are too few."""
        busy = [(peer.idle_at(), to, peer) for to, peer in self._peers.items() if peer.idle_at() > now]
        if len(busy) >= MAX_PEERS:
            busy = sorted(busy, reverse=True)[: MAX_PEERS // 2]
        self._peers = {to: peer for _, to, peer in busy}
        self._many_peers = min(MAX_PEERS, max(FEW_PEERS, 2 * len(busy)))
