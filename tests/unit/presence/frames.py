"""Two users, and frames by name: what the tests of `negotiation` and `decide` talk about."""

from typing import Final

import msgspec

from presence.negotiation import (
    ANY_SESSION,
    NOTHING,
    CandidatePolicy,
    Outgoing,
    Pair,
    Said,
    Step,
    answer,
    candidate,
    hangup,
    offer,
)
from tieline.wire.codes import ErrorCode
from tieline.wire.ids import FrameDigest, SessionId, UserId
from tieline.wire.internal import digest

ALICE, BOB = UserId("alice"), UserId("bob")
PEER: Final = {ALICE: BOB, BOB: ALICE}
SESSIONS: Final = {ALICE: SessionId("session of alice"), BOB: SessionId("session of bob")}

NOW: Final = 1_700_000_000_000
"""When things begin, in Unix milliseconds."""


def named(frame: str) -> FrameDigest:
    """What tells the frame of this name from others."""
    return digest(frame.encode())


def to_alice(*frames: str | None) -> tuple[Outgoing, ...]:
    """Deliveries to Alice; None is the judged frame itself."""
    return _to(ALICE, frames)


def to_bob(*frames: str | None) -> tuple[Outgoing, ...]:
    """Deliveries to Bob; None is the judged frame itself."""
    return _to(BOB, frames)


def _to(user: UserId, frames: tuple[str | None, ...]) -> tuple[Outgoing, ...]:
    session = SESSIONS[user]
    return tuple(Outgoing(user, session, frame if frame is None else frame.encode()) for frame in frames)


def said(sender: UserId, frame: str, now: int) -> Said:
    """Let one of the two say something to the other."""
    target = PEER[sender]
    return Said(sender, target, SESSIONS[target], named(frame), now)


def offers(sender: UserId, frame: str, pair: Pair = NOTHING, now: int = NOW) -> Step:
    """Let one of the two offer."""
    return offer(pair, said(sender, frame, now))


def answers(sender: UserId, frame: str, pair: Pair, now: int = NOW) -> Step | ErrorCode:
    """Let one of the two answer."""
    return answer(pair, said(sender, frame, now))


def trickles(
    sender: UserId, frame: str, pair: Pair, now: int = NOW, policy: CandidatePolicy = "hold"
) -> Step | ErrorCode:
    """Let one of the two send a candidate, whose bytes are its name."""
    return candidate(pair, said(sender, frame, now), frame.encode(), policy)


def hangs_up(sender: UserId, frame: str, pair: Pair, now: int = NOW) -> Step | ErrorCode:
    """Let one of the two hang up."""
    return hangup(pair, said(sender, frame, now))


def went(step: Step | ErrorCode) -> Step:
    """Find that a frame was not refused."""
    assert isinstance(step, Step), step
    return step


def without_sessions(pair: Pair) -> Pair:
    """Make of a pair what a process wrote that did not note which session a frame is for."""
    return msgspec.structs.replace(
        pair,
        held=tuple(msgspec.structs.replace(held, session=ANY_SESSION) for held in pair.held),
        remembered=tuple(msgspec.structs.replace(known, session=ANY_SESSION) for known in pair.remembered),
    )


def waiting(*held: str, by: UserId = ALICE) -> Pair:
    """Alice's offer waits, and these candidates of one side are held."""
    pair = offers(ALICE, "offer").pair
    for frame in held:
        pair = went(trickles(by, frame, pair)).pair
    return pair


def established(*held: str, by: UserId = ALICE, now: int = NOW) -> Pair:
    """Bob has answered Alice's offer, which released these candidates of one side."""
    return went(answers(BOB, "answer", waiting(*held, by=by), now)).pair
