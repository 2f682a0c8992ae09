"""Who is told of a change in a room by its mailbox, and of which."""

import pytest

from presence.announce import Announcer
from presence.member_mail import MemberMail
from presence.rules.effects import MemberCame, StatusChanged
from presence.rules.room import StoredEntry
from presence.rules.user import RosterEntry
from tests.unit.presence.carrying_out import ALICE, BOB, CAROL, HALL, HERS, HIS, carry_out, events, with_both
from tests.unit.presence.lifetime import Life, Recorder
from tests.unit.presence.presence_process import SUBJECTS
from tests.unit.presence.requests import opening
from tests.unit.presence.rules.frames import NOW
from tieline.wire.ids import SessionId, UserId


def test_only_others_are_told_who_were_there_and_do_not_hear() -> None:
    recorder = Recorder(Life())
    mail = MemberMail(Announcer(recorder, SUBJECTS), lambda _: True)
    later, hears = SessionId("carol-s1"), SessionId("dan-s1")
    roster = [
        StoredEntry(ALICE, RosterEntry(HERS, NOW), 4),
        StoredEntry(BOB, RosterEntry(HIS, NOW), 5),
        StoredEntry(CAROL, RosterEntry(later, NOW), 8),
        StoredEntry(UserId("dan"), RosterEntry(hears, NOW, hears=True), 6),
    ]
    mail.came(ALICE, 7, MemberCame(HALL, 4, NOW), roster)
    assert [sent.subject for sent in recorder.sent] == [SUBJECTS.user(BOB, HIS)]


async def test_who_came_is_told_to_the_other_members_of_that_room() -> None:
    process = await with_both()
    await process.open(opening("carol", "cellar"))
    process.recorder.sent.clear()
    await carry_out(process, MemberCame(HALL, 7, NOW))
    assert process.heard_by("bob") == ["alice joined hall"]
    assert process.heard_by("alice") == process.heard_by("carol") == []
    assert events(process) == ["joined"]


@pytest.mark.parametrize("status", ["online", "away"])
async def test_an_absence_is_told_in_every_room(status: str) -> None:
    process = await with_both()
    for user in ("alice", "bob"):
        await process.join(user, "cellar")
    process.recorder.sent.clear()
    await carry_out(process, StatusChanged(), status=status)
    assert sorted(process.heard_by("bob")) == [f"alice is {status} in {room}" for room in ("cellar", "hall")]
    assert process.heard_by("alice") == []


async def test_who_came_long_ago_is_told_to_nobody_once_more() -> None:
    process = await with_both()
    process.clock.pass_s(60)
    await carry_out(process, MemberCame(HALL, 7, NOW))
    assert process.recorder.sent == []
