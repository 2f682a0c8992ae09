"""An offer to a member who is not connected is kept, and is there when that user comes in time."""

import functools

import msgspec
import pytest

from presence.rules import waking
from presence.rules.change import Await, Change, Facts
from presence.rules.negotiated import NOTHING, Negotiation
from presence.rules.signals import KEPT_APART_S
from presence.rules.waking import MOST_AWAITED, MOST_CALLERS
from presence.store import StoreUnavailable
from tests.unit.presence.fake_outbox import FakeOutbox
from tests.unit.presence.lifetime import BusyStore
from tests.unit.presence.presence_process import OFFER_TIMEOUT_S, PresenceProcess, refusal_in
from tests.unit.presence.requests import opening
from tests.unit.presence.rules.frames import NOW, named
from tests.unit.presence.waking_process import (
    ALICE,
    BOB,
    CAROL,
    CELLAR,
    HALL,
    WINDOW_S,
    comes,
    delivered,
    given,
    kept,
    kinds,
    sent_to,
    time_passes,
    with_alice,
)
from tieline.wire.ids import UserId
from tieline.wire.internal.answers import Refused
from tieline.wire.internal.backend import Ban, CloseRoom, EndCall, RemoveMember, SetVoice
from tieline.wire.internal.directions import BackendOrder
from tieline.wire.internal.signals import Relay, Verdicts
from tieline.wire.subjects import Keys


async def index_of(process: PresenceProcess, user: UserId) -> tuple[UserId, ...]:
    return await process.kept.callers(user)


async def test_an_offer_is_kept_and_there_when_its_target_comes() -> None:
    process = await with_alice()
    relay = await kept(process)
    assert relay.kept_s == WINDOW_S
    assert sent_to(process, "bob") == []
    await comes(process)
    assert sent_to(process, "bob") == ["offer"]
    assert sent_to(process, "alice") == []
    pair = await process.pair("alice", "bob")
    assert (pair.call, pair.session_of(BOB), pair.kept_until) == (relay.call, "bob-s1", 0)


async def test_its_candidates_are_held_and_released_by_the_answer() -> None:
    process = await with_alice()
    await kept(process)
    for frame in ("c1", "c2"):
        reply = await process.signal("alice", "bob", "ICE_CANDIDATE", frame)
        assert isinstance(reply, Relay)
        assert (reply.ack, reply.deliveries) == ("held", ())
    await comes(process)
    assert sent_to(process, "bob") == ["offer"]
    answer = await process.signal("bob", "alice", "ANSWER", "answer")
    assert delivered(answer) == ["alice-s1: own", "bob-s1: c1", "bob-s1: c2"]


async def test_candidates_that_come_with_it_are_held_behind_it() -> None:
    process = await with_alice()
    check = await process.check("alice", "bob", "OFFER", "offer")
    check = msgspec.structs.replace(check, sends_frame=True, then=(b"c1", b"c2"))
    assert await process.ask(check) == Refused("TARGET_OFFLINE", wants_frame=True)
    assert (await process.pair("alice", "bob")) == NOTHING
    reply = await process.ask(msgspec.structs.replace(check, frame=b"offer"))
    assert isinstance(reply, Verdicts)
    assert [each.ack for each in reply.verdicts if isinstance(each, Relay)] == ["held"] * 3
    await comes(process)
    answer = await process.signal("bob", "alice", "ANSWER", "answer")
    assert delivered(answer) == ["alice-s1: own", "bob-s1: c1", "bob-s1: c2"]


async def test_without_a_window_it_is_refused_as_the_api_document_has_it() -> None:
    process = await with_alice(window_s=0.0)
    assert refusal_in(await process.rings("alice", "bob", "offer")) == "NOT_IN_SAME_ROOM"
    await comes(process)
    await process.end("bob")
    assert refusal_in(await process.rings("alice", "bob", "offer")) == "TARGET_OFFLINE"
    assert not [key for key in process.store.contents() if key.startswith("wake")]


async def test_a_session_that_has_ended_is_waited_for_like_none() -> None:
    process = await with_alice()
    await comes(process)
    await process.end("bob")
    await kept(process)
    await comes(process, number=2)
    assert sent_to(process, "bob", 2) == ["offer"]


async def test_who_is_no_member_by_the_backends_word_is_not_waited_for() -> None:
    process = await with_alice()
    assert refusal_in(await process.rings("alice", "carol", "offer")) == "NOT_IN_SAME_ROOM"
    await process.open(opening("carol", "hall"))
    await process.end("carol")
    refusal = await process.rings("alice", "carol", "offer")
    assert refusal_in(refusal) == "TARGET_OFFLINE"
    await given(process, CAROL, HALL)
    await process.leave("alice", "hall")
    assert refusal_in(await process.rings("alice", "carol", "offer")) == "NOT_IN_SAME_ROOM"


async def test_who_may_not_start_voice_wakes_nobody() -> None:
    process = await with_alice()
    await process.ask(SetVoice("1", 60.0, ALICE, is_allowed=False))
    assert refusal_in(await process.rings("alice", "bob", "offer")) == "NO_VOICE_PERMISSION"


async def test_an_older_router_is_refused_as_before() -> None:
    process = await with_alice()
    reply = await process.signal("alice", "bob", "OFFER", "offer")
    assert reply == Refused("TARGET_OFFLINE")


async def test_the_frame_is_asked_for_only_where_the_offer_may_be_kept() -> None:
    process = await with_alice()
    check = msgspec.structs.replace(await process.check("alice", "bob", "OFFER", "offer"), sends_frame=True)
    assert await process.ask(check) == Refused("TARGET_OFFLINE", wants_frame=True)
    to_carol = msgspec.structs.replace(check, to=CAROL)
    assert await process.ask(to_carol) == Refused("NOT_IN_SAME_ROOM")


async def test_nobody_comes_and_the_caller_hears_a_timeout() -> None:
    process = await with_alice()
    await kept(process)
    await time_passes(process)
    assert sent_to(process, "alice") == ["timeout"]
    assert not (await process.pair("alice", "bob")).is_active
    await comes(process)
    assert sent_to(process, "bob") == []


async def test_the_window_is_its_timer_which_begins_anew_on_delivery() -> None:
    process = await with_alice()
    await kept(process)
    offer = (await process.pair("alice", "bob")).offer_of(ALICE)
    assert offer is not None
    timer = Keys.offer_timer(ALICE, BOB, offer.generation)
    assert process.store.time_to_live(timer) == WINDOW_S
    frame = Keys.held(ALICE, BOB, offer.digest)
    assert process.store.time_to_live(frame) == WINDOW_S + OFFER_TIMEOUT_S + KEPT_APART_S
    process.clock.pass_s(WINDOW_S - 1)
    await comes(process)
    assert process.store.time_to_live(timer) == OFFER_TIMEOUT_S
    await time_passes(process)
    assert sent_to(process, "alice") == ["timeout"]
    assert sent_to(process, "bob") == ["offer", "timeout"]


async def test_what_happens_to_it_is_told_once_each() -> None:
    process = await with_alice()
    process.outbox = FakeOutbox()
    process.over(process.store)
    relay = await kept(process)
    pair = await process.pair("alice", "bob")
    assert kinds(pair) == ["offered", "waking"]
    waking_fact = pair.facts[-1]
    assert (waking_fact.caller, waking_fact.call, waking_fact.until) == (
        ALICE,
        relay.call,
        NOW + WINDOW_S * 1000,
    )
    await kept(process, frame="newer offer")
    await time_passes(process)
    pair = await process.pair("alice", "bob")
    assert kinds(pair) == ["offered", "waking", "unanswered"]
    assert pair.facts[-1].reason == "timeout"


async def test_a_hangup_of_the_caller_ends_it() -> None:
    process = await with_alice()
    await kept(process)
    await process.signal("alice", "bob", "ICE_CANDIDATE", "c1")
    hangup = await process.signal("alice", "bob", "HANGUP", "hangup")
    assert delivered(hangup) == []
    await comes(process)
    assert sent_to(process, "bob") == []


async def test_it_is_kept_anew_when_the_caller_rings_once_more() -> None:
    process = await with_alice()
    first = await kept(process)
    await process.signal("alice", "bob", "HANGUP", "hangup")
    second = await kept(process, frame="another offer")
    assert second.call != first.call
    await comes(process)
    assert sent_to(process, "bob") == ["another offer"]


async def test_a_newer_offer_takes_its_place_and_prolongs_nothing() -> None:
    process = await with_alice()
    first = await kept(process)
    process.clock.pass_s(10)
    newer = await kept(process, frame="newer offer")
    assert (newer.call, newer.kept_s) == (first.call, WINDOW_S - 10)
    await comes(process)
    assert sent_to(process, "bob") == ["newer offer"]


async def test_the_same_again_is_answered_as_before_and_delivered_once() -> None:
    process = await with_alice()
    first = await kept(process)
    process.clock.pass_s(5)
    again = await kept(process)
    assert (again.call, again.kept_s) == (first.call, WINDOW_S - 5)
    assert len((await process.pair("alice", "bob")).remembered) == 1
    await comes(process)
    late = await process.rings("alice", "bob", "offer")
    assert isinstance(late, Relay)
    assert (late.ack, late.deliveries, late.target) == ("held", (), "online")
    assert sent_to(process, "bob") == ["offer"]


async def test_the_frame_that_was_not_stored_is_stored_with_the_retry() -> None:
    process = await with_alice()
    await kept(process)
    frame = Keys.held(ALICE, BOB, named("offer"))
    revision = (await process.store.read(frame))[frame].revision
    await process.store.delete(frame, revision)
    await kept(process)
    await comes(process)
    assert sent_to(process, "bob") == ["offer"]


async def test_a_frame_that_is_lost_is_not_delivered_and_harms_nobody() -> None:
    process = await with_alice()
    await kept(process)
    frame = Keys.held(ALICE, BOB, named("offer"))
    await process.store.delete(frame, (await process.store.read(frame))[frame].revision)
    await comes(process)
    assert sent_to(process, "bob") == []
    await time_passes(process)
    assert sent_to(process, "alice") == ["timeout"]


async def test_several_wake_the_same_user_and_all_are_heard_in_order() -> None:
    process = await with_alice("carol", "dan")
    for caller in ("dan", "alice", "carol"):
        await kept(process, caller, frame=f"offer of {caller}")
    await comes(process)
    assert sent_to(process, "bob") == ["offer of dan", "offer of alice", "offer of carol"]
    assert await index_of(process, BOB) == ()


async def test_a_second_connection_of_the_callee_replaces_the_first() -> None:
    process = await with_alice()
    await kept(process)
    await comes(process)
    await comes(process, number=2)
    assert (sent_to(process, "bob"), sent_to(process, "bob", 2)) == (["offer"], [])
    assert sent_to(process, "alice") == ["disconnected"]


async def test_the_late_end_of_an_older_session_leaves_it_alone() -> None:
    process = await with_alice()
    await comes(process)
    await process.end("bob")
    await kept(process)
    await process.end_calls(BOB, opening("bob").session)
    assert (await process.pair("alice", "bob")).waits_for(BOB)
    assert sent_to(process, "alice") == []


async def test_an_offer_within_an_older_call_wakes_nobody() -> None:
    process = await with_alice()
    await comes(process)
    await process.signal("alice", "bob", "OFFER", "first")
    call = (await process.pair("alice", "bob")).call
    await process.end("bob")
    check = await process.check("alice", "bob", "OFFER", "ice restart")
    asked = msgspec.structs.replace(check, call=call, sends_frame=True, frame=b"ice restart")
    reply = await process.ask(asked)
    assert isinstance(reply, Refused)
    assert (reply.reason, reply.fate) == ("NO_MATCHING_OFFER", "ended")


async def test_a_call_that_has_not_ended_yet_is_not_woken() -> None:
    process = await with_alice()
    await comes(process)
    await process.signal("alice", "bob", "OFFER", "first")
    pair = await process.pair("alice", "bob")
    await process.end("bob")
    key = Keys.pair(ALICE, BOB)
    await process.records.write_negotiation(key, pair, (await process.store.read(key))[key].revision)
    assert refusal_in(await process.rings("alice", "bob", "second")) == "TARGET_OFFLINE"


@pytest.mark.parametrize(
    ("cmd", "reason"), [("ANSWER", "NO_MATCHING_OFFER"), ("ICE_CANDIDATE", ""), ("INFO", "")]
)
async def test_what_else_the_caller_says_is_judged_as_in_any_waiting_call(cmd: str, reason: str) -> None:
    process = await with_alice()
    await kept(process)
    reply = await process.signal("alice", "bob", cmd, "frame")
    assert (refusal_in(reply) if reason else delivered(reply)) == (reason or [])


@pytest.mark.parametrize(("policy", "ack"), [("forward", "held"), ("reject", None)])
async def test_candidates_for_who_is_not_there_cannot_be_forwarded(policy: str, ack: str | None) -> None:
    process = PresenceProcess("forward" if policy == "forward" else "reject", wake_window_s=WINDOW_S)
    await given(process, BOB)
    await process.open(opening("alice", "hall"))
    await kept(process)
    reply = await process.signal("alice", "bob", "ICE_CANDIDATE", "c1")
    if ack is None:
        assert refusal_in(reply) == "NO_MATCHING_OFFER"
    else:
        assert isinstance(reply, Relay)
        assert (reply.ack, reply.deliveries) == (ack, ())


async def test_what_names_another_call_is_refused() -> None:
    process = await with_alice()
    await kept(process)
    check = await process.check("alice", "bob", "HANGUP", "hangup")
    other = msgspec.structs.replace(check, call="0123456789abcdef")
    reply = await process.ask(other)
    assert isinstance(reply, Refused)
    assert (reply.reason, reply.fate) == ("NO_MATCHING_OFFER", "replaced")


@pytest.mark.parametrize("who", ["alice", "bob"])
async def test_whatever_is_said_when_both_are_there_delivers_it_first(who: str) -> None:
    process = await with_alice()
    await kept(process)
    await process.store.delete(
        Keys.wake(BOB), (await process.store.read(Keys.wake(BOB)))[Keys.wake(BOB)].revision
    )
    await comes(process)
    assert sent_to(process, "bob") == []  # nobody found it
    if who == "bob":
        answer = await process.signal("bob", "alice", "OFFER", "offer of bob")
        assert delivered(answer) == ["alice-s1: own"]
    else:
        await process.signal("alice", "bob", "ICE_CANDIDATE", "c1")
    assert sent_to(process, "bob") == ["offer"]
    answer = await process.signal("bob", "alice", "ANSWER", "answer")
    assert delivered(answer)[0] == "alice-s1: own"


async def test_an_offer_that_crosses_the_beginning_is_looked_at_again() -> None:
    process = await with_alice()
    check = await process.check("alice", "bob", "OFFER", "offer")
    asked = msgspec.structs.replace(check, sends_frame=True, frame=b"offer")
    reply, afterwards = await process.operations.carry_out(asked)
    assert isinstance(reply, Relay)
    index = (await process.store.read(Keys.wake(BOB)))[Keys.wake(BOB)]
    await process.store.delete(Keys.wake(BOB), index.revision)  # as if the session had read before that
    await comes(process)
    assert sent_to(process, "bob") == []
    assert afterwards is not None
    await afterwards()
    assert sent_to(process, "bob") == ["offer"]


async def test_the_end_of_the_callers_session_ends_it() -> None:
    process = await with_alice()
    await kept(process)
    await process.end("alice")
    assert not (await process.pair("alice", "bob")).is_active
    await comes(process)
    assert sent_to(process, "bob") == []


async def test_a_caller_who_is_away_is_waited_for() -> None:
    process = PresenceProcess(wake_window_s=WINDOW_S)
    await given(process, BOB)
    await process.open(opening("alice", "hall", secret="alice"))
    await kept(process)
    await process.end("alice", resumable=True)
    await comes(process)
    assert sent_to(process, "bob") == ["offer"]
    assert delivered(await process.signal("bob", "alice", "ANSWER", "answer"))[0] == "alice-s1: own"


async def test_the_caller_hears_that_it_left_the_room_in_which_it_waited() -> None:
    process = await with_alice()
    await kept(process)
    await process.leave("alice", "cellar")
    assert (await process.pair("alice", "bob")).waits_for(BOB)
    await process.leave("alice", "hall")
    assert sent_to(process, "alice") == ["left"]
    await comes(process)
    assert sent_to(process, "bob") == []


@pytest.mark.parametrize(
    "order",
    [
        RemoveMember("1", 60.0, BOB, HALL),
        RemoveMember("1", 60.0, ALICE, HALL),
        CloseRoom("1", 60.0, HALL),
        Ban("1", 60.0, BOB, 60.0),
        SetVoice("1", 60.0, ALICE, is_allowed=False),
        EndCall("1", 60.0, ALICE, BOB),
    ],
    ids=["callee removed", "caller removed", "room closed", "callee banned", "voice revoked", "call ended"],
)
async def test_what_the_backend_decides_ends_it_and_the_caller_hears(order: BackendOrder) -> None:
    process = await with_alice()
    await kept(process)
    await process.ask(order)
    assert sent_to(process, "alice") == ["kicked"]
    assert not (await process.pair("alice", "bob")).is_active
    process.clock.pass_s(61)
    await comes(process)
    assert sent_to(process, "bob") == []


async def test_a_ban_of_the_caller_ends_it() -> None:
    process = await with_alice()
    await kept(process)
    await process.ask(Ban("1", 60.0, ALICE, 60.0))
    assert not (await process.pair("alice", "bob")).is_active


async def test_removed_from_another_room_the_callee_is_still_waited_for() -> None:
    process = await with_alice()
    await given(process, BOB, CELLAR)
    await kept(process)
    await process.ask(RemoveMember("1", 60.0, BOB, HALL))
    assert (await process.pair("alice", "bob")).waits_for(BOB)
    await comes(process)
    assert sent_to(process, "bob") == ["offer"]


async def test_who_comes_and_meets_the_caller_nowhere_is_not_called() -> None:
    process = PresenceProcess(wake_window_s=WINDOW_S, max_members=1)
    await given(process, BOB)
    await process.open(opening("alice", "hall"))
    await kept(process)
    await comes(process, "bob", "cellar")  # the hall is full
    assert sent_to(process, "bob") == []
    assert sent_to(process, "alice") == ["left"]


async def test_so_many_may_wait_for_one_user() -> None:
    callers = [f"caller-{number}" for number in range(MOST_CALLERS)]
    process = await with_alice(*callers)
    for caller in callers:
        await kept(process, caller, frame=f"offer of {caller}")
    assert refusal_in(await process.rings("alice", "bob", "offer")) == "TARGET_OFFLINE"
    await process.signal(callers[3], "bob", "HANGUP", "hangup")
    await kept(process)
    await comes(process)
    assert sent_to(process, "bob") == [f"offer of {each}" for each in callers if each != callers[3]] + [
        "offer"
    ]


async def test_so_many_may_one_user_wait_for() -> None:
    process = await with_alice()
    callees = [f"callee-{number}" for number in range(MOST_AWAITED + 1)]
    for callee in callees:
        await given(process, UserId(callee))
    for callee in callees[:-1]:
        await kept(process, to=callee, frame=f"offer to {callee}")
    assert refusal_in(await process.rings("alice", callees[-1], "offer")) == "TARGET_OFFLINE"
    await comes(process, callees[0])
    await kept(process, to=callees[-1])


async def test_what_waits_is_forgotten_with_its_time() -> None:
    process = await with_alice()
    await kept(process)
    assert process.store.time_to_live(Keys.wake(BOB)) == WINDOW_S
    assert process.store.time_to_live(Keys.wake(ALICE)) == WINDOW_S


async def test_an_index_that_cannot_be_read_is_written_anew() -> None:
    process = await with_alice()
    await process.store.put(Keys.wake(BOB), b"?", 60.0)
    await kept(process)
    await comes(process)
    assert sent_to(process, "bob") == ["offer"]


async def test_who_loses_every_round_for_the_index_says_so() -> None:
    process = await with_alice()
    process.over(BusyStore(process.store, "wake."))
    with pytest.raises(StoreUnavailable):
        await process.kept.note(Await(ALICE, BOB, NOW + 1000), NOW)


async def test_a_callee_that_goes_while_it_is_sent_the_offer_ends_the_call() -> None:
    process = await with_alice()
    await kept(process)
    await process.store.delete(
        Keys.wake(BOB), (await process.store.read(Keys.wake(BOB)))[Keys.wake(BOB)].revision
    )
    await comes(process)
    pair = await process.pair("alice", "bob")

    def rule(_pair: Negotiation | None, _users: object, _facts: Facts) -> Change[Negotiation]:
        return waking.deliver(
            pair, ALICE, BOB, opening("bob", number=7).session, OFFER_TIMEOUT_S, waking.done
        )

    await process.changes.end_offered(ALICE, BOB, rule)
    assert sent_to(process, "alice") == ["disconnected"]
    assert not (await process.pair("alice", "bob")).is_active


async def test_settling_what_is_not_kept_changes_nothing() -> None:
    process = await with_alice()
    await process.changes.settle_kept(ALICE, BOB)
    assert not (await process.pair("alice", "bob")).is_active
    rule = functools.partial(waking.settle, ALICE, BOB, OFFER_TIMEOUT_S, waking.done)
    await process.changes.end_offered(ALICE, BOB, rule)
    assert sent_to(process, "alice") == []
