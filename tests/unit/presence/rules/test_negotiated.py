"""What the record of a negotiation says of itself."""

import msgspec
import pytest

from presence.rules.negotiated import (
    NO_SESSION,
    NOTHING,
    RETRY_MS,
    HeldCandidate,
    Negotiation,
    WaitingOffer,
    apart,
    lies_apart,
)
from tests.unit.presence.rules.frames import ALICE, BOB, NOW, SESSIONS, established, named, waiting
from tieline.wire.ids import UserId


def test_what_stands_for_a_frame_names_it_and_no_frame_does() -> None:
    assert lies_apart(apart(named("candidate"))) == named("candidate")
    for frame in (None, b"", b"a frame", apart(named("candidate")) + b" "):
        assert lies_apart(frame) is None


def test_a_candidate_is_as_big_as_its_frame_wherever_that_lies() -> None:
    inline = HeldCandidate(ALICE, named("c"), b"frame", SESSIONS[BOB])
    elsewhere = HeldCandidate(ALICE, named("c"), apart(named("c")), SESSIONS[BOB], size_apart=9_000)
    assert (inline.size, elsewhere.size) == (5, 9_000)


def test_offers_of_two_moments_or_two_frames_have_two_timers() -> None:
    offers = [WaitingOffer(ALICE, named(frame), at) for frame in ("a", "b") for at in (NOW, NOW + 1)]
    assert len({offer.generation for offer in offers}) == len(offers)


@pytest.mark.parametrize("pair", [waiting(), established()], ids=["waiting", "established"])
def test_a_negotiation_is_of_the_sessions_in_which_it_began(pair: Negotiation) -> None:
    assert pair.is_active
    assert {user: pair.session_of(user) for user in (ALICE, BOB)} == SESSIONS
    assert pair.session_of(UserId("carol")) == NO_SESSION
    assert msgspec.structs.replace(pair, sessions=()).session_of(ALICE) == NO_SESSION


def test_nothing_is_of_nobody_and_waits_for_nobody() -> None:
    assert not NOTHING.is_active
    assert NOTHING.offer_of(ALICE) is None
    assert NOTHING.session_of(ALICE) == NO_SESSION


def test_a_frame_is_remembered_for_a_minute_by_its_sender() -> None:
    pair = waiting()
    assert pair.memory_of(ALICE, named("offer"), NOW + RETRY_MS - 1) is not None
    assert pair.memory_of(ALICE, named("offer"), NOW + RETRY_MS) is None
    assert pair.memory_of(BOB, named("offer"), NOW) is None
    assert pair.memory_of(ALICE, named("another"), NOW) is None
