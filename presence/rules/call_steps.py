"""What a change of a negotiation means for the call that is being set up, in words that operators count.

    begun ---> established ---> ended
       |
       +-----> unanswered, when the offer timed out
       +-----> abandoned, when it ended in any other way

Pure; `presence.targets` asks after each write, and counts. What is negotiated again within an established
call is no step here: offers and answers are counted as signals, by the gateways.
"""

from typing import Literal, NamedTuple

from presence.rules.negotiated import Negotiation
from tieline.wire.ids import FrameDigest, UserId

Step = Literal["begun", "established", "unanswered", "abandoned", "ended"]


Keeping = Literal["kept", "delivered", "ended"]
"""What became of an offer to somebody who was not there: it is kept; then it is delivered, or over before."""


class Candidates(NamedTuple):
    """What became of candidates that had come before the answer."""

    held: int = 0
    released: int = 0
    discarded: int = 0


def step(before: Negotiation, after: Negotiation, *, timed_out: bool = False) -> Step | None:
    """Name the step of the call; None: it took none. `timed_out` says that an offer's time was up."""
    if before.established:
        return None if after.established else "ended"
    if after.established:
        return "established"
    if before.is_active == after.is_active:
        return None
    if after.is_active:
        return "begun"
    return "unanswered" if timed_out else "abandoned"


def keeping(before: Negotiation, after: Negotiation) -> Keeping | None:
    """Name what became of a kept offer; None: nothing did."""
    if bool(before.kept_until) == bool(after.kept_until):
        return None
    if after.kept_until:
        return "kept"
    return "delivered" if after.is_active else "ended"


def candidates(before: Negotiation, after: Negotiation) -> Candidates:
    """Count what was held, released or discarded."""
    were, are = _waiting(before), _waiting(after)
    gone = len(were - are)
    if after.established:
        return Candidates(held=len(are - were), released=gone)
    return Candidates(held=len(are - were), discarded=gone)


def _waiting(pair: Negotiation) -> set[tuple[UserId, FrameDigest]]:
    return {(held.sender, held.digest) for held in pair.held if held.released_by is None}


def answered_offer_at(before: Negotiation, after: Negotiation) -> int | None:
    """When the offer was made that an answer has established; None: none was. Unix milliseconds."""
    if before.established or not after.established:
        return None
    answered = next(offer for offer in before.offers if offer not in after.offers)
    return answered.at
