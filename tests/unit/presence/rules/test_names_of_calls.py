"""Calls have names: what is about one that is over changes nothing of the next one."""

import msgspec
import pytest

from presence.rules import negotiation
from presence.rules.change import Change, Facts
from presence.rules.effects import Happening
from presence.rules.negotiated import NOTHING, Negotiation
from presence.rules.negotiation import MAX_OVER, CandidatePolicy, end
from presence.rules.signals import Terms, check
from tests.unit.presence.rules.frames import (
    ALICE,
    BOB,
    CALL,
    NOW,
    PEER,
    SESSIONS,
    answers,
    established,
    hangs_up,
    named,
    offers,
    waiting,
    went,
)
from tests.unit.presence.rules.people import ended, online
from tieline.wire.ids import NO_CALL, CallId, RoomId, UserId
from tieline.wire.internal.answers import Refused
from tieline.wire.internal.signals import Check, Delivery, Relay
from tieline.wire.subjects import token

HALL = RoomId("hall")
IN_HALL = {name: online(SESSIONS[name], [HALL]) for name in (ALICE, BOB)}
UNKNOWN = CallId("0123456789abcdef")

COMMANDS = ("OFFER", "ANSWER", "ICE_CANDIDATE", "HANGUP")

every_command = pytest.mark.parametrize("cmd", COMMANDS)


class Line:
    """What the two say to each other, one message after the other."""

    def __init__(self, pair: Negotiation = NOTHING) -> None:
        self.pair = pair
        self.users = IN_HALL
        self.now = NOW
        self.policy: CandidatePolicy = "hold"
        self.said: list[Happening] = []

    def say(self, sender: UserId, cmd: str, frame: str, call: CallId = NO_CALL) -> Relay | Refused:
        """Let one of the two say something, maybe about a call that it names."""
        self.now += 100
        held = frame.encode() if cmd == "ICE_CANDIDATE" else b""
        ask = Check(sender, SESSIONS[sender], PEER[sender], f"WEBRTC_{cmd}", named(frame), held, call)
        step = check(ask, Terms(self.policy, 60.0), self.pair, self.users, Facts(self.now))
        assert isinstance(step, Change)
        self.pair = self.pair if step.record is None else step.record
        self.said = [said for said in step.said if isinstance(said, Happening)]
        assert isinstance(step.reply, Relay | Refused)
        return step.reply

    def passes(self, sender: UserId, cmd: str, frame: str, call: CallId = NO_CALL) -> Relay:
        """Find that it passes."""
        reply = self.say(sender, cmd, frame, call)
        assert isinstance(reply, Relay), reply
        return reply

    def is_refused(self, sender: UserId, cmd: str, frame: str, call: CallId = NO_CALL) -> tuple[str, str]:
        """Find that it is refused, and changes nothing; returns the reason and the fate."""
        before = self.pair
        reply = self.say(sender, cmd, frame, call)
        assert isinstance(reply, Refused), reply
        assert self.pair is before
        assert reply.call == before.call
        return reply.reason, reply.fate


def test_a_late_answer_to_the_call_before_is_not_taken_for_the_next() -> None:
    line = Line()
    first = line.passes(ALICE, "OFFER", "offer 1").call
    line.passes(ALICE, "HANGUP", "hangup 1", first)
    second = line.passes(ALICE, "OFFER", "offer 2").call
    assert line.is_refused(BOB, "ANSWER", "answer 1", first) == ("NO_MATCHING_OFFER", "replaced")
    assert line.pair.offer_of(ALICE) is not None
    assert line.passes(BOB, "ANSWER", "answer 2", second).call == second
    assert line.pair.established


def test_a_late_hangup_of_the_call_before_does_not_end_the_next() -> None:
    line = Line(established())
    line.passes(ALICE, "HANGUP", "hangup", CALL)
    second = line.passes(ALICE, "OFFER", "offer 2").call
    assert line.is_refused(BOB, "HANGUP", "late hangup", CALL) == ("NO_MATCHING_OFFER", "replaced")
    assert line.passes(BOB, "ANSWER", "answer 2", second).call == second


def test_who_names_nothing_is_taken_to_mean_the_call_there_is() -> None:
    line = Line()
    line.passes(ALICE, "OFFER", "offer 1")
    line.passes(ALICE, "HANGUP", "hangup 1")
    second = line.passes(ALICE, "OFFER", "offer 2").call
    assert line.passes(BOB, "ANSWER", "answer 1").call == second


def test_each_call_has_a_name_of_its_own() -> None:
    line = Line()
    names = []
    for number in range(3):
        names.append(line.passes(ALICE, "OFFER", f"offer {number}").call)
        line.passes(BOB, "HANGUP", f"hangup {number}")
    assert len(set(names)) == 3
    assert all(name and token(name) == name and len(name) == 16 for name in names)


def test_the_same_offer_to_another_session_begins_another_call() -> None:
    later = negotiation.offer(
        NOTHING, negotiation.Incoming(ALICE, BOB, SESSIONS[ALICE], named("offer"), NOW, SESSIONS[ALICE])
    )
    assert later.call != CALL
    assert offers(ALICE, "offer", now=NOW + 90_000).call != CALL


def test_a_retried_offer_has_the_same_name_also_after_the_end() -> None:
    line = Line()
    first = line.passes(ALICE, "OFFER", "offer").call
    assert line.passes(ALICE, "OFFER", "offer").call == first
    line.passes(BOB, "HANGUP", "hangup")
    assert line.passes(ALICE, "OFFER", "offer").call == first
    line.passes(ALICE, "OFFER", "offer 2")
    assert line.passes(ALICE, "OFFER", "offer").call == first
    assert line.passes(BOB, "HANGUP", "hangup").call == first


def test_all_messages_of_a_call_are_said_to_be_of_it() -> None:
    line = Line()
    call = line.passes(ALICE, "OFFER", "offer").call
    assert line.passes(BOB, "OFFER", "crossing offer").call == call
    assert line.passes(ALICE, "ICE_CANDIDATE", "c1", call) == Relay("held", (), call=call)
    assert line.passes(ALICE, "OFFER", "offer again").call == call
    answered = line.passes(BOB, "ANSWER", "answer", call)
    assert (answered.call, [each.call for each in answered.deliveries]) == (call, [NO_CALL, NO_CALL])
    assert line.passes(BOB, "OFFER", "renegotiation", call).call == call
    assert line.passes(ALICE, "ICE_CANDIDATE", "c2", call).call == call
    assert line.passes(ALICE, "HANGUP", "hangup", call).call == call
    assert line.pair.call == NO_CALL
    assert line.pair.over == (call,)


def test_candidates_keep_the_name_of_their_call_in_the_next_one() -> None:
    line = Line(established("c1"))
    line.passes(BOB, "HANGUP", "hangup")
    relay = line.passes(ALICE, "OFFER", "offer 2")
    own = Delivery(BOB, SESSIONS[BOB], None)
    assert relay.deliveries == (Delivery(BOB, SESSIONS[BOB], b"c1", CALL), own)


@every_command
def test_what_names_the_call_that_there_is_passes(cmd: str) -> None:
    sender = BOB if cmd == "ANSWER" else ALICE
    assert Line(waiting()).passes(sender, cmd, "frame", CALL).call == CALL


@every_command
def test_what_names_a_call_that_is_over_is_refused(cmd: str) -> None:
    for over in (
        end(waiting()),
        end(established()),
        went(hangs_up(BOB, "hangup", established())).negotiation,
    ):
        assert Line(over).is_refused(BOB, cmd, "late", CALL) == ("NO_MATCHING_OFFER", "ended")


@every_command
def test_what_names_another_call_than_there_is_is_refused(cmd: str) -> None:
    line = Line(end(established()))
    line.passes(ALICE, "OFFER", "offer 2")
    for other in (CALL, UNKNOWN):
        assert line.is_refused(BOB, cmd, "late", other) == ("NO_MATCHING_OFFER", "replaced")


def test_an_answer_to_what_is_answered_is_told_so() -> None:
    line = Line(established())
    assert line.is_refused(BOB, "ANSWER", "answer 2", CALL) == ("NO_MATCHING_OFFER", "answered")
    assert line.is_refused(BOB, "ANSWER", "answer 3") == ("NO_MATCHING_OFFER", "")
    assert Line(waiting()).is_refused(ALICE, "ANSWER", "answer", CALL) == ("NO_MATCHING_OFFER", "")


@pytest.mark.parametrize("cmd", ["ANSWER", "ICE_CANDIDATE", "HANGUP"])
def test_of_a_call_that_nobody_knows_nothing_but_an_offer_passes(cmd: str) -> None:
    assert Line().is_refused(ALICE, cmd, "frame", UNKNOWN) == ("NO_MATCHING_OFFER", "ended")
    begun = Line().passes(ALICE, "OFFER", "offer", UNKNOWN)
    assert begun.call not in (UNKNOWN, NO_CALL)


def test_the_last_calls_are_known_to_be_over_and_older_ones_forgotten() -> None:
    pair = NOTHING
    calls = []
    for number in range(MAX_OVER + 1):
        begun = offers(ALICE, f"offer {number}", pair)
        calls.append(begun.call)
        pair = end(begun.negotiation)
    assert pair.over == tuple(calls[1:])
    assert Line(pair).is_refused(ALICE, "OFFER", "late", calls[1]) == ("NO_MATCHING_OFFER", "ended")
    assert Line(pair).passes(ALICE, "OFFER", "later still", calls[0]).ack == "relayed"


def nameless(pair: Negotiation) -> Negotiation:
    """The same, as a process of 0.1.0 has written it."""
    return msgspec.structs.replace(pair, call=NO_CALL, over=())


@every_command
def test_a_call_that_an_older_process_changed_takes_any_name(cmd: str) -> None:
    sender = BOB if cmd == "ANSWER" else ALICE
    line = Line(nameless(waiting()))
    assert line.passes(sender, cmd, "frame", CALL).call == NO_CALL
    assert end(nameless(waiting())).over == ()


def test_a_name_counts_for_less_than_the_rules_before_it() -> None:
    line = Line(end(established()))
    line.users = {**IN_HALL, BOB: ended(IN_HALL[BOB])}
    assert line.is_refused(ALICE, "OFFER", "offer 2", CALL) == ("TARGET_OFFLINE", "")
    line.users = {**IN_HALL, BOB: online(SESSIONS[BOB])}
    assert line.is_refused(ALICE, "OFFER", "offer 2", CALL) == ("NOT_IN_SAME_ROOM", "")
    line.users = {**IN_HALL, ALICE: online(SESSIONS[ALICE], [HALL], voice=False)}
    assert line.is_refused(ALICE, "OFFER", "offer 2", CALL) == ("NO_VOICE_PERMISSION", "")


def test_a_retry_is_known_before_its_name_is_looked_at() -> None:
    line = Line(waiting())
    line.passes(BOB, "ANSWER", "answer", CALL)
    line.passes(BOB, "HANGUP", "hangup", CALL)
    line.passes(ALICE, "OFFER", "offer 2")
    assert line.passes(BOB, "ANSWER", "answer", CALL).call == CALL
    assert line.passes(BOB, "HANGUP", "hangup", CALL).call == CALL


def test_backends_hear_which_call_it_is() -> None:
    line = Line()
    for sender, cmd in ((ALICE, "OFFER"), (BOB, "ANSWER"), (ALICE, "HANGUP")):
        call = line.passes(sender, cmd, cmd).call
        assert [said.fact.call for said in line.said] == [call]
        line.passes(sender, cmd, cmd)
        assert [said.fact.call for said in line.said] == [call]


def test_an_answer_that_names_a_replaced_call_leaves_all_as_it_was() -> None:
    begun = offers(ALICE, "offer 2", end(waiting("c1"))).negotiation
    line = Line(begun)
    assert line.is_refused(BOB, "ANSWER", "answer", CALL) == ("NO_MATCHING_OFFER", "replaced")
    assert went(answers(BOB, "answer 2", line.pair)).negotiation.established
