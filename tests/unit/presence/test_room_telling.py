"""What is told of the changes of rooms: to backends, and to the rooms' logs."""

import msgspec
import pytest

from presence.announce import Announcer
from presence.room_telling import RoomTelling, changes_of
from presence.rules.effects import MemberCame, MemberWent, OneRoomEffect, StatusChanged
from presence.rules.negotiated import RETRY_MS
from presence.rules.user import Membership, Session, User
from tests.unit.presence.lifetime import Died, FakeRoomLog, Life, Recorder
from tests.unit.presence.presence_process import SUBJECTS
from tests.unit.presence.requests import NO_SECRET
from tests.unit.presence.rules.frames import NOW
from tieline.wire.events import Happened
from tieline.wire.ids import ConnectionId, GatewayId, RoomId, SessionId, UserId

ALICE, HERS = UserId("alice"), SessionId("s")
HALL, CELLAR = RoomId("hall"), RoomId("cellar")
SESSION = Session(HERS, GatewayId("g1"), ConnectionId("c"), NO_SECRET, "online")
IN_HALL = User((SESSION,), True, {HALL: Membership(NOW, 1)})
CAME = MemberCame(HALL, 1, NOW)
WENT = MemberWent(CELLAR, HERS, 2, "left", NOW)


class Desk:
    """Tells, and shows what was told."""

    def __init__(self, dies_after: int | None = None) -> None:
        life = Life()
        life.begin(dies_after)
        self.life = life
        self.log, self.recorder = FakeRoomLog(life), Recorder(life)
        self.now = NOW
        self.telling = RoomTelling(self.log, Announcer(self.recorder, SUBJECTS), lambda: self.now)

    async def tell(self, *pending: OneRoomEffect, is_again: bool = False) -> list[bool]:
        """Tell of what is pending; returns of each room whether that was new."""
        changes = changes_of(IN_HALL, pending, 7, self.telling.is_news)
        added = await self.telling.tell(ALICE, pending, changes, is_again=is_again)
        return [each.is_new for each in added.values()]

    def events(self) -> list[tuple[str, Happened]]:
        """What backends were told."""
        return [
            (sent.subject.removeprefix("tieline.events."), msgspec.json.decode(sent.payload, type=Happened))
            for sent in self.recorder.sent
        ]


JOINED = ("joined", Happened(NOW, ALICE, room=HALL))
LEFT = ("left", Happened(NOW, ALICE, room=CELLAR, reason="left"))


async def test_backends_and_rooms_are_told_of_who_came_and_went() -> None:
    desk = Desk()
    assert await desk.tell(CAME, WENT, StatusChanged()) == [True, True]
    assert desk.events() == [JOINED, LEFT]
    assert [(entry.room, entry.change.kind) for entry in desk.log.entries] == [
        (HALL, "joined"),
        (CELLAR, "left"),
    ]


async def test_of_what_the_log_has_backends_are_not_told_again() -> None:
    desk = Desk()
    await desk.tell(CAME, WENT)
    assert await desk.tell(CAME, WENT, is_again=True) == [False, False]
    assert desk.events() == [JOINED, LEFT]


async def test_of_what_the_log_has_not_backends_are_told_by_who_finds_it() -> None:
    desk = Desk()
    await desk.tell(CAME)
    assert await desk.tell(CAME, WENT, is_again=True) == [False, True]
    assert desk.events() == [JOINED, LEFT]


@pytest.mark.parametrize("dies_after", [1, 2, 3])
async def test_whenever_a_process_dies_backends_are_told(dies_after: int) -> None:
    desk = Desk(dies_after)
    with pytest.raises((Died, ExceptionGroup)):
        await desk.tell(CAME, WENT)
    desk.life.begin(None)
    await desk.tell(CAME, WENT, is_again=True)
    assert set(map(str, desk.events())) == {str(JOINED), str(LEFT)}


async def test_what_is_said_again_to_the_room_is_no_news_for_backends() -> None:
    desk = Desk()
    again = (MemberCame(HALL, 1, NOW, again=True), MemberWent(CELLAR, HERS, 0, "left", NOW, again=True))
    assert await desk.tell(*again) == [True, True]
    assert desk.events() == []


async def test_after_a_minute_nobody_is_told_that_somebody_came() -> None:
    desk = Desk()
    desk.now = NOW + RETRY_MS
    assert await desk.tell(CAME) == []
    assert desk.events() == []


def test_a_change_says_when_it_was_decided_whoever_tells_it() -> None:
    went = msgspec.structs.replace(WENT, room=RoomId("attic"))
    pending = (msgspec.structs.replace(CAME, room=CELLAR, at=NOW + 1), went, StatusChanged(at=NOW + 2))
    changes = changes_of(IN_HALL, pending, 7, lambda _: True)
    assert {room: each.at for room, each in changes.items()} == {CELLAR: NOW + 1, "attic": NOW, HALL: NOW + 2}
    back = changes_of(IN_HALL, (msgspec.structs.replace(CAME, at=NOW + 9, again=True),), 8, lambda _: True)
    assert (back[HALL].at, back[HALL].joined_at) == (NOW + 9, NOW)
