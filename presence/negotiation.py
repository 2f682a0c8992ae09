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
brings them along (`EARLIER_MS`), and the mailbox drops what it was given already.

Every accepted offer, answer, hangup and held candidate is remembered for `RETRY_MS`, so that the very same
frame gets the very same answer again, changes nothing, and delivers at least what it delivered the first
time: it may be that nobody has done so yet, and that somebody still will. All this outlives the negotiation.
Only what was still held at its end is dropped.

Pure: no clock, no I/O. Times are Unix milliseconds. The rules about rooms and sessions are in `decide`; here
it is only noted for which session of the other each frame is.
"""

from typing import Final, Literal, NamedTuple

import msgspec

from tieline.wire.codes import ErrorCode
from tieline.wire.ids import FrameDigest, SessionId, UserId

RETRY_MS: Final = 60_000
"""How long the very same frame counts as a retry (PROTOCOL, "Envelope")."""

EARLIER_MS: Final = 15_000
"""How long a sender's frames bring along its candidates released before them: well over the 5 s for which an
answer is retried, well under the 60 s for which a gateway recognizes duplicates."""

MAX_HELD: Final = 64
MAX_HELD_BYTES: Final = 65_536

MAX_RELEASED: Final = 2 * MAX_HELD
MAX_RELEASED_BYTES: Final = 2 * MAX_HELD_BYTES
"""Released frames that are kept: those of a call, and of the one before it. Two users who release more within
a minute have their oldest forgotten first. So a record stays well below the 1 MiB of a NATS message."""

MAX_REMEMBERED: Final = 256
"""A sender that exceeds this within a minute has its oldest frames forgotten first."""

ANY_SESSION: Final = SessionId("")
"""In records of before it was noted which session a frame is for."""

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
    session: SessionId = ANY_SESSION
    """The other's, for which it is."""


class Remembered(msgspec.Struct, frozen=True, array_like=True):
    """A frame that was accepted: what its retry is told, and whether it is delivered again."""

    sender: UserId
    digest: FrameDigest
    ack: Literal["relayed", "held"]
    at: int
    deliver: bool
    """Not if it is held: then what releases it delivers it."""
    session: SessionId = ANY_SESSION
    """The other's, for which it is."""


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


class Said(NamedTuple):
    """A frame that one of the two says to the other now; what it is, is known elsewhere."""

    sender: UserId
    target: UserId
    session: SessionId
    """The target's, for which it is."""
    digest: FrameDigest
    now: int


class Outgoing(NamedTuple):
    """One frame for one session of one of the two, and for no later one."""

    to: UserId
    session: SessionId
    frame: bytes | None
    """None stands for the frame that is being judged."""


class Step(NamedTuple):
    """What a frame did: the pair after it, what to deliver in this order, and what to acknowledge."""

    pair: Pair
    outgoing: tuple[Outgoing, ...]
    ack: Literal["relayed", "held"] = "relayed"


def offer(pair: Pair, said: Said) -> Step:
    """Let an offer wait, in place of the sender's earlier one."""
    others = tuple(waiting for waiting in pair.offers if waiting.sender != said.sender)
    waiting = WaitingOffer(said.sender, said.digest, said.now)
    changed = msgspec.structs.replace(pair, offers=(*others, waiting), ended_by="")
    return Step(_remember(changed, said, "relayed"), _after_earlier(pair, said))


def answer(pair: Pair, said: Said) -> Step | ErrorCode:
    """Establish the pair by answering the target's waiting offer, and release what is held."""
    if pair.offer_of(said.target) is None:
        return ErrorCode.NO_MATCHING_OFFER
    released = tuple(
        msgspec.structs.replace(held, released_by=said.digest, released_at=said.now)
        for held in pair.held
        if held.released_by is None
    )
    changed = msgspec.structs.replace(
        pair,
        established=True,
        offers=tuple(waiting for waiting in pair.offers if waiting.sender != said.target),
        held=(*_released(pair), *released),
    )
    changed = _remember(changed, said, "relayed")
    return Step(changed, (*_after_earlier(pair, said), *_released_by(changed, said)))


def candidate(pair: Pair, said: Said, frame: bytes, policy: CandidatePolicy) -> Step | ErrorCode:
    """Forward a candidate of an established pair; hold one that came before the answer."""
    if not pair.is_active:
        return ErrorCode.NO_MATCHING_OFFER
    if pair.established or policy == "forward":
        return Step(pair, _after_earlier(pair, said))
    if policy == "reject":
        return ErrorCode.NO_MATCHING_OFFER
    waiting = [held for held in pair.held if held.released_by is None]
    if len(waiting) >= MAX_HELD or sum(len(held.frame) for held in waiting) + len(frame) > MAX_HELD_BYTES:
        return ErrorCode.TOO_MANY_CANDIDATES
    held = HeldCandidate(said.sender, said.digest, frame, session=said.session)
    changed = msgspec.structs.replace(pair, held=(*pair.held, held))
    return Step(_remember(changed, said, "held"), (), "held")


def hangup(pair: Pair, said: Said) -> Step | ErrorCode:
    """End the negotiation at the word of one of the two."""
    if not pair.is_active:
        return ErrorCode.NO_MATCHING_OFFER
    return Step(_remember(_over(pair, ""), said, "relayed"), _after_earlier(pair, said))


def again(pair: Pair, known: Remembered, target: UserId, now: int) -> Step:
    """Give a retried frame the answer that it got the first time, and deliver again what it caused.

    It brings along at least what it brought along then: whoever carries that out may still be at it. And what
    was released since, as any frame does for a while: after that, newer candidates may have passed it.
    """
    if not known.deliver:
        return Step(pair, (), known.ack)
    then = Said(known.sender, target, known.session, known.digest, known.at)
    since = {later.digest for later in pair.remembered[pair.remembered.index(known) + 1 :]}
    relevant = tuple(
        held
        for held in _released(pair, now)
        if held.released_by not in since or now - held.released_at < EARLIER_MS
    )
    recent = msgspec.structs.replace(pair, held=relevant)
    return Step(pair, (*_after_earlier(recent, then), *_released_by(recent, then)), known.ack)


def end(pair: Pair, ended_by: str) -> Pair:
    """End whatever is negotiated because the server says so."""
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
    return Pair(held=_released(pair), remembered=pair.remembered, ended_by=ended_by)


def _released(pair: Pair, now: int = 0) -> tuple[HeldCandidate, ...]:
    """List the candidates that an answer has released less than `RETRY_MS` ago."""
    return tuple(
        held for held in pair.held if held.released_by is not None and now - held.released_at < RETRY_MS
    )


def _after_earlier(pair: Pair, said: Said) -> tuple[Outgoing, ...]:
    """List the frame itself, after its sender's candidates that another one released lately."""
    earlier = (
        Outgoing(said.target, held.session, held.frame)
        for held in pair.held
        if held.sender == said.sender
        and held.released_by not in (None, said.digest)
        and said.now - held.released_at < EARLIER_MS
    )
    return (*earlier, Outgoing(said.target, said.session, None))


def _released_by(pair: Pair, said: Said) -> tuple[Outgoing, ...]:
    """List what a frame released for each side, if it is an answer."""
    return tuple(
        Outgoing(said.target if held.sender == said.sender else said.sender, held.session, held.frame)
        for held in pair.held
        if held.released_by == said.digest
    )


def _remember(pair: Pair, said: Said, ack: Literal["relayed", "held"]) -> Pair:
    """Remember a frame, and forget what no retry can ask for any more."""
    recent = [known for known in pair.remembered if said.now - known.at < RETRY_MS]
    recent.append(
        Remembered(said.sender, said.digest, ack, said.now, deliver=ack == "relayed", session=said.session)
    )
    waiting = tuple(held for held in pair.held if held.released_by is None)
    return msgspec.structs.replace(
        pair,
        held=(*_newest(_released(pair, said.now)), *waiting),
        remembered=tuple(recent[-MAX_REMEMBERED:]),
    )


def _newest(released: tuple[HeldCandidate, ...]) -> tuple[HeldCandidate, ...]:
    """Leave out the oldest of what was released, where there is too much of it."""
    size = 0
    for count, held in enumerate(reversed(released)):
        size += len(held.frame)
        if count == MAX_RELEASED or size > MAX_RELEASED_BYTES:
            return released[len(released) - count :]
    return released
