"""What a user has used up follows it: told with the end of a connection, and given back later."""

import pytest

from presence.rules import session
from presence.rules.change import Change, Facts, Step
from presence.rules.session import MOST_OWED_MS
from presence.rules.user import Owed, User
from tests.unit.presence.requests import opening
from tests.unit.presence.rules.frames import NOW
from tests.unit.presence.rules.people import WINDOW_S, began, prepared, record_of
from tieline.wire.ids import ConnectionId, UserId
from tieline.wire.internal.answers import Done
from tieline.wire.internal.sessions import EndSession, Opened, OpenSession

ALICE = UserId("alice")
C0, C1 = ConnectionId("alice-c0"), ConnectionId("alice-c1")
FIRST = opening("alice", "hall", secret="alice's")
ONLINE = began(FIRST)
RESUMES = opening("alice", number=2, gateway="g2", resume="alice's")
BEGINS = opening("alice", number=2)


def ends(
    user: User | None,
    owed_s: float,
    connection: ConnectionId = C1,
    *,
    resumable: bool = True,
    now: int = NOW,
) -> Step[User]:
    """Decide on the end of a connection that has used up so much."""
    ask = EndSession(ALICE, connection, resumable, owed_s, owed_s)
    return session.lose_connection(ask, WINDOW_S, user, {}, Facts(now))


def told(ask: OpenSession, user: User, now: int) -> float:
    """Begin or resume a session; returns what its gateway is told that the user owes."""
    step = session.open_session(ask, user, {}, Facts(now))
    if isinstance(step, Change) and step.then is not None:
        user = record_of(step)
        step = session.open_session(ask, user, {}, Facts(now))
    if not isinstance(step, Change):
        step = session.open_session(ask, user, {}, prepared(step, now))
    assert isinstance(step, Change)
    assert isinstance(step.reply, Opened)
    return step.reply.owed_s


@pytest.mark.parametrize("ask", [RESUMES, BEGINS], ids=["resumes", "begins"])
@pytest.mark.parametrize("resumable", [True, False])
def test_what_is_used_up_is_owed_until_it_is_had_back(ask: OpenSession, resumable: bool) -> None:
    lost = record_of(ends(ONLINE, 8.5, resumable=resumable))
    assert told(ask, lost, NOW + 3000) == 5.5
    assert told(ask, lost, NOW + 8500) == 0
    assert told(ask, lost, NOW + 9000) == 0


def test_who_has_used_up_nothing_owes_nothing() -> None:
    assert record_of(ends(ONLINE, 0.0)).owed is None
    assert told(RESUMES, ONLINE, NOW) == 0


def test_asking_again_is_told_the_same() -> None:
    assert told(FIRST, record_of(ends(ONLINE, 5.0, C0)), NOW) == 5.0


def test_what_several_connections_used_up_is_added() -> None:
    lost = record_of(ends(ONLINE, 8.0))
    late = record_of(ends(lost, 4.0, C0, now=NOW + 2000))
    assert told(RESUMES, late, NOW + 2000) == 10.0


def test_what_was_had_back_meanwhile_counts_once() -> None:
    lost = record_of(ends(ONLINE, 8.0))
    ask = EndSession(ALICE, C0, True, 12.0, 5.0)
    for later_ms, until_ms in ((10_000, 20_000), (40_000, 45_000)):
        step = session.lose_connection(ask, WINDOW_S, lost, {}, Facts(NOW + later_ms))
        owed = record_of(step).owed
        assert owed is not None
        assert (owed.until, owed.told_by) == (NOW + until_ms, C0)


def test_the_end_of_a_replaced_connection_only_adds() -> None:
    step = ends(ONLINE, 8.0, C0)
    assert isinstance(step, Change)
    assert (step.reply, step.effects, step.timer) == (Done(), (), None)
    assert record_of(step).session == ONLINE.session


def test_a_connection_that_used_up_nothing_changes_nothing() -> None:
    assert ends(ONLINE, 0.0, C0) == Change(Done())
    assert ends(None, 8.0) == Change(Done())


def test_a_connection_is_added_once() -> None:
    assert ends(record_of(ends(ONLINE, 8.0, C0)), 8.0, C0) == Change(Done())


@pytest.mark.parametrize("seconds", [1e12, float("inf")])
def test_nobody_can_owe_without_bounds(seconds: float) -> None:
    assert record_of(ends(ONLINE, seconds)).owed == Owed(NOW + MOST_OWED_MS, C1)


def test_nonsense_is_not_added() -> None:
    assert record_of(ends(ONLINE, float("nan"))).owed is None


def test_no_more_rooms_are_asked_for_than_a_user_may_be_in() -> None:
    ask = opening("alice", "hall", "cellar", "hall", "attic")
    assert session.within_limit(ask, 2).join == ("hall", "cellar")
    assert (
        session.within_limit(ask, 3).join == session.within_limit(ask, 0).join == ("hall", "cellar", "attic")
    )
