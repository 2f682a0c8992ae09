"""What the record of a negotiation says of itself."""

import msgspec
import pytest

from presence.rules.effects import Woken
from presence.rules.negotiated import (
    NO_SESSION,
    NOTHING,
    RETRY_MS,
    HeldCandidate,
    Negotiation,
    WaitingOffer,
    apart,
    dropping,
    lies_apart,
)
from tests.unit.presence.rules.frames import ALICE, BOB, NOW, SESSIONS, established, named, waiting
from tieline.wire.ids import NO_CALL, UserId


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


def test_what_lay_apart_and_is_spoken_of_no_more_is_dropped() -> None:
    candidate = HeldCandidate(ALICE, named("c"), apart(named("c")), SESSIONS[BOB], size_apart=9_000)
    offer = WaitingOffer(ALICE, named("offer"), NOW, kept_until=NOW + 1)
    rung = Negotiation(offers=(offer,), held=(candidate,))
    woken = Negotiation(pending=(Woken(BOB, SESSIONS[BOB], ALICE, named("offer"), NO_CALL),))
    assert rung.apart == {named("offer"), named("c")}
    assert dropping((rung,), woken).dropped == (named("c"),)
    assert dropping((woken,), NOTHING).dropped == (named("offer"),)
    assert dropping((NOTHING,), msgspec.structs.replace(rung, dropped=(named("older"),))).dropped == ()
    assert dropping((), NOTHING) is NOTHING
