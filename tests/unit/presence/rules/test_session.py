"""Decisions on a session that no scenario of `tests/unit/presence/test_sessions.py` comes to."""

import msgspec

from presence.rules import session
from presence.rules.change import Change, Facts, Prepare
from presence.rules.effects import Changed
from presence.rules.user import User, with_session
from tests.unit.presence.rules.frames import NOW
from tests.unit.presence.rules.people import online, record_of
from tieline.wire.ids import RoomId, SessionId, UserId
from tieline.wire.internal import Register

ALICE = UserId("alice")


def registering(user: User) -> Register:
    """What the gateway of a session asks when presence may have forgotten it."""
    live = user.session
    rooms = {room: member.since for room, member in user.rooms.items()}
    return Register(ALICE, live.id, live.gateway, live.connection, user.voice, rooms, live.secret)


def test_a_session_that_is_online_without_a_note_is_noted() -> None:
    user = online(SessionId("s-1"), [RoomId("hall")])
    unnoted = with_session(user, msgspec.structs.replace(user.session, note=0))
    wanted = session.register(registering(user), unnoted, {}, Facts(NOW))
    assert wanted == Prepare(SessionId("s-1"), user.session.gateway)
    step = session.register(registering(user), unnoted, {}, Facts(NOW, wanted, note=7))
    assert isinstance(step, Change)
    assert record_of(step).session == msgspec.structs.replace(user.session, note=7)
    assert step.effects == (Changed(ALICE),)
