"""What rules are asked with, and answer: what is said of nothing is nothing."""

from presence.rules.change import Change, Facts, Prepare
from presence.rules.user import User
from tests.unit.presence.rules.frames import NOW
from tieline.wire.ids import RoomId, SessionId
from tieline.wire.internal.answers import Done


def test_a_reply_alone_changes_nothing_and_tells_nobody() -> None:
    change = Change[User](Done())
    assert (change.record, change.timer, change.then) == (None, None, None)
    assert (change.effects, change.said, change.timed_out) == ((), (), False)


def test_facts_know_of_nothing_that_was_not_prepared() -> None:
    facts = Facts(NOW)
    assert (facts.prepared, facts.note) == (None, 0)
    assert not facts.entries


def test_what_was_prepared_serves_for_the_very_same_wish() -> None:
    wanted = Prepare(SessionId("alice-s1"), rooms=(RoomId("hall"),))
    assert wanted == Prepare(SessionId("alice-s1"), rooms=(RoomId("hall"),))
    assert wanted != Prepare(SessionId("alice-s2"), rooms=(RoomId("hall"),))
    assert wanted != Prepare(SessionId("alice-s1"))
