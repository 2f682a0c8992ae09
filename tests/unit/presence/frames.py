"""Two users, and frames by name: what the tests of `negotiation` and `decide` talk about."""

from typing import Final

from presence.negotiation import (
    NOTHING,
    CandidatePolicy,
    Outgoing,
    Pair,
    Step,
    answer,
    candidate,
    hangup,
    offer,
)
from tieline.wire.codes import Refusal
from tieline.wire.ids import FrameDigest, UserId
from tieline.wire.internal import digest

ALICE, BOB = UserId("alice"), UserId("bob")
PEER: Final = {ALICE: BOB, BOB: ALICE}

NOW: Final = 1_700_000_000_000
"""When things begin, in Unix milliseconds."""


def named(frame: str) -> FrameDigest:
    """What tells the frame of this name from others."""
    return digest(frame.encode())


def to_alice(*frames: str | None) -> tuple[Outgoing, ...]:
    """Deliveries to Alice; None is the judged frame itself."""
    return tuple(Outgoing(ALICE, frame if frame is None else frame.encode()) for frame in frames)


def to_bob(*frames: str | None) -> tuple[Outgoing, ...]:
    """Deliveries to Bob; None is the judged frame itself."""
    return tuple(Outgoing(BOB, frame if frame is None else frame.encode()) for frame in frames)


def offers(sender: UserId, frame: str, pair: Pair = NOTHING, now: int = NOW) -> Step:
    """Let one of the two offer."""
    return offer(pair, sender, PEER[sender], named(frame), now)


def answers(sender: UserId, frame: str, pair: Pair, now: int = NOW) -> Step | Refusal:
    """Let one of the two answer."""
    return answer(pair, sender, PEER[sender], named(frame), now)


def trickles(
    sender: UserId, frame: str, pair: Pair, now: int = NOW, policy: CandidatePolicy = "hold"
) -> Step | Refusal:
    """Let one of the two send a candidate, whose bytes are its name."""
    return candidate(pair, sender, PEER[sender], named(frame), frame.encode(), now, policy)


def hangs_up(sender: UserId, frame: str, pair: Pair, now: int = NOW) -> Step | Refusal:
    """Let one of the two hang up."""
    return hangup(pair, sender, PEER[sender], named(frame), now)


def went(step: Step | Refusal) -> Step:
    """Find that a frame was not refused."""
    assert isinstance(step, Step), step
    return step


def waiting(*held: str, by: UserId = ALICE) -> Pair:
    """Alice's offer waits, and these candidates of one side are held."""
    pair = offers(ALICE, "offer").pair
    for frame in held:
        pair = went(trickles(by, frame, pair)).pair
    return pair


def established(*held: str, by: UserId = ALICE, now: int = NOW) -> Pair:
    """Bob has answered Alice's offer, which released these candidates of one side."""
    return went(answers(BOB, "answer", waiting(*held, by=by), now)).pair
