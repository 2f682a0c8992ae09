"""`presence.rules.granting`: whose candidates pass unasked when a call is answered."""

import msgspec
import pytest

from presence.rules.change import Change, Facts
from presence.rules.entitled import APART_MS
from presence.rules.granting import GRANT_S
from presence.rules.negotiated import Negotiation
from presence.rules.signals import Terms, check
from presence.rules.user import Grant, User, with_session
from tests.unit.presence.rules.frames import (
    ALICE,
    BOB,
    NOW,
    PEER,
    SESSIONS,
    established,
    hangs_up,
    named,
    waiting,
    went,
)
from tests.unit.presence.rules.people import online
from tieline.wire.ids import CallId, RoomId, UserId
from tieline.wire.internal.signals import Check, GrantBack, Relay

ANSWER, CANDIDATE = "WEBRTC_ANSWER", "WEBRTC_ICE_CANDIDATE"


def somebody(name: UserId, **fields: object) -> User:
    """Somebody online in the hall, whose gateway names its connection."""
    user = online(SESSIONS[name], (RoomId("hall"),))
    return with_session(user, msgspec.structs.replace(user.session, **{"is_named": True, **fields}))


def judged(cmd: str, pair: Negotiation, sender: UserId, frame: str, other: User) -> Relay:
    """Judge what one of the two says to the `other`."""
    users = {sender: somebody(sender), PEER[sender]: other}
    ask = Check(sender, SESSIONS[sender], PEER[sender], cmd, named(frame), b"")
    step = check(ask, Terms("hold", 60.0), pair, users, Facts(NOW))
    assert isinstance(step, Change)
    assert isinstance(step.reply, Relay)
    return step.reply


def test_with_an_answer_both_may_send_candidates_unasked() -> None:
    verdict = judged(ANSWER, waiting("c1"), BOB, "answer", somebody(ALICE))
    assert (verdict.grant_seconds, verdict.grant_held) == (GRANT_S, ())
    assert verdict.grant_back == GrantBack(
        SESSIONS[ALICE], somebody(ALICE).session.connection, (named("c1"),)
    )


def test_a_retried_answer_grants_the_same_in_its_own_call() -> None:
    first = judged(ANSWER, waiting("c1"), BOB, "answer", somebody(ALICE))
    again = judged(ANSWER, established("c1"), BOB, "answer", somebody(ALICE))
    assert again.grant_back == first.grant_back
    over = went(hangs_up(ALICE, "hangup", established())).negotiation
    for pair in (over, msgspec.structs.replace(established(), call=CallId("another"))):
        assert judged(ANSWER, pair, BOB, "answer", somebody(ALICE)).grant_back is None


def test_a_candidate_grants_its_sender_alone() -> None:
    verdict = judged(CANDIDATE, established(), ALICE, "c1", somebody(BOB))
    assert (verdict.grant_seconds, verdict.grant_back) == (GRANT_S, None)


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "away"},
        {"is_named": False},
        {"grant": Grant(NOW - APART_MS - 1, None)},
    ],
    ids=["away", "of an older gateway", "by a token that is over"],
)
def test_nothing_is_granted_to_whom_a_candidate_would_be_refused(fields: dict[str, object]) -> None:
    verdict = judged(ANSWER, waiting(), BOB, "answer", somebody(ALICE, **fields))
    assert (verdict.grant_seconds, verdict.grant_back) == (GRANT_S, None)


def test_a_token_that_is_not_over_grants() -> None:
    alice = somebody(ALICE, grant=Grant(NOW - APART_MS, None))
    assert judged(ANSWER, waiting(), BOB, "answer", alice).grant_back is not None
