"""Which call this client has with each user, by the ids that the server gives: what its messages name.

A message names the call that the application means. That is the newest one of which it has read an event, or
whose offer it has sent itself; what has come and was not read yet may be of a newer call. So an answer or a
hangup that comes late is about its own call, and the server refuses it if that is over. An answer is about
the call of the newest offer that was read, also where an offer sent since has begun another one.

A call that rings is over a while after the server would have ended it, if the end has not come. What is done
then is in `dispatcher`; the server's side is `presence.rules.negotiation`. Pure: times are seconds of a
monotonic clock.
"""

from collections import OrderedDict
from typing import Final

from tieline.client.events import Answer, Candidate, Hangup, Info, Offer
from tieline.wire.ids import NO_CALL, CallId

RING_MARGIN_S: Final = 10.0
"""How much longer than an offer waits a call rings here: the server's timer, and the way here, take a moment,
some seconds of them when a process has died."""

MAX_SEEN: Final = 8
"""Calls with one user that are told apart by age; an older one is older than all of these."""

MAX_USERS: Final = 10_000
"""The users with whom there was nothing for longest are forgotten: messages to them name no call."""

SignalEvent = Offer | Answer | Candidate | Hangup | Info

_KINDS: Final[dict[type[SignalEvent], str]] = {
    Offer: "WEBRTC_OFFER",
    Answer: "WEBRTC_ANSWER",
    Candidate: "WEBRTC_ICE_CANDIDATE",
    Hangup: "WEBRTC_HANGUP",
    Info: "WEBRTC_INFO",
}
_ENDS_RINGING: Final = frozenset(("WEBRTC_ANSWER", "WEBRTC_HANGUP"))


class _Pair:
    """What is known of the calls with one user."""

    __slots__ = ("count", "floor", "is_awaited", "known", "live", "offered", "ringing", "rings_until", "seen")

    def __init__(self) -> None:
        self.seen: OrderedDict[CallId, int] = OrderedDict()
        """The calls in the order in which they came up, numbered."""
        self.count = 0
        self.known = NO_CALL
        """What the application means."""
        self.offered = NO_CALL
        """The call of the newest offer that the application has read."""
        self.floor = 0
        """No older call than that of this number is meant any more."""
        self.live = NO_CALL
        """The newest call, unless it has ended."""
        self.ringing = NO_CALL
        self.rings_until = 0.0
        self.is_awaited = False
        """The user is being woken, and in no room until it comes."""

    def see(self, call: CallId) -> bool:
        """Number a call; returns whether it is new."""
        if call in self.seen:
            return False
        self.count += 1
        self.seen[call] = self.count
        if len(self.seen) > MAX_SEEN:
            self.seen.popitem(last=False)
        return True

    def age(self, call: CallId) -> int:
        """Return a call's number; 0: it is none, or an old one."""
        return self.seen.get(call, 0)


class Calls:
    """The calls of one session with everybody."""

    def __init__(self, offer_timeout_s: float) -> None:
        self._patience_s = offer_timeout_s + RING_MARGIN_S
        self._pairs: OrderedDict[str, _Pair] = OrderedDict()

    def _pair(self, user: str) -> _Pair:
        pair = self._pairs.get(user)
        if pair is None:
            pair = self._pairs[user] = _Pair()
            if len(self._pairs) > MAX_USERS:
                self._pairs.popitem(last=False)
        else:
            self._pairs.move_to_end(user)
        return pair

    def named(self, user: str) -> CallId:
        """Return the call with a user that the application means; empty: none, or it has no name yet."""
        pair = self._pairs.get(user)
        return NO_CALL if pair is None else pair.known

    def answered(self, user: str) -> CallId:
        """Return the call with a user that an answer is about: that of the offer which it answers."""
        pair = self._pairs.get(user)
        return NO_CALL if pair is None else pair.offered or pair.known

    def offering(self, user: str) -> None:
        """Take note that an offer is sent that names no call: which one it is of, the ack says."""
        pair = self._pair(user)
        pair.known, pair.floor = NO_CALL, pair.count + 1

    def acknowledged(self, user: str, kind: str, call: CallId, now: float, kept_for_s: float = 0.0) -> bool:
        """Take note that a message of this client has passed; returns whether the call rings from now on.

        An offer that is kept for somebody who is not there waits for so long before it is delivered.
        """
        pair = self._pair(user)
        is_new = pair.see(call)
        if pair.age(call) >= pair.age(pair.known):
            pair.known = call
        if kind == "WEBRTC_OFFER":
            pair.is_awaited = kept_for_s > 0
        return self._ring(pair, call, kind, now + kept_for_s, is_new=is_new)

    def heard(self, event: SignalEvent, now: float) -> bool:
        """Take note of an event that has come; returns whether the call rings from now on."""
        pair = self._pair(event.sender)
        pair.is_awaited = False
        is_new = pair.see(event.call)
        return self._ring(pair, event.call, _KINDS[type(event)], now, is_new=is_new)

    def _ring(self, pair: _Pair, call: CallId, kind: str, now: float, *, is_new: bool) -> bool:
        if kind == "WEBRTC_OFFER" and is_new:
            pair.live = call
        if kind == "WEBRTC_HANGUP" and pair.live == call:
            pair.live = NO_CALL
        is_ringing = pair.ringing == call
        if kind == "WEBRTC_OFFER" and (is_new or is_ringing):
            pair.ringing, pair.rings_until = call, now + self._patience_s
            return is_new
        if is_ringing and kind in _ENDS_RINGING:
            pair.ringing = NO_CALL
        return False

    def read(self, event: SignalEvent) -> None:
        """Take note that the application knows of an event."""
        pair = self._pair(event.sender)
        if isinstance(event, Offer):
            pair.offered = event.call
        age = pair.age(event.call)
        if age and age >= max(pair.floor, pair.age(pair.known)):
            pair.known = event.call

    def rings_until(self, user: str, call: CallId) -> float | None:
        """Until when a call rings; None: it does not (any more)."""
        pair = self._pairs.get(user)
        return None if pair is None or pair.ringing != call else pair.rings_until

    def live(self) -> list[tuple[str, CallId]]:
        """List the calls that have not ended, with whom each is, but for users who are being woken."""
        pairs = self._pairs.items()
        return [(user, pair.live) for user, pair in pairs if pair.live and not pair.is_awaited]

    def give_up(self, user: str, call: CallId) -> None:
        """Let a call be over, and ring no more."""
        pair = self._pairs.get(user)
        if pair is not None and pair.ringing == call:
            pair.ringing = NO_CALL
        if pair is not None and pair.live == call:
            pair.live = NO_CALL
