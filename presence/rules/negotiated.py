"""What is known of what two users negotiate: the record, `Negotiation`, and what it consists of. Pure.

It is changed by the functions of `negotiation`, and by nothing else. It is stored under both users' names
(`presence.record_codec`), in positions that processes of other versions read as well
(docs/decisions/0060-messages-and-records-change-by-rule.md).
"""

import re
from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from presence.rules.effects import CallEffect, Woken
from presence.rules.fact import CallFact, Course
from tieline.wire.ids import NO_CALL, CallId, ConnectionId, FrameDigest, SessionId, UserId
from tieline.wire.limits import RETRY_WINDOW_S

RETRY_MS: Final = int(RETRY_WINDOW_S * 1000)
"""How long the very same frame counts as a retry (docs/protocol.md#2-envelope)."""

_APART: Final = b'{"requestId":"%b","module":"ROOM","cmd":"LIES_APART","data":null}'
"""Stands with its digest for a frame that lies apart. A process of 0.1.0 delivers it in the place of that: so
it is a message, whole, by which a client can go on, and of a command that clients do not know."""

_IS_APART: Final = re.compile(
    rb'{"requestId":"([0-9a-f]{32})","module":"ROOM","cmd":"LIES_APART","data":null}'
)
"""No signal of a client is so: it has more in it."""

NO_SESSION: Final = SessionId("")


def apart(digest: FrameDigest) -> bytes:
    """Stand for a frame that lies apart."""
    return _APART % digest.hex().encode()


def lies_apart(frame: bytes | None) -> FrameDigest | None:
    """Return the digest of the frame for which this one stands; None: it is a frame itself."""
    found = None if frame is None else _IS_APART.fullmatch(frame)
    return FrameDigest(bytes.fromhex(found[1].decode())) if found else None


class WaitingOffer(msgspec.Struct, frozen=True, array_like=True):
    """An offer nobody has answered yet."""

    sender: UserId
    digest: FrameDigest
    at: int
    missed_on: ConnectionId = ConnectionId("")
    """The connection that the target had lost when it came: until another one has the session, nobody has had
    the offer. Empty: the target was there."""
    kept_until: int = 0
    """Until when it is kept for a target who is not there; nobody has had it. 0: it is not kept."""

    @property
    def generation(self) -> str:
        """What tells this offer's timer from that of the offer it replaced. Safe inside a key."""
        return f"{self.at:x}-{self.digest.hex()}"


class HeldCandidate(msgspec.Struct, frozen=True, array_like=True):
    """A candidate that arrived before the answer; after the answer, kept for retries only."""

    sender: UserId
    digest: FrameDigest
    frame: bytes
    """Or what stands for it, if it lies apart."""
    session: SessionId
    """The session of the other user that the candidate is for."""
    released_by: FrameDigest | None = None
    released_at: int = 0
    size_apart: int = 0
    """Bytes of a frame that lies apart; 0: it does not."""
    is_outdated: bool = False
    """Its sender has made a newer offer since."""
    call: CallId = NO_CALL

    @property
    def size(self) -> int:
        """Bytes of the frame, wherever it lies."""
        return self.size_apart or len(self.frame)


class Remembered(msgspec.Struct, frozen=True, array_like=True):
    """A frame that was accepted: what its retry is told, and for whom it is delivered again.

    A held frame is not: what releases it delivers it.
    """

    sender: UserId
    digest: FrameDigest
    ack: Literal["relayed", "held"]
    at: int
    session: SessionId
    """The session of the other user that the frame is for."""
    call: CallId = NO_CALL


class Negotiation(msgspec.Struct, frozen=True, array_like=True):
    """Everything that is known of two users' negotiation."""

    established: bool = False
    offers: tuple[WaitingOffer, ...] = ()
    held: tuple[HeldCandidate, ...] = ()
    remembered: tuple[Remembered, ...] = ()
    pending: tuple[CallEffect, ...] = ()
    """What the last change means for others, until it is known to be carried out."""
    call: CallId = NO_CALL
    """The name of what is negotiated; empty: nothing is, or a process of 0.1.0 has changed it since."""
    over: tuple[CallId, ...] = ()
    """The last calls that have ended, the newest last."""
    sessions: tuple[tuple[UserId, SessionId], ...] = ()
    """Of which session of each of the two it is; empty: nothing is negotiated, or a process of 0.1.0 has
    changed it since."""
    course: Course | None = None
    """What has become of the call so far; None: there is none, or an older process has changed it since."""
    facts: tuple[CallFact, ...] = ()
    """What the stream of events is not known to have (`presence.rules.facts`)."""
    dropped: tuple[FrameDigest, ...] = ()
    """What lay apart, is wanted no more since the last change, and is not known to be taken out."""

    @property
    def is_active(self) -> bool:
        """Whether there is a negotiation to end."""
        return self.established or bool(self.offers)

    def offer_of(self, sender: UserId) -> WaitingOffer | None:
        """The waiting offer of one side."""
        return next((offer for offer in self.offers if offer.sender == sender), None)

    @property
    def kept_until(self) -> int:
        """Until when an offer is kept for a target who is not there; 0: none is."""
        return max((offer.kept_until for offer in self.offers), default=0)

    def waits_for(self, user: UserId) -> bool:
        """Whether an offer is kept for this one of the two, who is not there: it is of no session of that."""
        return any(offer.kept_until and offer.sender != user for offer in self.offers)

    @property
    def apart(self) -> frozenset[FrameDigest]:
        """What lies apart and is wanted yet: offers that are kept, or being sent, and candidates."""
        offers = [offer.digest for offer in self.offers if offer.kept_until]
        woken = [effect.digest for effect in self.pending if isinstance(effect, Woken)]
        return frozenset((*offers, *woken, *(held.digest for held in self.held if held.size_apart)))

    def session_of(self, user: UserId) -> SessionId:
        """Of which session of one of the two it is; empty: it does not say, or waits for the user."""
        return next((session for party, session in self.sessions if party == user), NO_SESSION)

    def memory_of(self, sender: UserId, digest: FrameDigest, now: int) -> Remembered | None:
        """What is remembered of a frame that may be a retry."""
        for known in self.remembered:
            if known.digest == digest and known.sender == sender and now - known.at < RETRY_MS:
                return known
        return None


NOTHING: Final = Negotiation()


def dropping(before: Iterable[Negotiation], after: Negotiation) -> Negotiation:
    """Note what lay apart before, in one step or another of a change, and is wanted no more after it."""
    wanted = after.apart
    gone = dict.fromkeys(digest for step in before for digest in step.apart if digest not in wanted)
    return (
        after
        if not gone and not after.dropped
        else msgspec.structs.replace(after, dropped=tuple(sorted(gone)))
    )
