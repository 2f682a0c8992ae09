"""What becomes of a user's record when the backend decides about it."""

import msgspec
import pytest

from presence.rules import moderation
from presence.rules.change import Change, Facts, Prepare
from presence.rules.effects import Changed, CloseConnection, MemberCame, MemberWent, StatusChanged
from presence.rules.negotiated import Negotiation
from presence.rules.user import NOBODY, THIS_WRITE, Membership, Session, User, with_session
from tests.unit.presence.rules.frames import NOW
from tieline.wire.codes import CloseCode
from tieline.wire.ids import NO_CALL, CallId, ConnectionId, GatewayId, RoomId, SecretHash, SessionId, UserId
from tieline.wire.internal.answers import Refused
from tieline.wire.internal.backend import Affected

ALICE, BOB, HALL, CELLAR = UserId("alice"), UserId("bob"), RoomId("hall"), RoomId("cellar")
SESSION = Session(
    SessionId("s"), GatewayId("g"), ConnectionId("c"), SecretHash(b"x"), "online", 3, hears=True
)
ONLINE = User((SESSION,), True, {HALL: Membership(NOW, 5)})
AWAY = with_session(ONLINE, msgspec.structs.replace(SESSION, status="away"))
OFFLINE = with_session(ONLINE, msgspec.structs.replace(SESSION, status="offline"))
OLD = with_session(ONLINE, msgspec.structs.replace(SESSION, hears=False))
FACTS = Facts(NOW)


@pytest.mark.parametrize(("user", "written"), [(None, NOBODY), (OFFLINE, OFFLINE), (ONLINE, ONLINE)])
def test_a_record_is_written_though_nothing_of_it_changes(user: User | None, written: User) -> None:
    assert moderation.touch(user, {}, FACTS) == Change(Affected(0), written)


@pytest.mark.parametrize(
    ("user", "is_asked"), [(None, False), (ONLINE, True), (AWAY, False), (OFFLINE, False), (OLD, False)]
)
def test_a_gateway_is_asked_for_a_session_that_is_there(user: User | None, is_asked: bool) -> None:
    assert moderation.is_asked_by_gateway(user, CELLAR) is is_asked
    assert not moderation.is_asked_by_gateway(user, HALL)


@pytest.mark.parametrize(
    ("user", "room"), [(None, CELLAR), (OFFLINE, CELLAR), (ONLINE, HALL), (ONLINE, CELLAR)]
)
def test_who_is_not_there_or_asked_for_is_only_written(user: User | None, room: RoomId) -> None:
    assert moderation.put_in(room, user, {}, FACTS) == Change(Affected(0), user or NOBODY)


@pytest.mark.parametrize(
    ("user", "effects"),
    [
        (AWAY, (MemberCame(CELLAR, 9, NOW), StatusChanged(at=NOW))),
        (OLD, (MemberCame(CELLAR, 9, NOW),)),
    ],
)
def test_a_session_is_put_into_a_room(user: User, effects: tuple[object, ...]) -> None:
    wanted = moderation.put_in(CELLAR, user, {}, FACTS)
    assert wanted == Prepare(SESSION.id, rooms=(CELLAR,), hears=user.session.hears)
    full = Facts(NOW, prepared=wanted)
    assert moderation.put_in(CELLAR, user, {}, full) == Change(Refused("ROOM_FULL"))
    step = moderation.put_in(CELLAR, user, {}, Facts(NOW, prepared=wanted, entries={CELLAR: 9}))
    assert isinstance(step, Change)
    assert (step.reply, step.effects) == (Affected(1), effects)
    assert step.record is not None
    assert step.record.rooms == {CELLAR: Membership(NOW, 9), **ONLINE.rooms}


@pytest.mark.parametrize(
    ("user", "room", "is_refused"),
    [(None, HALL, True), (OFFLINE, HALL, True), (ONLINE, CELLAR, True), (ONLINE, HALL, False)],
)
def test_who_is_in_a_room_by_now_was_put_in(user: User | None, room: RoomId, is_refused: bool) -> None:
    full = Refused("ROOM_FULL")
    reply = full if is_refused else Affected(0)
    assert moderation.not_put_in(room, full, user, {}, FACTS) == Change(reply, user or NOBODY)


def test_who_is_put_out_of_a_room_is_told() -> None:
    step = moderation.put_out(HALL, ONLINE, {}, FACTS)
    assert isinstance(step, Change)
    assert step.reply == Affected(1)
    assert step.record is not None
    assert step.record.rooms == {}
    (went,) = (effect for effect in step.effects if isinstance(effect, MemberWent))
    assert went == MemberWent(HALL, SESSION.id, 5, "kicked", NOW, True)


def test_who_is_not_in_a_room_is_only_written() -> None:
    assert moderation.put_out(HALL, None, {}, FACTS) == Change(Affected(0), NOBODY)
    noted = with_session(ONLINE, msgspec.structs.replace(SESSION, put_out_at=THIS_WRITE))
    assert moderation.put_out(CELLAR, ONLINE, {}, FACTS) == Change(Affected(0), noted)


def test_of_who_is_offline_nobody_is_told() -> None:
    step = moderation.put_out(HALL, OFFLINE, {}, FACTS)
    assert step == Change(Affected(0), msgspec.structs.replace(OFFLINE, rooms={}))


def test_a_disconnected_session_is_over_for_its_gateway() -> None:
    step = moderation.disconnect(ALICE, ONLINE, {}, FACTS)
    assert isinstance(step, Change)
    assert step.reply == Affected(1)
    assert step.record is not None
    assert (step.record.session.status, step.record.session.left) == ("offline", True)
    kicked = CloseConnection(ALICE, SESSION.id, SESSION.gateway, SESSION.connection, int(CloseCode.KICKED))
    assert step.effects[0] == kicked
    assert moderation.disconnect(ALICE, OFFLINE, {}, FACTS) == Change(Affected(0), OFFLINE)
    assert moderation.disconnect(ALICE, None, {}, FACTS) == Change(Affected(0), NOBODY)


def spoken(user: User | None, is_allowed: bool) -> tuple[object, bool | None, bool | None, int]:
    """Say what is answered, what the record says then, of its token too, and how many are told."""
    step = moderation.set_voice(ALICE, is_allowed, user, {}, FACTS)
    assert isinstance(step, Change)
    assert step.record is not None
    return step.reply, step.record.voice, step.record.session.voice_by_token, len(step.effects)


def test_voice_is_revoked_and_restored_as_the_token_has_it() -> None:
    assert spoken(ONLINE, False) == (Affected(1), False, True, 2)
    revoked = moderation.set_voice(ALICE, False, ONLINE, {}, FACTS)
    assert isinstance(revoked, Change)
    assert revoked.record is not None
    assert spoken(revoked.record, True) == (Affected(1), True, None, 2)
    assert spoken(revoked.record, False) == (Affected(0), False, True, 0)


def test_who_had_no_voice_by_its_token_gets_none_back() -> None:
    silent = msgspec.structs.replace(ONLINE, voice=False)
    assert spoken(silent, True) == (Affected(0), False, None, 0)
    assert spoken(silent, False) == (Affected(0), False, False, 0)


def test_in_no_room_nobody_sees_what_may_be_said() -> None:
    step = moderation.set_voice(ALICE, False, msgspec.structs.replace(ONLINE, rooms={}), {}, FACTS)
    assert isinstance(step, Change)
    assert step.effects == (Changed(ALICE),)
    assert moderation.set_voice(ALICE, False, None, {}, FACTS) == Change(Affected(0), NOBODY)


@pytest.mark.parametrize(
    ("stored", "call", "reply"),
    [
        (None, NO_CALL, Affected(0)),
        (None, CallId("1"), Refused("NO_SUCH_CALL")),
        (Negotiation(established=True, call=CallId("1")), CallId("2"), Refused("NO_SUCH_CALL")),
        (Negotiation(established=True, call=CallId("1")), CallId("1"), Affected(1)),
        (Negotiation(established=True, call=CallId("1")), NO_CALL, Affected(1)),
    ],
)
def test_a_call_is_ended_if_it_is_the_one(stored: Negotiation | None, call: CallId, reply: object) -> None:
    step = moderation.end_call(ALICE, BOB, call, "cause", stored, {ALICE: ONLINE, BOB: AWAY}, FACTS)
    assert isinstance(step, Change)
    assert step.reply == reply
    assert (step.record is not None) is (reply == Affected(1))
