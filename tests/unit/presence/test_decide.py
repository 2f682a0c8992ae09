"""Rules 2 to 7 of PROTOCOL, "The rules of the four WEBRTC commands": each, and that it precedes the next."""

import msgspec
import pytest

from presence import member, negotiation
from presence.decide import LEASE_S, Judgement, Situation, decide
from presence.member import User
from presence.negotiation import MAX_HELD, NOTHING, RETRY_MS, CandidatePolicy, Pair
from tests.unit.presence.frames import (
    ALICE,
    BOB,
    NOW,
    PEER,
    SESSIONS,
    established,
    hangs_up,
    named,
    offers,
    trickles,
    waiting,
    went,
    without_sessions,
)
from tieline.wire.codes import ErrorCode
from tieline.wire.ids import ConnectionId, GatewayId, RoomId, SecretHash, SessionId, UserId
from tieline.wire.internal import Check, Delivery, Refused, Relay, SessionGone

HALL, CELLAR = RoomId("hall"), RoomId("cellar")
OFFER, ANSWER, CANDIDATE, HANGUP = COMMANDS = (
    "WEBRTC_OFFER",
    "WEBRTC_ANSWER",
    "WEBRTC_ICE_CANDIDATE",
    "WEBRTC_HANGUP",
)

every_command = pytest.mark.parametrize("cmd", COMMANDS)


def user(name: UserId, *rooms: RoomId, voice: bool = True) -> User:
    """An online user in these rooms."""
    return User(
        SESSIONS[name],
        GatewayId("g"),
        ConnectionId("c"),
        SecretHash(b""),
        "online",
        voice,
        dict.fromkeys(rooms, NOW),
    )


IN_HALL = {name: user(name, HALL) for name in (ALICE, BOB)}


def judge(
    cmd: str,
    pair: Pair = NOTHING,
    sender: UserId = ALICE,
    frame: str = "frame",
    *,
    known: dict[UserId, User] | None = None,
    session: SessionId | None = None,
    now: int = NOW,
    policy: CandidatePolicy = "hold",
) -> Judgement:
    """Judge a frame of one of the two for the other, both in one room unless said otherwise."""
    users = IN_HALL if known is None else known
    body = frame.encode() if cmd == CANDIDATE else b""
    check = Check(sender, session or SESSIONS[sender], PEER[sender], cmd, named(frame), body)
    return decide(Situation(users.get(sender), users.get(PEER[sender]), pair), check, now, policy)


def refusal_of(judgement: Judgement) -> ErrorCode:
    """Find that it is refused, and that nothing is to be written for it."""
    assert isinstance(judgement.verdict, Refused)
    assert judgement == Judgement(judgement.verdict)
    return judgement.verdict.refusal


def relay_of(judgement: Judgement) -> Relay:
    """Find that it passes."""
    assert isinstance(judgement.verdict, Relay)
    return judgement.verdict


# The session that asks. -------------------------------------------------------------------------------


@every_command
@pytest.mark.parametrize(
    ("known", "replaced"),
    [
        ({BOB: user(BOB, HALL)}, False),
        ({ALICE: member.ended(user(ALICE, HALL)), BOB: user(BOB, HALL)}, False),
        ({ALICE: msgspec.structs.replace(user(ALICE, HALL), session=SessionId("newer"))}, True),
    ],
    ids=["unknown", "ended", "replaced"],
)
def test_a_session_that_is_not_the_live_one_is_told_so_whatever_it_asks(
    cmd: str, known: dict[UserId, User], replaced: bool
) -> None:
    assert judge(cmd, waiting(), known=known) == Judgement(SessionGone(replaced))


def test_a_session_that_is_not_the_live_one_gets_no_answer_to_a_retry_either() -> None:
    known = {ALICE: member.ended(user(ALICE, HALL)), BOB: user(BOB, HALL)}
    assert judge(OFFER, waiting(), frame="offer", known=known) == Judgement(SessionGone(False))


def test_a_session_that_is_away_still_speaks() -> None:
    known = {**IN_HALL, ALICE: member.away(user(ALICE, HALL))}
    assert relay_of(judge(OFFER, known=known)).ack == "relayed"


# Rule 2: one room. ------------------------------------------------------------------------------------


@every_command
@pytest.mark.parametrize(
    "bob",
    [None, user(BOB), user(BOB, CELLAR), member.ended(user(BOB, CELLAR))],
    ids=["unknown", "in no room", "in another room", "offline, was in another room"],
)
def test_without_a_room_in_common_nothing_passes_whatever_else_is_wrong(cmd: str, bob: User | None) -> None:
    mute = user(ALICE, HALL, voice=False)
    known = {ALICE: mute} if bob is None else {ALICE: mute, BOB: bob}
    assert refusal_of(judge(cmd, known=known)) is ErrorCode.NOT_IN_SAME_ROOM


@every_command
def test_who_left_the_room_of_an_established_pair_says_nothing_more_in_it(cmd: str) -> None:
    known = {**IN_HALL, BOB: user(BOB)}
    pair = offers(BOB, "offer 2", established()).pair
    assert refusal_of(judge(cmd, pair, known=known)) is ErrorCode.NOT_IN_SAME_ROOM


def test_one_room_of_several_in_common_is_enough() -> None:
    known = {ALICE: user(ALICE, HALL, CELLAR), BOB: user(BOB, CELLAR)}
    assert relay_of(judge(OFFER, known=known)).ack == "relayed"


# Rule 3: the permission to start voice. ---------------------------------------------------------------


def test_who_may_not_start_voice_may_not_offer_and_learns_nothing_about_the_target() -> None:
    known = {ALICE: user(ALICE, HALL, voice=False), BOB: member.ended(user(BOB, HALL))}
    assert refusal_of(judge(OFFER, known=known)) is ErrorCode.NO_VOICE_PERMISSION


def test_who_may_not_start_voice_may_not_renegotiate_either() -> None:
    known = {**IN_HALL, ALICE: user(ALICE, HALL, voice=False)}
    assert refusal_of(judge(OFFER, established(), known=known)) is ErrorCode.NO_VOICE_PERMISSION


def test_who_may_not_start_voice_may_answer_and_trickle_and_hang_up() -> None:
    known = {**IN_HALL, BOB: user(BOB, HALL, voice=False)}
    assert relay_of(judge(ANSWER, waiting(), BOB, known=known)).ack == "relayed"
    assert relay_of(judge(CANDIDATE, waiting(), BOB, known=known)).ack == "held"
    assert relay_of(judge(HANGUP, waiting(), BOB, known=known)).ack == "relayed"


def test_the_permission_of_the_target_is_not_asked_for() -> None:
    known = {**IN_HALL, BOB: user(BOB, HALL, voice=False)}
    assert relay_of(judge(OFFER, known=known)).ack == "relayed"


# Rule 4: the target is there. -------------------------------------------------------------------------


@every_command
def test_nothing_passes_to_who_is_offline_whatever_else_is_wrong(cmd: str) -> None:
    known = {**IN_HALL, BOB: member.ended(user(BOB, HALL))}
    assert refusal_of(judge(cmd, known=known)) is ErrorCode.TARGET_OFFLINE
    full = waiting(*(f"c{number}" for number in range(MAX_HELD)))
    assert refusal_of(judge(cmd, full, known=known)) is ErrorCode.TARGET_OFFLINE


def test_messages_pass_to_who_is_away() -> None:
    known = {**IN_HALL, BOB: member.away(user(BOB, HALL))}
    assert relay_of(judge(OFFER, known=known)).deliveries == (Delivery(BOB, SESSIONS[BOB], None),)


# Rules 5 to 7: the negotiation. -----------------------------------------------------------------------


@pytest.mark.parametrize("cmd", [ANSWER, CANDIDATE, HANGUP])
def test_without_an_offer_there_is_nothing_to_answer_nor_to_end(cmd: str) -> None:
    assert refusal_of(judge(cmd)) is ErrorCode.NO_MATCHING_OFFER


def test_an_offer_of_ones_own_cannot_be_answered() -> None:
    assert refusal_of(judge(ANSWER, waiting(), ALICE)) is ErrorCode.NO_MATCHING_OFFER


def test_more_candidates_than_may_be_held_are_refused() -> None:
    full = waiting(*(f"c{number}" for number in range(MAX_HELD)))
    assert refusal_of(judge(CANDIDATE, full)) is ErrorCode.TOO_MANY_CANDIDATES


def test_a_candidate_that_may_not_wait_is_refused_for_want_of_an_offer() -> None:
    assert refusal_of(judge(CANDIDATE, waiting(), policy="reject")) is ErrorCode.NO_MATCHING_OFFER


def test_a_command_that_nobody_knows_is_refused() -> None:
    assert refusal_of(judge("WEBRTC_DANCE")) is ErrorCode.UNKNOWN_COMMAND


def test_an_offer_passes_to_the_targets_session_and_its_timer_must_run() -> None:
    judgement = judge(OFFER, frame="offer")
    assert judgement.verdict == Relay("relayed", (Delivery(BOB, SESSIONS[BOB], None),))
    assert judgement.pair == waiting()
    assert judgement.waiting == waiting().offer_of(ALICE)


def test_an_answer_passes_with_what_it_releases_to_the_sessions_of_both() -> None:
    judgement = judge(ANSWER, waiting("c1"), BOB, "answer")
    deliveries = (Delivery(ALICE, SESSIONS[ALICE], None), Delivery(BOB, SESSIONS[BOB], b"c1"))
    assert judgement == Judgement(Relay("relayed", deliveries), established("c1"))


def test_a_held_candidate_is_written_and_delivered_to_nobody() -> None:
    assert judge(CANDIDATE, waiting(), frame="c1") == Judgement(Relay("held", ()), waiting("c1"))


def test_a_hangup_passes_and_ends_the_negotiation() -> None:
    judgement = judge(HANGUP, established())
    assert judgement.verdict == Relay("relayed", (Delivery(BOB, SESSIONS[BOB], None),))
    assert judgement.pair is not None
    assert not judgement.pair.is_active


# The lease. -------------------------------------------------------------------------------------------


def test_a_candidate_of_an_established_pair_passes_with_a_lease_and_nothing_is_written() -> None:
    deliveries = (Delivery(BOB, SESSIONS[BOB], None),)
    assert judge(CANDIDATE, established()) == Judgement(Relay("relayed", deliveries, LEASE_S, ()))


def test_the_lease_names_the_senders_candidates_that_were_held() -> None:
    pair = went(trickles(BOB, "b1", established("a1", "a2"))).pair
    verdict = relay_of(judge(CANDIDATE, pair, now=NOW + 20_000))
    assert verdict.lease_held == (named("a1"), named("a2"))


@pytest.mark.parametrize(
    ("cmd", "sender"), [(OFFER, ALICE), (ANSWER, ALICE), (HANGUP, ALICE)], ids=["offer", "answer", "hangup"]
)
def test_nothing_but_a_candidate_gets_a_lease(cmd: str, sender: UserId) -> None:
    pair = offers(BOB, "offer 2", established()).pair
    assert relay_of(judge(cmd, pair, sender)).lease_seconds == 0


def test_a_candidate_forwarded_before_the_answer_gets_no_lease() -> None:
    judgement = judge(CANDIDATE, waiting(), policy="forward")
    assert judgement == Judgement(Relay("relayed", (Delivery(BOB, SESSIONS[BOB], None),)))


def test_the_leased_and_the_established_are_two_things_a_held_retry_gets_no_lease() -> None:
    assert judge(CANDIDATE, established("c1"), frame="c1") == Judgement(Relay("held", ()))


# Retries. ---------------------------------------------------------------------------------------------


def test_a_retry_is_answered_before_any_rule_is_asked() -> None:
    mute = user(ALICE, HALL, voice=False)
    for known in (
        {ALICE: mute, BOB: user(BOB)},
        {ALICE: mute, BOB: user(BOB, HALL)},
    ):
        judgement = judge(OFFER, waiting(), frame="offer", known=known)
        assert relay_of(judgement).ack == "relayed"
        assert judgement.pair is None


@pytest.mark.parametrize("known", [{ALICE: IN_HALL[ALICE]}, {**IN_HALL, BOB: member.ended(IN_HALL[BOB])}])
def test_a_retry_for_who_is_gone_is_acknowledged_and_delivered_to_nobody(known: dict[UserId, User]) -> None:
    pair = waiting()
    assert judge(OFFER, pair, frame="offer", known=known) == Judgement(
        Relay("relayed", ()), waiting=pair.offer_of(ALICE)
    )


def test_a_retried_offer_that_waits_has_its_timer_set_again() -> None:
    judgement = judge(OFFER, waiting(), frame="offer")
    assert judgement.waiting == waiting().offer_of(ALICE)
    assert relay_of(judgement).deliveries == (Delivery(BOB, SESSIONS[BOB], None),)


@pytest.mark.parametrize(
    "pair", [established(), offers(ALICE, "offer 2", waiting()).pair], ids=["answered", "replaced"]
)
def test_a_retried_offer_that_waits_no_more_needs_no_timer(pair: Pair) -> None:
    assert judge(OFFER, pair, frame="offer").waiting is None


@pytest.mark.parametrize(
    ("newer", "delivered"),
    [
        (None, (Delivery(ALICE, SESSIONS[ALICE], None), Delivery(BOB, SESSIONS[BOB], b"c1"))),
        (ALICE, (Delivery(BOB, SESSIONS[BOB], b"c1"),)),
        (BOB, (Delivery(ALICE, SESSIONS[ALICE], None),)),
    ],
    ids=["both sessions live", "the target has a newer one", "the sender has a newer one"],
)
@pytest.mark.parametrize(
    "pair",
    [established("c1"), went(hangs_up(ALICE, "hangup", established("c1"))).pair],
    ids=["established", "over"],
)
def test_a_retried_answer_is_delivered_with_what_it_released_to_the_sessions_they_were_for(
    pair: Pair, newer: UserId | None, delivered: tuple[Delivery, ...]
) -> None:
    known = dict(IN_HALL)
    if newer is not None:
        known[newer] = msgspec.structs.replace(known[newer], session=SessionId("newer"))
    judgement = judge(ANSWER, pair, BOB, "answer", known=known, session=known[BOB].session)
    assert judgement == Judgement(Relay("relayed", delivered))


@pytest.mark.parametrize("cmd", [OFFER, HANGUP])
def test_what_a_sender_says_to_a_newer_session_brings_nothing_along_that_was_for_an_older_one(
    cmd: str,
) -> None:
    newer = SessionId("newer session of bob")
    known = {**IN_HALL, BOB: msgspec.structs.replace(IN_HALL[BOB], session=newer)}
    verdict = relay_of(judge(cmd, established("c1"), known=known))
    assert verdict.deliveries == (Delivery(BOB, newer, None),)


def test_what_was_remembered_without_a_session_is_delivered_to_the_one_that_lives() -> None:
    newer = SessionId("newer session of alice")
    known = {**IN_HALL, ALICE: msgspec.structs.replace(IN_HALL[ALICE], session=newer)}
    judgement = judge(ANSWER, without_sessions(established("c1")), BOB, "answer", known=known)
    deliveries = (Delivery(ALICE, newer, None), Delivery(BOB, SESSIONS[BOB], b"c1"))
    assert judgement == Judgement(Relay("relayed", deliveries))


def test_a_frame_of_more_than_a_minute_ago_is_judged_like_a_new_one() -> None:
    judgement = judge(OFFER, waiting(), frame="offer", now=NOW + RETRY_MS)
    assert judgement.pair is not None
    assert judgement.waiting is not None
    assert judgement.waiting.at == NOW + RETRY_MS


def test_a_refused_frame_is_not_remembered_and_may_be_tried_again() -> None:
    assert refusal_of(judge(ANSWER, NOTHING, BOB, "answer")) is ErrorCode.NO_MATCHING_OFFER
    assert relay_of(judge(ANSWER, waiting(), BOB, "answer")).ack == "relayed"


def test_after_the_servers_end_a_retry_is_acknowledged_and_a_new_frame_is_refused() -> None:
    over = negotiation.end(established("c1"), "session s-1")
    deliveries = (Delivery(ALICE, SESSIONS[ALICE], None), Delivery(BOB, SESSIONS[BOB], b"c1"))
    assert judge(ANSWER, over, BOB, "answer") == Judgement(Relay("relayed", deliveries))
    assert judge(CANDIDATE, over, ALICE, "c1") == Judgement(Relay("held", ()))
    assert refusal_of(judge(CANDIDATE, over, ALICE, "c2")) is ErrorCode.NO_MATCHING_OFFER
