"""What the ends of a call say of themselves, and what a caller hears of whom it calls."""

import msgspec
import pytest

from presence.rules.change import Change
from presence.rules.negotiated import NOTHING, Negotiation
from presence.rules.user import User, with_session
from tests.unit.presence.rules.frames import ALICE, BOB, SESSIONS, established, waiting
from tests.unit.presence.rules.people import away
from tests.unit.presence.rules.test_signals import (
    HALL,
    IN_HALL,
    OFFER,
    Judged,
    judge,
    refusal_of,
    relay_of,
    user,
)
from tieline.wire.codes import ErrorCode
from tieline.wire.ids import UserId
from tieline.wire.internal.signals import Delivery, Relay

INFO = "WEBRTC_INFO"


def telling(name: UserId) -> User:
    """A user whose client says when it rings."""
    one = user(name, HALL)
    return with_session(one, msgspec.structs.replace(one.session, tells=True))


BOTH_TELL = {name: telling(name) for name in (ALICE, BOB)}


def with_course_of(pair: Negotiation, judgement: Change[Negotiation]) -> Negotiation | None:
    """What is stored if nothing changes but for when it rang, which is told backends; None: nothing does."""
    if judgement.record is None:
        return None
    return msgspec.structs.replace(pair, course=judgement.record.course)


@pytest.mark.parametrize("sender", [ALICE, BOB])
@pytest.mark.parametrize("pair", [waiting(), established()], ids=["waiting", "established"])
def test_what_an_end_says_of_itself_passes_and_changes_nothing(pair: Negotiation, sender: UserId) -> None:
    peer = BOB if sender == ALICE else ALICE
    judgement = judge(INFO, pair, sender, known=BOTH_TELL)
    assert relay_of(judgement).deliveries == (Delivery(peer, SESSIONS[peer], None),)
    assert judgement == Judged(relay_of(judgement), with_course_of(pair, judgement))
    is_ringing = sender == BOB and not pair.established
    assert (judgement.record is not None) is is_ringing


def test_who_has_no_call_has_nothing_to_say_of_it() -> None:
    assert refusal_of(judge(INFO, NOTHING, BOB, known=BOTH_TELL)) is ErrorCode.NO_MATCHING_OFFER


def test_a_client_of_version_one_is_sent_no_words() -> None:
    pair = waiting()
    judgement = judge(INFO, pair, BOB, known=IN_HALL | {BOB: telling(BOB)})
    relay = Relay("relayed", (), call=relay_of(judgement).call)
    assert judgement == Judged(relay, with_course_of(pair, judgement))


@pytest.mark.parametrize("bob", [user(BOB, HALL), telling(BOB)], ids=["silent", "telling"])
@pytest.mark.parametrize("is_away", [False, True])
def test_a_caller_hears_how_it_is_with_whom_it_calls(bob: User, is_away: bool) -> None:
    called = away(bob) if is_away else bob
    relay = relay_of(judge(OFFER, known=IN_HALL | {BOB: called}))
    assert (relay.target, relay.tells) == ("away" if is_away else "online", bob.session.tells)


def test_only_an_offer_is_told_of_its_target() -> None:
    relay = relay_of(judge("WEBRTC_ANSWER", waiting(), BOB, known=BOTH_TELL))
    assert (relay.target, relay.tells) == ("", False)
