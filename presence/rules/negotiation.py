r"""What two users negotiate: one `Negotiation`, changed by the functions here and by nothing else.

                       offer                        answer to a waiting offer
        idle ------------------------> waiting ------------------------> established
         ^                             |  ^  \                             |   ^  |
         |   the last offer times out  |  |   candidates are held,         |   |  | offer: also waits,
         +-----------------------------+  |   in order                     |   |  | stays established
         |   hangup, disconnect, leave    +-- offer: replaces one's own    |   +--+
         +-----------------------------------------------------------------+

An answer releases, in the same write, everything held in both directions. The released frames stay in the
record for a while, for two reasons. A retry of the answer must release them again: the process that released
them first may have died before it delivered them. And no later frame of their sender may overtake them: each
is preceded by them (`PRECEDED_MS`), and the mailbox drops what it has been given already.

Where a candidate's frame does not fit into the record any more, it lies apart, under a key of its own, and
the record has its digest and size. Of a sender's candidates those from before its newest offer give way to
newer ones: its connection has begun anew since.

An offer to somebody who is not there may be kept for a while (`keep`), of no session of that one, and
candidates with it. It becomes an offer like any other when its target has a session (`wake`).

A negotiation has a name, the id of its call, from its first offer to its end. What names a call that is over
is not about the next one: `fate_of` tells. It is of two sessions, one of each user, and ends with either:
nothing that the user's next session says or hears is of it.

Every accepted offer, answer, hangup and held candidate is remembered for `RETRY_MS`, so that the very same
frame gets the very same answer again, changes nothing, and delivers at least what it delivered the first
time: the first attempt may have delivered nothing, or may still be in progress. All this outlives the
negotiation. Only what was still held at its end is dropped.

Pure: no clock, no I/O. Times are Unix milliseconds. The rules about rooms and sessions are in `signals`, the
ends that the server makes in `endings`; here it is only noted for which session of the other user each frame
is.
"""

import functools
import hashlib
import itertools
from typing import Final, Literal, NamedTuple

import msgspec

from presence.rules.fact import Course
from presence.rules.negotiated import (
    NO_SESSION,
    RETRY_MS,
    HeldCandidate,
    Negotiation,
    Remembered,
    WaitingOffer,
    apart,
)
from tieline.wire.codes import ErrorCode
from tieline.wire.ids import NO_CALL, CallId, ConnectionId, FrameDigest, RoomId, SessionId, UserId
from tieline.wire.replies import CallFate

PRECEDED_MS: Final = 15_000
"""How long a sender's frames are preceded by its candidates that another frame released: well over the 5 s
for which an answer is retried, well under the 60 s for which a gateway recognizes duplicates."""

MAX_HELD: Final = 64
MAX_HELD_BYTES: Final = 65_536

MAX_INLINE_BYTES: Final = 8192
"""Frames of candidates in the record itself: those of nearly every call, which so cost no key of their own.
The others lie apart, because each signal between the two reads the record, and each refused one, too."""

MAX_RELEASED: Final = 2 * MAX_HELD
MAX_RELEASED_BYTES: Final = 2 * MAX_HELD_BYTES
"""Released frames that are kept: those of a call, and of the one before it. Two users who release more within
a minute have their oldest forgotten first. So a record stays well below the 1 MiB of a NATS message."""

MAX_REMEMBERED: Final = 256
"""A sender that exceeds this within a minute has its oldest frames forgotten first."""

MAX_OVER: Final = 8
"""Calls of two users that are remembered to be over. Only an offer that names an older one begins anew."""

CALL_BYTES: Final = 8
"""Of a call's id: among all calls of a month hardly two have the same, and nobody else can guess one."""

CandidatePolicy = Literal["hold", "forward", "reject"]
"""What to do with candidates that arrive while an offer waits for its answer."""


class Incoming(NamedTuple):
    """A frame that one of the two sends to the other now; what kind of frame it is, the caller knows."""

    sender: UserId
    target: UserId
    session: SessionId
    """The session of the target that the frame is for."""
    digest: FrameDigest
    now: int
    sent_in: SessionId
    """The session of the sender."""
    missed_on: ConnectionId = ConnectionId("")
    """The connection that the target has lost; empty: it is there."""
    rooms: tuple[RoomId, ...] = ()
    """Of an offer: the rooms in which both are, some of them where they are many."""


class Outgoing(NamedTuple):
    """One frame for one session of one of the two, and for no later one."""

    to: UserId
    session: SessionId
    frame: bytes | None
    """None stands for the frame that is being judged."""
    call: CallId = NO_CALL
    """The call that it belongs to."""


class Outcome(NamedTuple):
    """What a frame did: the negotiation after it, what to deliver in this order, what to acknowledge."""

    negotiation: Negotiation
    outgoing: tuple[Outgoing, ...]
    ack: Literal["relayed", "held"] = "relayed"
    call: CallId = NO_CALL
    """The call that the frame belongs to."""


def fate_of(negotiation: Negotiation, call: CallId, *, is_offer: bool = False) -> CallFate | None:
    """Say what has become of a call that a frame names; None: nothing that speaks against the frame.

    An offer may name a call of which nothing is known any more, because the bucket was lost: then it begins
    one. A negotiation that lost its name to an older process takes whatever is named.
    """
    if not call:
        return None
    if negotiation.is_active:
        return None if negotiation.call in (call, NO_CALL) else "replaced"
    return None if is_offer and call not in negotiation.over else "ended"


def _begun_by(incoming: Incoming) -> CallId:
    """Name the call that an offer begins. The same again, to be decided anew, begins the very same."""
    session = incoming.session or incoming.sent_in  # which nobody else can guess
    begun = b"%x %b %b" % (incoming.now, session.encode(), incoming.digest)
    return CallId(hashlib.blake2b(begun, digest_size=CALL_BYTES).hexdigest())


def offer(negotiation: Negotiation, incoming: Incoming) -> Outcome:
    """Let an offer wait, in place of the sender's earlier one."""
    changed = _waiting(negotiation, incoming)
    outgoing = _preceded(negotiation, incoming, changed.call)
    return Outcome(_remember(changed, incoming, "relayed", changed.call), outgoing, call=changed.call)


def keep(negotiation: Negotiation, incoming: Incoming, until: int) -> Outcome:
    """Let an offer wait for a target who is not there, until then; it goes nowhere yet."""
    changed = _waiting(negotiation, incoming, until)
    return Outcome(_remember(changed, incoming, "held", changed.call), (), "held", changed.call)


def _waiting(negotiation: Negotiation, incoming: Incoming, kept_until: int = 0) -> Negotiation:
    """Begin a negotiation with an offer, or go on with it."""
    call = negotiation.call if negotiation.is_active else _begun_by(incoming)
    others = tuple(waiting for waiting in negotiation.offers if waiting.sender != incoming.sender)
    waiting = WaitingOffer(
        incoming.sender, incoming.digest, incoming.now, incoming.missed_on, kept_until=kept_until
    )
    held = tuple(
        msgspec.structs.replace(each, is_outdated=True)
        if each.released_by is None and each.sender == incoming.sender
        else each
        for each in negotiation.held
    )
    of_these = ((incoming.sender, incoming.sent_in), (incoming.target, incoming.session))
    sessions = (negotiation.sessions if negotiation.is_active else ()) or of_these
    course = negotiation.course if negotiation.is_active else _begun(incoming)
    return msgspec.structs.replace(
        negotiation, offers=(*others, waiting), held=held, call=call, sessions=sessions, course=course
    )


def wake(negotiation: Negotiation, target: UserId, session: SessionId) -> Negotiation:
    """Let an offer that is kept for a target, and all that is held, be for the session that it has now.

    It keeps its generation: the timer that runs is set anew, and ends the offer also if that fails.
    """
    offers = tuple(
        msgspec.structs.replace(each, kept_until=0) if each.sender != target else each
        for each in negotiation.offers
    )
    held = tuple(
        msgspec.structs.replace(each, session=session)
        if each.released_by is None and each.sender != target
        else each
        for each in negotiation.held
    )
    sessions = tuple((user, session if user == target else own) for user, own in negotiation.sessions)
    return msgspec.structs.replace(negotiation, offers=offers, held=held, sessions=sessions)


def _begun(incoming: Incoming) -> Course:
    return Course(incoming.sender, incoming.now, rooms=incoming.rooms)


def replaced_unheard(negotiation: Negotiation, incoming: Incoming) -> FrameDigest | None:
    """Name the offer that this one replaces, if its target has been away all the time."""
    older = negotiation.offer_of(incoming.sender)
    if older is None or not incoming.missed_on or older.missed_on != incoming.missed_on:
        return None
    return None if older.digest == incoming.digest else older.digest


def answer(negotiation: Negotiation, incoming: Incoming) -> Outcome | ErrorCode:
    """Establish the negotiation by answering the target's waiting offer, and release what is held."""
    if negotiation.offer_of(incoming.target) is None:
        return ErrorCode.NO_MATCHING_OFFER
    released = tuple(
        msgspec.structs.replace(held, released_by=incoming.digest, released_at=incoming.now)
        for held in negotiation.held
        if held.released_by is None
    )
    changed = msgspec.structs.replace(
        negotiation,
        established=True,
        offers=tuple(waiting for waiting in negotiation.offers if waiting.sender != incoming.target),
        held=(*_released(negotiation), *released),
        course=_answered(negotiation, incoming),
    )
    call = negotiation.call
    changed = _remember(changed, incoming, "relayed", call)
    outgoing = (*_preceded(negotiation, incoming, call), *_released_by(changed, incoming))
    return Outcome(changed, outgoing, call=call)


def _answered(negotiation: Negotiation, incoming: Incoming) -> Course | None:
    """Note in the course of a call that it is established; a later answer changes nothing."""
    course = negotiation.course
    if course is None or negotiation.established:
        return course
    by_caller = incoming.sender == course.caller
    return msgspec.structs.replace(course, answered_at=incoming.now, answered_by_caller=by_caller)


def candidate(
    negotiation: Negotiation, incoming: Incoming, frame: bytes, policy: CandidatePolicy
) -> Outcome | ErrorCode:
    """Forward a candidate of an established negotiation; hold one that came before the answer."""
    call = negotiation.call
    if not negotiation.is_active:
        return ErrorCode.NO_MATCHING_OFFER
    if negotiation.established or policy == "forward":
        return Outcome(negotiation, _preceded(negotiation, incoming, call), call=call)
    if policy == "reject":
        return ErrorCode.NO_MATCHING_OFFER
    kept = _with_room(negotiation, incoming.sender, len(frame))
    if kept is None:
        return ErrorCode.TOO_MANY_CANDIDATES
    inline = sum(len(held.frame) for held in kept)
    if inline + len(frame) <= MAX_INLINE_BYTES:
        held = HeldCandidate(incoming.sender, incoming.digest, frame, incoming.session, call=call)
    else:
        standing = apart(incoming.digest)
        held = HeldCandidate(
            incoming.sender, incoming.digest, standing, incoming.session, size_apart=len(frame), call=call
        )
    changed = msgspec.structs.replace(negotiation, held=(*kept, held))
    return Outcome(_remember(changed, incoming, "held", call), (), "held", call)


def _with_room(negotiation: Negotiation, sender: UserId, size: int) -> tuple[HeldCandidate, ...] | None:
    """Return what stays when there must be room for one more candidate of so many bytes; None: there is none.

    The sender's own from before its newest offer give way, the oldest first.
    """
    waiting = [held for held in negotiation.held if held.released_by is None]
    count, total = len(waiting), sum(held.size for held in waiting)
    kept: list[HeldCandidate] = []
    for held in negotiation.held:
        is_full = count >= MAX_HELD or total + size > MAX_HELD_BYTES
        if is_full and held.is_outdated and held.sender == sender and held.released_by is None:
            count, total = count - 1, total - held.size
        else:
            kept.append(held)
    return None if count >= MAX_HELD or total + size > MAX_HELD_BYTES else tuple(kept)


def hangup(negotiation: Negotiation, incoming: Incoming) -> Outcome | ErrorCode:
    """End the negotiation at the word of one of the two."""
    if not negotiation.is_active:
        return ErrorCode.NO_MATCHING_OFFER
    call = negotiation.call
    ended = _remember(end(negotiation), incoming, "relayed", call)
    return Outcome(ended, _preceded(negotiation, incoming, call), call=call)


def info(negotiation: Negotiation, incoming: Incoming) -> Outcome | ErrorCode:
    """Forward what one of the two says of its end of the call. It is neither held nor remembered.

    What it says is not read. The first word of whoever is called, while nobody has answered, is taken for
    that it rings there: clients say nothing sooner.
    """
    if not negotiation.is_active:
        return ErrorCode.NO_MATCHING_OFFER
    call = negotiation.call
    return Outcome(_ringing(negotiation, incoming), _preceded(negotiation, incoming, call), call=call)


def _ringing(negotiation: Negotiation, incoming: Incoming) -> Negotiation:
    """Note in the course of a call that it rings, once."""
    course = negotiation.course
    if course is None or negotiation.established or course.ringing_at or incoming.sender == course.caller:
        return negotiation
    return msgspec.structs.replace(
        negotiation, course=msgspec.structs.replace(course, ringing_at=incoming.now)
    )


def replay(negotiation: Negotiation, known: Remembered, target: UserId, now: int) -> Outcome:
    """Give a retried frame the answer that it got the first time, and deliver again what it caused.

    At least what the first attempt delivered is delivered, because that attempt may still be in progress;
    and what was released since, as before any frame, for a while: after that, newer candidates may have
    passed it. A frame that lies apart may have been released before it was stored there; it comes after those
    that were held before it.
    """
    if known.ack == "held":
        is_due = any(
            map(functools.partial(_was_released_apart, known.sender, known.digest), negotiation.held)
        )
        due = _released_up_to(negotiation, known, target, now) if is_due else ()
        return Outcome(negotiation, due, known.ack, known.call)
    then = Incoming(known.sender, target, known.session, known.digest, known.at, NO_SESSION)
    later = negotiation.remembered[negotiation.remembered.index(known) + 1 :]
    since = {frame.digest for frame in later}
    relevant = tuple(
        held
        for held in _released(negotiation, now)
        if held.released_by not in since or now - held.released_at < PRECEDED_MS
    )
    recent = msgspec.structs.replace(negotiation, held=relevant)
    outgoing = (*_preceded(recent, then, known.call), *_released_by(recent, then))
    return Outcome(negotiation, outgoing, known.ack, known.call)


def end(negotiation: Negotiation) -> Negotiation:
    """End the negotiation. What is remembered for retries stays, what is held is dropped."""
    if not negotiation.is_active:
        return negotiation
    over = (*negotiation.over, negotiation.call) if negotiation.call else negotiation.over
    return Negotiation(
        held=_released(negotiation),
        remembered=negotiation.remembered,
        over=over[-MAX_OVER:],
        facts=negotiation.facts,
    )


def expire(negotiation: Negotiation, sender: UserId, generation: str) -> Negotiation | None:
    """Stop waiting for the answer to one offer; None if that offer does not wait (any more).

    It ends the negotiation only when nothing else holds it: an established negotiation stays, and so does an
    offer that crossed this one.
    """
    expired = negotiation.offer_of(sender)
    if expired is None or expired.generation != generation:
        return None
    rest = tuple(waiting for waiting in negotiation.offers if waiting is not expired)
    if rest or negotiation.established:
        return msgspec.structs.replace(negotiation, offers=rest)
    return end(negotiation)


def kept_apart(negotiation: Negotiation, sender: UserId, digest: FrameDigest) -> bool:
    """Whether a candidate is held whose frame must lie apart: stored with it, and again with its retry."""
    return any(
        held.released_by is None and held.size_apart and held.digest == digest and held.sender == sender
        for held in negotiation.held
    )


def held_digests(negotiation: Negotiation, sender: UserId, now: int) -> tuple[FrameDigest, ...]:
    """Name the sender's candidates whose retry is to be told "held", and does nothing else."""
    apart = {held.digest for held in negotiation.held if _was_released_apart(sender, held.digest, held)}
    return tuple(
        known.digest
        for known in negotiation.remembered
        if known.sender == sender
        and known.ack == "held"
        and now - known.at < RETRY_MS
        and known.digest not in apart
    )


def _released_up_to(
    negotiation: Negotiation, known: Remembered, target: UserId, now: int
) -> tuple[Outgoing, ...]:
    """List a held frame that was released, after its sender's candidates that were held before it.

    Who released them may not have delivered them yet, and then they would come behind it.
    """
    own = (held for held in _released(negotiation, now) if held.sender == known.sender)
    before = itertools.takewhile(lambda held: held.digest != known.digest, own)
    earlier = (Outgoing(target, held.session, held.frame, held.call) for held in before)
    return (*earlier, Outgoing(target, known.session, None, known.call))


def _was_released_apart(sender: UserId, digest: FrameDigest, held: HeldCandidate) -> bool:
    is_it = held.digest == digest and held.sender == sender
    return is_it and bool(held.size_apart) and held.released_by is not None


def _released(negotiation: Negotiation, now: int = 0) -> tuple[HeldCandidate, ...]:
    """List the candidates that an answer has released less than `RETRY_MS` ago."""
    return tuple(
        held
        for held in negotiation.held
        if held.released_by is not None and now - held.released_at < RETRY_MS
    )


def _preceded(negotiation: Negotiation, incoming: Incoming, call: CallId) -> tuple[Outgoing, ...]:
    """List the frame itself, after its sender's candidates that another one released lately."""
    earlier = (
        Outgoing(incoming.target, held.session, held.frame, held.call)
        for held in negotiation.held
        if held.sender == incoming.sender
        and held.released_by not in (None, incoming.digest)
        and incoming.now - held.released_at < PRECEDED_MS
    )
    return (*earlier, Outgoing(incoming.target, incoming.session, None, call))


def _released_by(negotiation: Negotiation, incoming: Incoming) -> tuple[Outgoing, ...]:
    """List what a frame released for each side, if it is an answer."""
    return tuple(
        Outgoing(
            incoming.target if held.sender == incoming.sender else incoming.sender,
            held.session,
            held.frame,
            held.call,
        )
        for held in negotiation.held
        if held.released_by == incoming.digest
    )


def _remember(
    negotiation: Negotiation, incoming: Incoming, ack: Literal["relayed", "held"], call: CallId
) -> Negotiation:
    """Remember a frame, and forget what no retry can ask for any more."""
    recent = [known for known in negotiation.remembered if incoming.now - known.at < RETRY_MS]
    recent.append(Remembered(incoming.sender, incoming.digest, ack, incoming.now, incoming.session, call))
    waiting = tuple(held for held in negotiation.held if held.released_by is None)
    return msgspec.structs.replace(
        negotiation,
        held=(*_newest(_released(negotiation, incoming.now)), *waiting),
        remembered=tuple(recent[-MAX_REMEMBERED:]),
    )


def _newest(released: tuple[HeldCandidate, ...]) -> tuple[HeldCandidate, ...]:
    """Leave out the oldest of what was released, where there is too much of it."""
    size = 0
    for count, held in enumerate(reversed(released)):
        size += held.size
        if count == MAX_RELEASED or size > MAX_RELEASED_BYTES:
            return released[len(released) - count :]
    return released
