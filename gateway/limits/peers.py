"""What one user sends to each of the others: how much of late, and which answer was the last. Pure.

It is the part of a user's budget (`user_budget`) that protects the mailboxes of others. Of whom nothing is
remembered, nothing is owed. Times are seconds of a monotonic clock.
"""

from typing import Final

from gateway.limits.rate import NEVER_USED
from tieline.wire.ids import UserId

FEW_PEERS: Final = 16
"""Others to whom one user's messages are counted, before those are forgotten to whom it owes nothing any
more: a gateway keeps the budgets of some ten thousand users, and each may write to anybody."""

MAX_PEERS: Final = 128
"""The same at most; beyond them the half that was sent least is forgotten."""

MAX_ANSWERS: Final = 16
"""Others to whom one user's last answer is known."""


class Peer:
    """What goes to one other user: the moments at which its buckets are full."""

    __slots__ = ("messages", "offers", "size")

    def __init__(self) -> None:
        self.messages = NEVER_USED
        self.size = NEVER_USED
        self.offers = NEVER_USED

    def idle_at(self) -> float:
        """Return from when on nothing is owed to it."""
        return max(self.messages, self.size, self.offers)


_NOBODY: Final[dict[UserId, Peer]] = {}
_NO_ANSWERS: Final[dict[UserId, int]] = {}
"""What is known of those who have sent nothing; never written to."""


class Peers:
    """The others to whom one user's messages are counted, the busiest of them at least."""

    __slots__ = ("_answers", "_many", "known")

    def __init__(self) -> None:
        self.known = _NOBODY
        """Those of whom something is remembered; `add` the others. It is looked at for every frame."""
        self._many = FEW_PEERS
        self._answers = _NO_ANSWERS

    def add(self, to: UserId, now: float) -> Peer:
        """Begin to count what goes to a user who is not known."""
        if len(self.known) >= self._many:
            self._forget_some(now)
        if not self.known:
            self.known = {}
        peer = self.known[to] = Peer()
        return peer

    def answers_again(self, to: UserId, frame: bytes) -> bool:
        """Whether an answer to another user is the very one that was sent to it before."""
        if not self._answers:
            self._answers = {}
        answers, answer = self._answers, hash(frame)
        before = answers.pop(to, None)
        answers[to] = answer
        if len(answers) > MAX_ANSWERS:
            del answers[next(iter(answers))]
        return before == answer

    def _forget_some(self, now: float) -> None:
        """Forget those for whom beginning anew makes no difference, and more if these are too few."""
        busy = [(peer.idle_at(), to, peer) for to, peer in self.known.items() if peer.idle_at() > now]
        if len(busy) >= MAX_PEERS:
            busy = sorted(busy, reverse=True)[: MAX_PEERS // 2]
        self.known = {to: peer for _, to, peer in busy}
        self._many = min(MAX_PEERS, max(FEW_PEERS, 2 * len(busy)))
