"""What the backend decides about users, rooms and calls takes effect at once, and once."""

import msgspec
import pytest

from presence.rules.orders import ANSWERED, OVERTAKEN
from presence.store import StoreUnavailable
from tests.support.metrics import value_of
from tests.unit.presence.presence_process import PresenceProcess
from tests.unit.presence.requests import opening, registering
from tests.unit.presence.rules.frames import NOW
from tieline import metrics
from tieline.wire.codes import CloseCode, ErrorCode
from tieline.wire.ids import CallId, GatewayId, RoomId, UserId
from tieline.wire.internal import codec
from tieline.wire.internal.answers import Outdated, Refused, SessionGone
from tieline.wire.internal.backend import (
    AddMember,
    Affected,
    Ban,
    CloseRoom,
    Disconnect,
    EndCall,
    RemoveMember,
    SetVoice,
)
from tieline.wire.internal.rooms import JoinRoom, RoomJoined, RoomMembers
from tieline.wire.internal.sessions import Opened, Regrant
from tieline.wire.subjects import Keys

ALICE, BOB, HALL, CELLAR = UserId("alice"), UserId("bob"), RoomId("hall"), RoomId("cellar")
GATEWAY = GatewayId("g1")


async def with_two(*, hears: bool = True) -> PresenceProcess:
    """Alice and Bob are in the hall, in a call, on a gateway that lives."""
    process = PresenceProcess()
    process.living_gateways.add(GATEWAY)
    for user in ("alice", "bob"):
        await process.open(opening(user, "hall", secret=user, hears=hears))
    await process.signal("alice", "bob", "OFFER", "offer")
    await process.signal("bob", "alice", "ANSWER", "answer")
    return process


async def rooms_of(process: PresenceProcess, user: str) -> set[str]:
    record = await process.user(user)
    return set() if record is None or not record.is_reachable else {*record.rooms}


async def forget(process: PresenceProcess) -> None:
    """Lose Alice's record."""
    key = Keys.user(ALICE)
    await process.store.delete(key, (await process.store.read(key))[key].revision)


def closings(process: PresenceProcess) -> list[bytes]:
    """List the connections that the gateway was told to close."""
    return [sent.payload for sent in process.recorder.sent if sent.subject == "tieline.gateway.g1.close"]


async def has_call(process: PresenceProcess) -> bool:
    return (await process.pair("alice", "bob")).is_active


async def test_a_kicked_member_is_out_and_its_call_has_ended() -> None:
    process = await with_two()
    assert await process.ask(RemoveMember("1", 60.0, ALICE, HALL)) == Affected(1)
    assert await rooms_of(process, "alice") == set()
    assert not await has_call(process)
    kicked = [entry for entry in process.log.entries if entry.change.reason == "kicked"]
    assert [(entry.user, entry.change.tells_user) for entry in kicked] == [(ALICE, True)]


async def test_a_kicked_member_may_come_again_unless_it_is_kept_out() -> None:
    process = await with_two()
    join = JoinRoom(ALICE, opening("alice").session, HALL)
    await process.ask(RemoveMember("1", 60.0, ALICE, HALL))
    assert not isinstance(await process.ask(join), Refused)

    await process.ask(RemoveMember("2", 60.0, ALICE, HALL, kept_out_s=30.0))
    counted = value_of(metrics.TOKENS_REFUSED.labels("room"))
    assert await process.ask(join) == Refused(ErrorCode.ROOM_FORBIDDEN.name)
    assert value_of(metrics.TOKENS_REFUSED.labels("room")) == counted  # its gateway does nothing wrong
    process.clock.pass_s(31)
    assert not isinstance(await process.ask(join), Refused)


@pytest.mark.parametrize("was_there", [True, False])
async def test_a_copy_of_a_join_that_comes_later_brings_nobody_back(was_there: bool) -> None:
    process = await with_two()
    alice = opening("alice")
    asked = (await process.store.read(Keys.user(ALICE)))[Keys.user(ALICE)].revision
    join = JoinRoom(ALICE, alice.session, CELLAR, hears=True, connection=alice.connection, asked=asked)
    if was_there:
        await process.ask(join)
    await process.ask(RemoveMember("1", 60.0, ALICE, CELLAR))
    late = await process.ask(join)
    assert isinstance(late, Outdated)
    assert await rooms_of(process, "alice") == {HALL}
    await process.ask(msgspec.structs.replace(join, asked=late.revision))
    assert await rooms_of(process, "alice") == {HALL, CELLAR}


async def test_an_order_that_comes_after_a_later_one_puts_nobody_in() -> None:
    process = await with_two()
    alice = opening("alice")
    added = AddMember("1", 60.0, ALICE, CELLAR, await process.number())
    order = JoinRoom(
        ALICE,
        alice.session,
        CELLAR,
        connection=alice.connection,
        is_ordered=True,
        order=added.number,
        once=added.once,
    )
    assert await process.ask(order) == ANSWERED, "nobody carries it out, or not any more"
    unnamed = msgspec.structs.replace(order, once="")
    assert await process.ask(unnamed) == Refused(ErrorCode.ROOM_FORBIDDEN.name)
    await process.ask(added)
    assert isinstance(await process.ask(order), RoomJoined | RoomMembers), "its gateway may not know yet"
    await process.leave("alice", "cellar")
    assert await process.ask(order) == ANSWERED  # once more
    await process.ask(RemoveMember("2", 60.0, ALICE, CELLAR))
    assert await process.ask(order) == OVERTAKEN
    assert await rooms_of(process, "alice") == {HALL}


async def test_who_is_kept_out_begins_no_session_there() -> None:
    process = await with_two()
    await process.ask(RemoveMember("1", 60.0, ALICE, HALL, kept_out_s=30.0))
    opened = await process.open(opening("alice", "hall", "cellar", number=2))
    assert set(opened.rooms) == {CELLAR}


async def test_a_session_restored_by_its_gateway_stays_kept_out() -> None:
    process = await with_two()
    await process.ask(RemoveMember("1", 60.0, ALICE, HALL, kept_out_s=30.0))
    await forget(process)
    await process.ask(registering(opening("alice", secret="alice", hears=True), {"hall": NOW, "cellar": NOW}))
    assert await rooms_of(process, "alice") == {CELLAR}


async def test_a_disconnected_user_is_gone_and_its_connection_closed() -> None:
    process = await with_two()
    assert await process.ask(Disconnect("1", 60.0, ALICE)) == Affected(1)
    assert await rooms_of(process, "alice") == set()
    assert not await has_call(process)
    (closing,) = closings(process)
    assert codec.decode_close_session(closing).close_code is CloseCode.KICKED
    assert process.orders == [(GATEWAY, "close")]


async def test_a_disconnected_session_is_not_restored_by_its_gateway() -> None:
    process = await with_two()
    ask = opening("alice", secret="alice", hears=True)
    await process.ask(Disconnect("1", 60.0, ALICE))
    await process.ask(registering(ask, {"hall": NOW}))
    reply = await process.ask(JoinRoom(ALICE, ask.session, CELLAR, connection=ask.connection))
    assert reply == SessionGone(replaced=False)


async def test_a_gateway_that_does_not_answer_leaves_the_order_unanswered() -> None:
    process = await with_two()
    await process.store.put(Keys.lease_timer(GATEWAY), b"1", 10.0)
    process.living_gateways.clear()
    with pytest.raises(StoreUnavailable):
        await process.ask(Disconnect("1", 60.0, ALICE))
    process.living_gateways.add(GATEWAY)
    assert await process.ask(Disconnect("1", 60.0, ALICE)) == Affected(0)  # it is done, and closed by now
    assert process.orders == [(GATEWAY, "close")]


async def test_the_connections_of_a_dead_gateway_need_no_closing() -> None:
    process = await with_two()
    process.living_gateways.clear()
    assert await process.ask(Disconnect("1", 60.0, ALICE)) == Affected(1)


async def test_a_gateway_of_version_0_1_is_told_and_not_asked() -> None:
    process = await with_two(hears=False)
    assert await process.ask(Disconnect("1", 60.0, ALICE)) == Affected(1)
    assert process.orders == []
    assert len(closings(process)) == 1


async def test_a_banned_user_is_refused_until_that_is_over() -> None:
    process = await with_two()
    assert await process.ask(Ban("1", 60.0, ALICE, 60.0)) == Affected(1)
    again = opening("alice", "hall", number=2)
    assert await process.ask(again) == Refused("BANNED")
    assert await process.ask(registering(again, {})) == Refused("BANNED")
    process.clock.pass_s(61)
    assert isinstance(await process.ask(again), Opened)


async def test_a_ban_may_be_lifted() -> None:
    process = await with_two()
    await process.ask(Ban("1", 60.0, ALICE, 60.0))
    assert await process.ask(Ban("2", 60.0, ALICE, 0.0)) == Affected(0)
    assert isinstance(await process.ask(opening("alice", number=2)), Opened)


async def test_a_user_may_be_banned_before_it_ever_comes() -> None:
    process = await with_two()
    assert await process.ask(Ban("1", 60.0, UserId("mallory"), 60.0)) == Affected(0)
    assert await process.ask(opening("mallory", "hall")) == Refused("BANNED")


async def test_a_member_may_be_added_before_it_ever_comes() -> None:
    process = await with_two()
    assert await process.ask(AddMember("1", 60.0, UserId("carol"), HALL)) == Affected(0)
    opened = await process.open(opening("carol", granted=()))
    assert set(opened.rooms) == {HALL}


async def test_a_member_is_added_by_its_gateway() -> None:
    process = await with_two()
    assert await process.ask(AddMember("1", 60.0, ALICE, CELLAR)) == Affected(1)
    assert process.orders == [(GATEWAY, "join")]
    assert await rooms_of(process, "alice") == {HALL, CELLAR}


async def test_who_is_a_member_already_is_not_added_again() -> None:
    process = await with_two()
    assert await process.ask(AddMember("1", 60.0, ALICE, HALL)) == Affected(0)
    assert process.orders == []


async def test_a_member_who_is_away_finds_the_room_when_it_is_back() -> None:
    process = await with_two()
    await process.end("alice", resumable=True)
    assert await process.ask(AddMember("1", 60.0, ALICE, CELLAR)) == Affected(1)
    opened = await process.open(opening("alice", number=2, resume="alice", granted=("hall",), hears=True))
    assert opened.resumed
    assert set(opened.rooms) == {HALL, CELLAR}


async def test_a_member_on_a_gateway_of_version_0_1_is_added_at_once() -> None:
    process = await with_two(hears=False)
    assert await process.ask(AddMember("1", 60.0, ALICE, CELLAR)) == Affected(1)
    assert await rooms_of(process, "alice") == {HALL, CELLAR}


async def test_a_newer_token_does_not_take_what_the_backend_has_given() -> None:
    process = await with_two()
    await process.ask(AddMember("1", 60.0, ALICE, CELLAR))
    await process.ask(Regrant(ALICE, opening("alice").session, True, (), (HALL, CELLAR)))
    assert await rooms_of(process, "alice") == {CELLAR}


async def test_what_is_taken_again_is_not_given_any_more() -> None:
    process = await with_two()
    await process.ask(AddMember("1", 60.0, ALICE, CELLAR))
    await process.ask(RemoveMember("2", 60.0, ALICE, CELLAR))
    opened = await process.open(opening("alice", number=2))
    assert set(opened.rooms) == set()
    assert not [key for key in process.store.contents() if key.startswith("given.")]


async def test_a_user_is_given_so_many_rooms_and_no_more() -> None:
    process = await with_two()
    for number in range(3):
        await process.ask(AddMember(f"{number}", 60.0, UserId("carol"), RoomId(f"room-{number}")))
    refused = await process.ask(AddMember("3", 60.0, UserId("carol"), CELLAR))
    assert refused == Refused(ErrorCode.TOO_MANY_ROOMS.name)
    assert await process.ask(AddMember("4", 60.0, UserId("carol"), RoomId("room-1"))) == Affected(0)


async def test_of_a_full_room_nobody_is_made_a_member() -> None:
    process = PresenceProcess(max_members=1)
    await process.open(opening("alice", "hall"))
    await process.open(opening("bob", "cellar"))
    assert await process.ask(AddMember("1", 60.0, BOB, HALL)) == Refused(ErrorCode.ROOM_FULL.name)
    assert not [key for key in process.store.contents() if key.startswith("given.")]


async def test_a_gateway_that_is_silent_while_it_lives_is_asked_again_later() -> None:
    process = await with_two()
    await process.store.put(Keys.lease_timer(GATEWAY), b"1", 10.0)
    process.living_gateways.clear()
    with pytest.raises(StoreUnavailable):
        await process.ask(AddMember("1", 60.0, ALICE, CELLAR))


async def test_a_dead_gateway_is_not_asked_for_ever() -> None:
    process = await with_two()
    process.living_gateways.clear()
    with pytest.raises(StoreUnavailable, match="again and again"):
        await process.ask(AddMember("1", 60.0, ALICE, CELLAR))


async def test_a_closed_room_is_left_by_all_who_are_or_would_be_in_it() -> None:
    process = await with_two()
    await process.ask(AddMember("1", 60.0, UserId("carol"), HALL))
    assert await process.ask(CloseRoom("2", 60.0, HALL, kept_out_s=30.0)) == Affected(2)
    assert await rooms_of(process, "alice") == await rooms_of(process, "bob") == set()
    opened = await process.open(opening("carol", "hall"))
    assert set(opened.rooms) == set()


async def test_who_has_no_voice_any_more_loses_its_calls_and_starts_none() -> None:
    process = await with_two()
    assert await process.ask(SetVoice("1", 60.0, ALICE, is_allowed=False)) == Affected(1)
    assert not await has_call(process)
    refused = await process.signal("alice", "bob", "OFFER", "another")
    assert isinstance(refused, Refused)
    assert refused.refusal is ErrorCode.NO_VOICE_PERMISSION


@pytest.mark.parametrize("voice", [True, False])
async def test_restored_voice_is_what_the_token_says(voice: bool) -> None:
    process = await with_two()
    await process.ask(SetVoice("1", 60.0, ALICE, is_allowed=False))
    await process.open(opening("alice", "hall", number=2, voice=voice))
    record = await process.user("alice")
    assert record is not None
    assert not record.voice
    await process.ask(SetVoice("2", 60.0, ALICE, is_allowed=True))
    record = await process.user("alice")
    assert record is not None
    assert record.voice is voice


async def test_a_call_is_ended_by_its_id_or_whatever_it_is() -> None:
    process = await with_two()
    call = (await process.pair("alice", "bob")).call
    refused = Refused("NO_SUCH_CALL")
    assert await process.ask(EndCall("1", 60.0, ALICE, BOB, CallId("another"))) == refused
    assert await has_call(process)
    assert await process.ask(EndCall("2", 60.0, BOB, ALICE, call)) == Affected(1)
    assert not await has_call(process)
    assert await process.ask(EndCall("3", 60.0, BOB, ALICE, call)) == refused
    assert await process.ask(EndCall("4", 60.0, BOB, ALICE)) == Affected(0)


async def test_both_calls_that_one_order_has_ended_are_told() -> None:
    """Its answer was not kept, and it was carried out once more, when there was another call."""
    process = await with_two()
    order = EndCall("1", 60.0, ALICE, BOB)
    assert await process.ask(order) == Affected(1)
    (kept,) = (await process.store.read(Keys.once("1"))).values()
    await process.store.delete(Keys.once("1"), kept.revision)
    await process.signal("alice", "bob", "OFFER", "another")
    assert await process.ask(order) == Affected(1)
    ends = {sent.payload for sent in process.told_to("bob") if b"kicked" in sent.payload}
    assert len(ends) == 2


async def test_an_order_sent_again_is_answered_as_before() -> None:
    process = await with_two()
    order = RemoveMember("1", 60.0, ALICE, HALL)
    assert await process.ask(order) == Affected(1)
    await process.ask(JoinRoom(ALICE, opening("alice").session, HALL))
    assert await process.ask(order) == Affected(1)
    assert await rooms_of(process, "alice") == {HALL}
