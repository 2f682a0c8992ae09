"""Whether members are seen to be in a call: as their clients say, for as long as the session lives."""

import msgspec
import pytest

from presence.room_telling import changes_of
from presence.rules import room as room_rules
from presence.rules import session as session_rules
from presence.rules.change import Change, Facts
from presence.rules.effects import StatusChanged
from presence.rules.room import StoredEntry
from presence.rules.user import RosterEntry, User, with_session
from tests.unit.presence.rules.frames import ALICE, NOW, SESSIONS
from tests.unit.presence.rules.people import online, record_of
from tieline.wire.ids import RoomId
from tieline.wire.internal.answers import Done
from tieline.wire.internal.sessions import Regrant

HALL = RoomId("hall")


def alice(*, in_call: bool, rooms: tuple[RoomId, ...] = (HALL,)) -> User:
    one = online(SESSIONS[ALICE], rooms)
    return with_session(one, msgspec.structs.replace(one.session, in_call=in_call))


def says(user: User, in_call: bool | None) -> Change[User]:
    ask = Regrant(ALICE, SESSIONS[ALICE], True, None, (), in_call=in_call)
    step = session_rules.regrant(ask, user, {}, Facts(NOW))
    assert isinstance(step, Change)
    return step


@pytest.mark.parametrize("in_call", [True, False])
def test_the_others_hear_of_it_once(in_call: bool) -> None:
    step = says(alice(in_call=not in_call), in_call)
    assert record_of(step).session.in_call is in_call
    assert StatusChanged(is_silent=True, at=NOW) in step.effects
    assert says(alice(in_call=in_call), in_call) == Change(Done())


def test_a_newer_token_changes_nothing_of_it() -> None:
    assert says(alice(in_call=True), None) == Change(Done())


def test_who_is_in_no_room_is_seen_by_nobody() -> None:
    assert says(alice(in_call=False, rooms=()), True).effects == ()


@pytest.mark.parametrize("in_call", [True, False])
def test_lists_and_logs_of_rooms_say_it(in_call: bool) -> None:
    user = alice(in_call=in_call)
    entry = StoredEntry(ALICE, RosterEntry(SESSIONS[ALICE], NOW), 2)
    (member,) = room_rules.roster(HALL, [entry], {ALICE: user}).members
    assert member.in_call is in_call
    (change,) = changes_of(user, [StatusChanged(is_silent=True)], 7, lambda _: True).values()
    assert change.in_call is in_call
