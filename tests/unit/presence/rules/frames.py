"""Two users, and frames by name: what the tests of negotiations and signals talk about."""

from typing import Final

from presence.rules.negotiated import NOTHING, Negotiation
from presence.rules.negotiation import (
    CandidatePolicy,
    Incoming,
    Outcome,
    Outgoing,
    answer,
    candidate,
    hangup,
    info,
    offer,
)
from tieline.wire.codes import ErrorCode
from tieline.wire.digests import digest
from tieline.wire.ids import CallId, FrameDigest, SessionId, UserId

ALICE, BOB = UserId("alice"), UserId("bob")
PEER: Final = {ALICE: BOB, BOB: ALICE}
SESSIONS: Final = {ALICE: SessionId("session of alice"), BOB: SessionId("session of bob")}

NOW: Final = 1_700_000_000_000
"""When things begin, in Unix milliseconds."""


def named(frame: str) -> FrameDigest:
    """What tells the frame of this name from others."""
    return digest(frame.encode())


def to_alice(*frames: str | None, call: CallId | None = None) -> tuple[Outgoing, ...]:
    """Deliveries to Alice; None is the judged frame itself. They are of the first call unless said."""
    return _to(ALICE, frames, call)


def to_bob(*frames: str | None, call: CallId | None = None) -> tuple[Outgoing, ...]:
    """Deliveries to Bob; None is the judged frame itself. They are of the first call unless said."""
    return _to(BOB, frames, call)


def _to(user: UserId, frames: tuple[str | None, ...], call: CallId | None) -> tuple[Outgoing, ...]:
    session, of = SESSIONS[user], CALL if call is None else call
    return tuple(Outgoing(user, session, frame if frame is None else frame.encode(), of) for frame in frames)


def said(sender: UserId, frame: str, now: int) -> Incoming:
    """Let one of the two say something to the other."""
    target = PEER[sender]
    return Incoming(sender, target, SESSIONS[target], named(frame), now, SESSIONS[sender])


def offers(sender: UserId, frame: str, pair: Negotiation = NOTHING, now: int = NOW) -> Outcome:
    """Let one of the two offer."""
    return offer(pair, said(sender, frame, now))


CALL: Final = offers(ALICE, "offer").call
"""The call that Alice's offer begins."""


def answers(sender: UserId, frame: str, pair: Negotiation, now: int = NOW) -> Outcome | ErrorCode:
    """Let one of the two answer."""
    return answer(pair, said(sender, frame, now))


def trickles(
    sender: UserId, frame: str, pair: Negotiation, now: int = NOW, policy: CandidatePolicy = "hold"
) -> Outcome | ErrorCode:
    """Let one of the two send a candidate, whose bytes are its name."""
    return candidate(pair, said(sender, frame, now), frame.encode(), policy)


def hangs_up(sender: UserId, frame: str, pair: Negotiation, now: int = NOW) -> Outcome | ErrorCode:
    """Let one of the two hang up."""
    return hangup(pair, said(sender, frame, now))


def informs(sender: UserId, frame: str, pair: Negotiation, now: int = NOW) -> Outcome | ErrorCode:
    """Let one of the two say something of its end of the call."""
    return info(pair, said(sender, frame, now))


def went(step: Outcome | ErrorCode) -> Outcome:
    """Find that a frame was not refused."""
    assert isinstance(step, Outcome), step
    return step


def waiting(*held: str, by: UserId = ALICE) -> Negotiation:
    """Alice's offer waits, and these candidates of one side are held."""
    pair = offers(ALICE, "offer").negotiation
    for frame in held:
        pair = went(trickles(by, frame, pair)).negotiation
    return pair


def established(*held: str, by: UserId = ALICE, now: int = NOW) -> Negotiation:
    """Bob has answered Alice's offer, which released these candidates of one side."""
    return went(answers(BOB, "answer", waiting(*held, by=by), now)).negotiation
