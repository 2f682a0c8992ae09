r"""What two users negotiate: one `Pair`, changed by the functions here and by nothing else.

                       offer                        answer to a waiting offer
        idle ------------------------> waiting ------------------------> established
         ^                             |  ^  \                             |   ^  |
         |   the last offer times out  |  |   candidates are held,         |   |  | offer: also waits,
         +-----------------------------+  |   in order                     |   |  | stays established
         |   hangup, disconnect, leave    +-- offer: replaces one's own    |   +--+
         +-----------------------------------------------------------------+

An answer releases, in the same write, everything held in both directions. The released frames stay in the
record for a while, for two reasons. A retry of the answer must release them again: whoever released them
first may have died before it delivered. And nothing that their sender says later may overtake them: it
brings them along (`EARLIER_MS`), and the receiving gateway drops what it has delivered already.

Every accepted offer, answer, hangup and held candidate is remembered for `RETRY_MS`, so that the very same
frame gets the very same answer again and changes nothing.

Pure: no clock, no I/O. Times are Unix milliseconds. The rules about rooms and sessions are in `decide`.
"""

from typing import Final, Literal, NamedTuple

import msgspec

from tieline.wire.codes import Refusal
from tieline.wire.ids import FrameDigest, UserId

RETRY_MS: Final = 60_000
"""How long the very same frame counts as a retry (PROTOCOL, "Envelope")."""

EARLIER_MS: Final = 15_000
"""How long a sender's frames bring along its candidates released before them: well over the 5 s for which an
answer is retried, well under the 60 s for which a gateway recognizes duplicates."""

MAX_HELD: Final = 64
MAX_HELD_BYTES: Final = 65_536

MAX_REMEMBERED: Final = 256
"""A sender that exceeds this within a minute has its oldest frames forgotten first."""

CandidatePolicy = Literal["hold", "forward", "reject"]
"""What to do with candidates that arrive while an offer waits for its answer."""


class WaitingOffer(msgspec.Struct, frozen=True, array_like=True):
    """An offer nobody has answered yet."""

    sender: UserId
    digest: FrameDigest
    at: int

    @property
    def generation(self) -> str:
        """What tells this offer's timer from that of the offer it replaced. Safe inside a key."""
        return f"{self.at:x}-{self.digest.hex()}"


class HeldCandidate(msgspec.Struct, frozen=True, array_like=True):
    """A candidate that arrived before the answer; after the answer, kept for retries only."""

    sender: UserId
    digest: FrameDigest
    frame: bytes
    released_by: FrameDigest | None = None
    released_at: int = 0


class Remembered(msgspec.Struct, frozen=True, array_like=True):
    """A frame that was accepted: what its retry is told, and whether it is delivered again."""

    sender: UserId
    digest: FrameDigest
    ack: Literal["relayed", "held"]
    at: int
    deliver: bool


class Pair(msgspec.Struct, frozen=True, array_like=True):
    """Everything known of two users' negotiation."""

    established: bool = False
    offers: tuple[WaitingOffer, ...] = ()
    held: tuple[HeldCandidate, ...] = ()
    remembered: tuple[Remembered, ...] = ()
    ended_by: str = ""
    """What ended it last, if the server did: a session or an offer's generation."""

    @property
    def is_active(self) -> bool:
        """Whether there is a negotiation to end."""
        return self.established or bool(self.offers)

    def offer_of(self, sender: UserId) -> WaitingOffer | None:
        """The waiting offer of one side."""
        return next((offer for offer in self.offers if offer.sender == sender), None)

    def memory_of(self, sender: UserId, digest: FrameDigest, now: int) -> Remembered | None:
        """What is remembered of a frame that may be a retry."""
        for known in self.remembered:
            if known.digest == digest and known.sender == sender and now - known.at < RETRY_MS:
                return known
        return None


NOTHING: Final = Pair()


class Outgoing(NamedTuple):
    """One frame for one of the two; None stands for the frame that is being judged."""

    to: UserId
    frame: bytes | None


class Step(NamedTuple):
    """What a frame did: the pair after it, what to deliver in this order, and what to acknowledge."""

    pair: Pair
    outgoing: tuple[Outgoing, ...]
    ack: Literal["relayed", "held"] = "relayed"


def offer(pair: Pair, sender: UserId, target: UserId, digest: FrameDigest, now: int) -> Step:
    """Let an offer wait, in place of the sender's earlier one."""
    others = tuple(waiting for waiting in pair.offers if waiting.sender != sender)
    changed = msgspec.structs.replace(pair, offers=(*others, WaitingOffer(sender, digest, now)), ended_by="")
    changed = _remember(changed, sender, digest, "relayed", now)
    return Step(changed, (*_earlier(pair, sender, target, now), Outgoing(target, None)))


def answer(pair: Pair, sender: UserId, target: UserId, digest: FrameDigest, now: int) -> Step | Refusal:
    """Establish the pair by answering the target's waiting offer, and release what is held."""
    if pair.offer_of(target) is None:
        return Refusal.NO_MATCHING_OFFER
    changed = msgspec.structs.replace(
        pair,
        established=True,
        offers=tuple(waiting for waiting in pair.offers if waiting.sender != target),
        held=tuple(
            held
            if held.released_by is not None
            else msgspec.structs.replace(held, released_by=digest, released_at=now)
            for held in pair.held
        ),
    )
    changed = _remember(changed, sender, digest, "relayed", now)
    earlier = _earlier(pair, sender, target, now)
    return Step(changed, (*earlier, *_frame_and_released(changed, sender, target, digest)))


def candidate(
    pair: Pair,
    sender: UserId,
    target: UserId,
    digest: FrameDigest,
    frame: bytes,
    now: int,
    policy: CandidatePolicy,
) -> Step | Refusal:
    """Forward a candidate of an established pair; hold one that came before the answer."""
    if pair.established:
        return Step(pair, (*_earlier(pair, sender, target, now), Outgoing(target, None)))
    if not pair.offers or policy == "reject":
        return Refusal.NO_MATCHING_OFFER
    if policy == "forward":
        return Step(pair, (Outgoing(target, None),))
    waiting = [held for held in pair.held if held.released_by is None]
    if len(waiting) >= MAX_HELD or sum(len(held.frame) for held in waiting) + len(frame) > MAX_HELD_BYTES:
        return Refusal.TOO_MANY_CANDIDATES
    changed = msgspec.structs.replace(pair, held=(*pair.held, HeldCandidate(sender, digest, frame)))
    return Step(_remember(changed, sender, digest, "held", now), (), "held")


def hangup(pair: Pair, sender: UserId, target: UserId, digest: FrameDigest, now: int) -> Step | Refusal:
    """End the negotiation at the word of one of the two."""
    if not pair.is_active:
        return Refusal.NO_MATCHING_OFFER
    changed = _remember(_over(pair, ""), sender, digest, "relayed", now)
    return Step(changed, (*_earlier(pair, sender, target, now), Outgoing(target, None)))


def again(pair: Pair, known: Remembered, target: UserId, now: int) -> Step:
    """Give a retried frame the answer that it got the first time, and deliver again what it caused."""
    if not known.deliver:
        return Step(pair, (), known.ack)
    earlier = _earlier(pair, known.sender, target, now, released_by_it=known.digest)
    outgoing = (*earlier, *_frame_and_released(pair, known.sender, target, known.digest))
    return Step(pair, outgoing, known.ack)


def end(pair: Pair, ended_by: str) -> Pair:
    """End whatever is negotiated because the server says so.

    Nothing remembered is delivered again: a session that was spoken to is over, or its call is.
    """
    return _over(pair, ended_by if pair.is_active else pair.ended_by)


def expire(pair: Pair, sender: UserId, generation: str) -> Pair | None:
    """Stop waiting for the answer to one offer; None if that offer does not wait (any more).

    It ends the negotiation only when nothing else holds it: an established pair stays, and so does an
    offer that crossed this one.
    """
    expired = pair.offer_of(sender)
    if expired is None or expired.generation != generation:
        return None
    rest = tuple(waiting for waiting in pair.offers if waiting is not expired)
    if rest or pair.established:
        return msgspec.structs.replace(pair, offers=rest)
    return _over(pair, generation)


def held_digests(pair: Pair, sender: UserId, now: int) -> tuple[FrameDigest, ...]:
    """Name the sender's candidates whose retry is to be told "held"."""
    return tuple(
        known.digest
        for known in pair.remembered
        if known.sender == sender and known.ack == "held" and now - known.at < RETRY_MS
    )


def _over(pair: Pair, ended_by: str) -> Pair:
    silent = tuple(msgspec.structs.replace(known, deliver=False) for known in pair.remembered)
    return Pair(remembered=silent, ended_by=ended_by)


def _earlier(
    pair: Pair, sender: UserId, target: UserId, now: int, released_by_it: FrameDigest | None = None
) -> tuple[Outgoing, ...]:
    """List the sender's candidates that were released lately, by another frame than the one that follows."""
    return tuple(
        Outgoing(target, held.frame)
        for held in pair.held
        if held.sender == sender
        and held.released_by not in (None, released_by_it)
        and now - held.released_at < EARLIER_MS
    )


def _frame_and_released(
    pair: Pair, sender: UserId, target: UserId, digest: FrameDigest
) -> tuple[Outgoing, ...]:
    """List the frame itself for the target, then what it released for each side, if it is an answer."""
    released = [held for held in pair.held if held.released_by == digest]
    return (
        Outgoing(target, None),
        *(Outgoing(target if held.sender == sender else sender, held.frame) for held in released),
    )


def _remember(
    pair: Pair, sender: UserId, digest: FrameDigest, ack: Literal["relayed", "held"], now: int
) -> Pair:
    """Remember a frame, and forget what no retry can ask for any more."""
    recent = [known for known in pair.remembered if now - known.at < RETRY_MS]
    recent.append(Remembered(sender, digest, ack, now, deliver=ack == "relayed"))
    return msgspec.structs.replace(
        pair,
        held=tuple(
            held for held in pair.held if held.released_by is None or now - held.released_at < RETRY_MS
        ),
        remembered=tuple(recent[-MAX_REMEMBERED:]),
    )
