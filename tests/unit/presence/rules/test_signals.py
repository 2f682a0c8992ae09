"""Rules 2 to 7 of docs/protocol.md#the-rules-of-the-four-webrtc-commands: each comes before the next."""

import msgspec
import pytest

from presence.rules import negotiation
from presence.rules.change import Change, Facts, Timer
from presence.rules.effects import Replaced
from presence.rules.granting import GRANT_S
from presence.rules.negotiated import NOTHING, RETRY_MS, Negotiation, WaitingOffer
from presence.rules.negotiation import MAX_HELD, CandidatePolicy
from presence.rules.signals import MOST_ROOMS, Terms, check
from presence.rules.user import User, with_session
from tests.unit.presence.rules.frames import (
    ALICE,
    BOB,
    CALL,
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
)
from tests.unit.presence.rules.people import away, ended, followed, online
from tieline.wire.codes import ErrorCode
from tieline.wire.ids import CallId, ConnectionId, FrameDigest, RoomId, SessionId, UserId
from tieline.wire.internal.answers import Refused, SessionGone
from tieline.wire.internal.signals import Check, Delivery, Relay
from tieline.wire.subjects import Keys

HALL, CELLAR = RoomId("hall"), RoomId("cellar")
OFFER, ANSWER, CANDIDATE, HANGUP = COMMANDS = (
    "WEBRTC_OFFER",
    "WEBRTC_ANSWER",
    "WEBRTC_ICE_CANDIDATE",
    "WEBRTC_HANGUP",
)

TIMEOUT_S = 60.0

Judged = Change[Negotiation]

every_command = pytest.mark.parametrize("cmd", COMMANDS)


def user(name: UserId, *rooms: RoomId, voice: bool = True) -> User:
    """An online user in these rooms."""
    return online(SESSIONS[name], rooms, voice=voice)


def in_hall(pair: Negotiation) -> Negotiation:
    """Of the call that has begun is known that both are in the hall."""
    assert pair.course is not None
    return msgspec.structs.replace(pair, course=msgspec.structs.replace(pair.course, rooms=(HALL,)))


IN_HALL = {name: user(name, HALL) for name in (ALICE, BOB)}


def judge(
    cmd: str,
    pair: Negotiation = NOTHING,
    sender: UserId = ALICE,
    frame: str = "frame",
    *,
    known: dict[UserId, User] | None = None,
    session: SessionId | None = None,
    now: int = NOW,
    policy: CandidatePolicy = "hold",
    carried: tuple[tuple[UserId, FrameDigest], ...] = (),
) -> Change[Negotiation]:
    """Judge a frame of one of the two for the other, both in one room unless said otherwise."""
    users = IN_HALL if known is None else known
    body = frame.encode() if cmd == CANDIDATE else b""
    ask = Check(sender, session or SESSIONS[sender], PEER[sender], cmd, named(frame), body, carried=carried)
    step = check(ask, Terms(policy, TIMEOUT_S), pair, users, Facts(now))
    return followed(step, pair, users, Facts(now))[0]


def bare(judgement: Change[Negotiation]) -> Change[Negotiation]:
    """Leave out what backends and routers are told, and the second look."""
    return msgspec.structs.replace(judgement, said=(), then=None, look_again=None)


def timer_for(offer: WaitingOffer | None, left_s: float = TIMEOUT_S) -> Timer:
    """The timer of an offer of Alice's."""
    assert offer is not None
    return Timer(Keys.offer_timer(ALICE, BOB, offer.generation), left_s)


def refusal_of(judgement: Change[Negotiation]) -> ErrorCode:
    """Find that it is refused, and that nothing is to be written for it."""
    assert isinstance(judgement.reply, Refused)
    assert judgement == Judged(judgement.reply)
    return judgement.reply.refusal


def relay_of(judgement: Change[Negotiation]) -> Relay:
    """Find that it passes."""
    assert isinstance(judgement.reply, Relay)
    return judgement.reply


@every_command
@pytest.mark.parametrize(
    ("known", "replaced"),
    [
        ({BOB: user(BOB, HALL)}, False),
        ({ALICE: ended(user(ALICE, HALL)), BOB: user(BOB, HALL)}, False),
        ({ALICE: online(SessionId("newer"), [HALL])}, True),
    ],
    ids=["unknown", "ended", "replaced"],
)
def test_a_session_that_is_gone_is_told_so_whatever_it_sends(
    cmd: str, known: dict[UserId, User], replaced: bool
) -> None:
    assert judge(cmd, waiting(), known=known) == Judged(SessionGone(replaced))


def test_a_session_that_is_gone_gets_no_answer_to_a_retry_either() -> None:
    known = {ALICE: ended(user(ALICE, HALL)), BOB: user(BOB, HALL)}
    assert judge(OFFER, waiting(), frame="offer", known=known) == Judged(SessionGone(False))


def test_the_frames_of_a_session_that_is_away_still_pass() -> None:
    known = {**IN_HALL, ALICE: away(user(ALICE, HALL))}
    assert relay_of(judge(OFFER, known=known)).ack == "relayed"


@every_command
@pytest.mark.parametrize(
    "bob",
    [None, user(BOB), user(BOB, CELLAR), ended(user(BOB, CELLAR))],
    ids=["unknown", "in no room", "in another room", "offline, was in another room"],
)
def test_without_a_room_in_common_nothing_passes(cmd: str, bob: User | None) -> None:
    mute = user(ALICE, HALL, voice=False)
    known = {ALICE: mute} if bob is None else {ALICE: mute, BOB: bob}
    assert refusal_of(judge(cmd, known=known)) is ErrorCode.NOT_IN_SAME_ROOM


@every_command
def test_a_user_who_left_the_room_sends_nothing_more_in_the_call(cmd: str) -> None:
    known = {**IN_HALL, BOB: user(BOB)}
    pair = offers(BOB, "offer 2", established()).negotiation
    assert refusal_of(judge(cmd, pair, known=known)) is ErrorCode.NOT_IN_SAME_ROOM


def test_one_room_of_several_in_common_is_enough() -> None:
    known = {ALICE: user(ALICE, HALL, CELLAR), BOB: user(BOB, CELLAR)}
    assert relay_of(judge(OFFER, known=known)).ack == "relayed"


def test_without_the_right_to_offer_nothing_is_learnt_of_the_target() -> None:
    known = {ALICE: user(ALICE, HALL, voice=False), BOB: ended(user(BOB, HALL))}
    assert refusal_of(judge(OFFER, known=known)) is ErrorCode.NO_VOICE_PERMISSION


def test_without_the_right_to_offer_none_may_be_renewed() -> None:
    known = {**IN_HALL, ALICE: user(ALICE, HALL, voice=False)}
    assert refusal_of(judge(OFFER, established(), known=known)) is ErrorCode.NO_VOICE_PERMISSION


def test_without_the_right_to_offer_all_else_may_be_sent() -> None:
    known = {**IN_HALL, BOB: user(BOB, HALL, voice=False)}
    assert relay_of(judge(ANSWER, waiting(), BOB, known=known)).ack == "relayed"
    assert relay_of(judge(CANDIDATE, waiting(), BOB, known=known)).ack == "held"
    assert relay_of(judge(HANGUP, waiting(), BOB, known=known)).ack == "relayed"


def test_the_permission_of_the_target_is_not_asked_for() -> None:
    known = {**IN_HALL, BOB: user(BOB, HALL, voice=False)}
    assert relay_of(judge(OFFER, known=known)).ack == "relayed"


@every_command
def test_nothing_passes_to_a_user_who_is_offline(cmd: str) -> None:
    known = {**IN_HALL, BOB: ended(user(BOB, HALL))}
    assert refusal_of(judge(cmd, known=known)) is ErrorCode.TARGET_OFFLINE
    full = waiting(*(f"c{number}" for number in range(MAX_HELD)))
    assert refusal_of(judge(cmd, full, known=known)) is ErrorCode.TARGET_OFFLINE


def test_messages_pass_to_a_session_that_is_away() -> None:
    known = {**IN_HALL, BOB: away(user(BOB, HALL))}
    assert relay_of(judge(OFFER, known=known)).deliveries == (Delivery(BOB, SESSIONS[BOB], None),)


@pytest.mark.parametrize("cmd", [ANSWER, CANDIDATE, HANGUP])
def test_without_an_offer_there_is_nothing_to_answer_nor_to_end(cmd: str) -> None:
    assert refusal_of(judge(cmd)) is ErrorCode.NO_MATCHING_OFFER


def test_an_offer_of_ones_own_cannot_be_answered() -> None:
    assert refusal_of(judge(ANSWER, waiting(), ALICE)) is ErrorCode.NO_MATCHING_OFFER


def test_more_candidates_than_may_be_held_are_refused() -> None:
    full = waiting(*(f"c{number}" for number in range(MAX_HELD)))
    assert refusal_of(judge(CANDIDATE, full)) is ErrorCode.TOO_MANY_CANDIDATES


def test_a_rejected_candidate_is_refused_for_want_of_an_offer() -> None:
    assert refusal_of(judge(CANDIDATE, waiting(), policy="reject")) is ErrorCode.NO_MATCHING_OFFER


def test_a_command_that_nobody_knows_is_refused() -> None:
    assert refusal_of(judge("WEBRTC_DANCE")) is ErrorCode.UNKNOWN_COMMAND


def test_an_offer_passes_to_the_session_of_its_target_with_a_timer() -> None:
    judgement = judge(OFFER, frame="offer")
    deliveries = (Delivery(BOB, SESSIONS[BOB], None),)
    assert judgement.reply == Relay("relayed", deliveries, call=CALL, target="online")
    assert judgement.record == in_hall(waiting())
    assert judgement.timer == timer_for(waiting().offer_of(ALICE))


def test_an_answer_passes_with_what_it_releases_for_both() -> None:
    judgement = judge(ANSWER, waiting("c1"), BOB, "answer")
    deliveries = (Delivery(ALICE, SESSIONS[ALICE], None), Delivery(BOB, SESSIONS[BOB], b"c1"))
    releases = ((BOB, named("answer")),)
    assert bare(judgement) == Judged(
        Relay("relayed", deliveries, GRANT_S, call=CALL, releases=releases), established("c1")
    )


def test_what_the_mailbox_has_of_an_answer_is_left_out() -> None:
    own = (Delivery(ALICE, SESSIONS[ALICE], None),)
    for carried, left in (((BOB, named("answer")), ()), ((ALICE, named("answer")), (b"c1",))):
        again = relay_of(judge(ANSWER, established("c1"), BOB, "answer", carried=(carried,)))
        assert again.deliveries == (*own, *(Delivery(BOB, SESSIONS[BOB], frame) for frame in left))
        assert again.releases == tuple((BOB, named("answer")) for _ in left)


def test_what_the_mailbox_has_does_not_precede_the_next_frame() -> None:
    own = (Delivery(BOB, SESSIONS[BOB], None),)
    for cmd in (OFFER, CANDIDATE, HANGUP):
        before = relay_of(judge(cmd, established("c1"), ALICE, "next"))
        assert before.deliveries == (Delivery(BOB, SESSIONS[BOB], b"c1"), *own)
        after = relay_of(judge(cmd, established("c1"), ALICE, "next", carried=before.releases))
        assert after.deliveries == own


def test_a_held_candidate_is_written_and_delivered_to_nobody() -> None:
    assert judge(CANDIDATE, waiting(), frame="c1") == Judged(Relay("held", (), call=CALL), waiting("c1"))


def test_a_hangup_passes_and_ends_the_negotiation() -> None:
    judgement = judge(HANGUP, established())
    assert judgement.reply == Relay("relayed", (Delivery(BOB, SESSIONS[BOB], None),), call=CALL)
    assert judgement.record is not None
    assert not judgement.record.is_active


def test_a_candidate_in_a_call_passes_unrecorded_with_a_grant() -> None:
    deliveries = (Delivery(BOB, SESSIONS[BOB], None),)
    assert judge(CANDIDATE, established()) == Judged(Relay("relayed", deliveries, GRANT_S, (), CALL))


def test_the_grant_names_the_senders_candidates_that_were_held() -> None:
    pair = went(trickles(BOB, "b1", established("a1", "a2"))).negotiation
    verdict = relay_of(judge(CANDIDATE, pair, now=NOW + 20_000))
    assert verdict.grant_held == (named("a1"), named("a2"))


@pytest.mark.parametrize(("cmd", "sender"), [(OFFER, ALICE), (HANGUP, ALICE)], ids=["offer", "hangup"])
def test_nothing_but_a_candidate_or_an_answer_gets_a_grant(cmd: str, sender: UserId) -> None:
    pair = offers(BOB, "offer 2", established()).negotiation
    assert relay_of(judge(cmd, pair, sender)).grant_seconds == 0


def test_who_answers_may_send_candidates_unasked() -> None:
    pair = went(trickles(BOB, "b1", waiting())).negotiation
    verdict = relay_of(judge(ANSWER, pair, BOB, "answer"))
    assert (verdict.grant_seconds, verdict.grant_held) == (GRANT_S, (named("b1"),))


def test_a_retried_answer_grants_nothing_once_the_call_is_another_one() -> None:
    over = went(hangs_up(ALICE, "hangup", established())).negotiation
    again = msgspec.structs.replace(established(), remembered=over.remembered, call=CallId("another"))
    for pair in (over, again):
        assert relay_of(judge(ANSWER, pair, BOB, "answer")).grant_seconds == 0


def test_a_candidate_forwarded_before_the_answer_gets_no_grant() -> None:
    judgement = judge(CANDIDATE, waiting(), policy="forward")
    assert judgement == Judged(Relay("relayed", (Delivery(BOB, SESSIONS[BOB], None),), call=CALL))


def test_a_retry_of_a_held_candidate_gets_no_grant() -> None:
    assert judge(CANDIDATE, established("c1"), frame="c1") == Judged(Relay("held", (), call=CALL))


def test_a_retry_is_answered_before_any_rule_is_asked() -> None:
    mute = user(ALICE, HALL, voice=False)
    for known in (
        {ALICE: mute, BOB: user(BOB)},
        {ALICE: mute, BOB: user(BOB, HALL)},
    ):
        judgement = judge(OFFER, waiting(), frame="offer", known=known)
        assert relay_of(judgement).ack == "relayed"
        assert judgement.record is None


@pytest.mark.parametrize("known", [{ALICE: IN_HALL[ALICE]}, {**IN_HALL, BOB: ended(IN_HALL[BOB])}])
def test_a_retry_to_a_user_who_is_gone_is_delivered_to_nobody(known: dict[UserId, User]) -> None:
    pair = waiting()
    assert bare(judge(OFFER, pair, frame="offer", known=known)) == Judged(
        Relay("relayed", (), call=CALL), timer=timer_for(pair.offer_of(ALICE))
    )


def test_a_retried_offer_that_waits_has_its_timer_set_again() -> None:
    judgement = judge(OFFER, waiting(), frame="offer")
    assert judgement.timer == timer_for(waiting().offer_of(ALICE))
    assert relay_of(judgement).deliveries == (Delivery(BOB, SESSIONS[BOB], None),)


@pytest.mark.parametrize(
    "pair", [established(), offers(ALICE, "offer 2", waiting()).negotiation], ids=["answered", "replaced"]
)
def test_a_retried_offer_that_waits_no_more_needs_no_timer(pair: Negotiation) -> None:
    assert judge(OFFER, pair, frame="offer").timer is None


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
    [established("c1"), went(hangs_up(ALICE, "hangup", established("c1"))).negotiation],
    ids=["established", "over"],
)
def test_a_retried_answer_goes_to_the_sessions_that_it_was_for(
    pair: Negotiation, newer: UserId | None, delivered: tuple[Delivery, ...]
) -> None:
    known = dict(IN_HALL)
    if newer is not None:
        known[newer] = online(SessionId("newer"), [HALL])
    judgement = judge(ANSWER, pair, BOB, "answer", known=known, session=known[BOB].session.id)
    releases = tuple((each.user, named("answer")) for each in delivered if each.frame is not None)
    granted = GRANT_S if newer is None and pair.established else 0
    assert bare(judgement) == Judged(Relay("relayed", delivered, granted, call=CALL, releases=releases))


@pytest.mark.parametrize("cmd", [OFFER, HANGUP])
def test_a_newer_session_gets_nothing_that_was_for_an_older_one(
    cmd: str,
) -> None:
    newer = SessionId("newer session of bob")
    known = {**IN_HALL, BOB: online(newer, [HALL])}
    if cmd == HANGUP:
        assert refusal_of(judge(cmd, established("c1"), known=known)) is ErrorCode.NO_MATCHING_OFFER
        return
    verdict = relay_of(judge(cmd, established("c1"), known=known))
    assert verdict.deliveries == (Delivery(BOB, newer, None),)


def test_a_frame_of_more_than_a_minute_ago_is_judged_like_a_new_one() -> None:
    judgement = judge(OFFER, waiting(), frame="offer", now=NOW + RETRY_MS)
    assert judgement.record is not None
    assert judgement.timer == timer_for(judgement.record.offer_of(ALICE))
    assert judgement.record.offers[-1].at == NOW + RETRY_MS


def test_a_refused_frame_is_not_remembered_and_may_be_tried_again() -> None:
    assert refusal_of(judge(ANSWER, NOTHING, BOB, "answer")) is ErrorCode.NO_MATCHING_OFFER
    assert relay_of(judge(ANSWER, waiting(), BOB, "answer")).ack == "relayed"


def test_after_the_servers_end_a_retry_passes_but_no_new_frame() -> None:
    over = negotiation.end(established("c1"))
    deliveries = (Delivery(ALICE, SESSIONS[ALICE], None), Delivery(BOB, SESSIONS[BOB], b"c1"))
    releases = ((BOB, named("answer")),)
    again = Relay("relayed", deliveries, call=CALL, releases=releases)
    assert bare(judge(ANSWER, over, BOB, "answer")) == Judged(again)
    assert judge(CANDIDATE, over, ALICE, "c1") == Judged(Relay("held", (), call=CALL))
    assert refusal_of(judge(CANDIDATE, over, ALICE, "c2")) is ErrorCode.NO_MATCHING_OFFER


def offer_to(bob: User, pair: Negotiation, frame: str) -> Change[Negotiation]:
    """Let Alice offer to Bob as he is."""
    return judge(OFFER, pair, frame=frame, known={**IN_HALL, BOB: bob})


def replaced_by(judgement: Change[Negotiation]) -> list[Replaced]:
    """List what is taken out of the mailbox for it."""
    return [said for said in judgement.said if isinstance(said, Replaced)]


def pair_after(judgement: Change[Negotiation]) -> Negotiation:
    """Find what the two negotiate then."""
    assert judgement.record is not None
    return judgement.record


def test_an_offer_to_one_who_is_away_replaces_the_one_before() -> None:
    gone = away(IN_HALL[BOB])
    first = offer_to(gone, NOTHING, "offer 1")
    second = offer_to(gone, pair_after(first), "offer 2")
    third = offer_to(gone, pair_after(second), "offer 3")
    assert replaced_by(first) == []
    assert replaced_by(second) == [Replaced(BOB, named("offer 1"), named("offer 2"))]
    assert replaced_by(third) == [Replaced(BOB, named("offer 2"), named("offer 3"))]


def test_an_offer_that_may_have_been_had_stays_in_the_mailbox() -> None:
    here, gone = IN_HALL[BOB], away(IN_HALL[BOB])
    again = with_session(gone, msgspec.structs.replace(gone.session, connection=ConnectionId("a later one")))
    for before, now in ((here, here), (here, gone), (gone, here), (gone, again)):
        pair = pair_after(offer_to(before, NOTHING, "offer 1"))
        assert replaced_by(offer_to(now, pair, "offer 2")) == []


def test_an_offer_that_is_made_once_more_stays_in_the_mailbox() -> None:
    gone = away(IN_HALL[BOB])
    pair = pair_after(offer_to(gone, NOTHING, "offer"))
    judgement = judge(OFFER, pair, frame="offer", known={**IN_HALL, BOB: gone}, now=NOW + RETRY_MS)
    assert judgement.record is not None
    assert replaced_by(judgement) == []


def test_a_retry_takes_nothing_out_of_the_mailbox() -> None:
    gone = away(IN_HALL[BOB])
    first = pair_after(offer_to(gone, NOTHING, "offer 1"))
    second = pair_after(offer_to(gone, first, "offer 2"))
    for frame in ("offer 1", "offer 2"):
        assert replaced_by(offer_to(gone, second, frame)) == []


def test_a_call_is_in_the_rooms_that_the_two_share_when_it_begins() -> None:
    many = [RoomId(f"room {number}") for number in range(MOST_ROOMS)]
    known = {ALICE: user(ALICE, HALL, CELLAR, *many), BOB: user(BOB, *many, HALL, RoomId("other"))}
    begun = judge(OFFER, known=known).record
    assert begun is not None
    assert begun.course is not None
    assert begun.course.rooms == (HALL, *many[: MOST_ROOMS - 1])
    again = judge(
        OFFER, begun, BOB, "glare", known={name: user(name, CELLAR) for name in (ALICE, BOB)}
    ).record
    assert again is not None
    assert again.course == begun.course
