"""How a session loses its connection, its gateway or its rights, and ends; what gateways ask of it else."""

import msgspec
import pytest

from presence.rules import session
from presence.rules.change import Change, Facts, Step, Timer
from presence.rules.effects import (
    Changed,
    CloseConnection,
    Deliver,
    EndCalls,
    EndCallsWithoutRoom,
    MemberWent,
    RemoveNote,
    SessionEnded,
    StatusChanged,
    UserEffect,
)
from presence.rules.user import User, with_session
from tests.unit.presence.requests import opening
from tests.unit.presence.rules.frames import NOW
from tests.unit.presence.rules.people import (
    FIRST_ENTRY,
    NOTE,
    WINDOW_S,
    away,
    began,
    ended,
    record_of,
    resumed,
)
from tieline.wire.codes import CloseCode
from tieline.wire.ids import Address, ConnectionId, GatewayId, RoomId, SessionId, UserId
from tieline.wire.internal.answers import Done, SessionGone
from tieline.wire.internal.sessions import EndSession, Regrant, Tell
from tieline.wire.subjects import Keys

ALICE, BOB = UserId("alice"), UserId("bob")
G1, G2 = GatewayId("g1"), GatewayId("g2")
HALL, CELLAR, ATTIC = RoomId("hall"), RoomId("cellar"), RoomId("attic")
S1, C1, C2 = SessionId("alice-s1"), ConnectionId("alice-c1"), ConnectionId("alice-c2")
ONLINE = began(opening("alice", "hall", "cellar", secret="alice's"))
WITHOUT_SECRET = began(opening("alice", "hall", "cellar"))
LATER = NOW + 10_000

ENDED: tuple[UserEffect, ...] = (
    Changed(ALICE),
    EndCalls(S1, LATER),
    SessionEnded(S1, LATER),
    RemoveNote(S1, G1, NOTE),
)
LAST_NOTE = RemoveNote(S1, G1, NOTE, last=True)
ENDED_WITH_ITS_GATEWAY = (*ENDED[:-1], LAST_NOTE)


def loses(user: User | None, connection: ConnectionId = C1, *, resumable: bool = True) -> object:
    """Decide on the end of a connection."""
    ask = EndSession(ALICE, connection, resumable)
    return session.lose_connection(ask, WINDOW_S, user, {}, Facts(LATER))


def orphans(user: User | None, of: SessionId = S1) -> Step[User]:
    """Decide on a session of a gateway that has died, the first one."""
    return session.orphan(Address(ALICE, of), G1, WINDOW_S, user, {}, Facts(LATER))


def gives_up(user: User | None, connection: ConnectionId = C1) -> object:
    """Decide on a session when the window for its resumption has passed."""
    return session.give_up(ALICE, connection, user, {}, Facts(LATER))


def regrants(
    user: User | None, *granted: RoomId, every: bool = False, voice: bool = True, of: SessionId = S1
) -> object:
    """Decide on a newer token, for these rooms or for every room."""
    ask = Regrant(ALICE, of, voice, None if every else granted, (HALL, CELLAR))
    return session.regrant(ask, user, {}, Facts(LATER))


def offline(user: User) -> User:
    """Let a user's session have ended; the rooms stay as the memory of where the user was."""
    return with_session(user, msgspec.structs.replace(user.session, status="offline", note=0))


def timer(connection: ConnectionId = C1, seconds: float = WINDOW_S) -> Timer:
    """The timer of the window for a resumption."""
    return Timer(Keys.away_timer(ALICE, connection), seconds)


@pytest.mark.parametrize("resumable", [False, True])
def test_the_end_of_a_connection_without_the_session_ends_nothing(resumable: bool) -> None:
    again = resumed(opening("alice", number=2, resume="alice's"), ONLINE)
    for user in (None, again, ended(ONLINE)):
        assert loses(user, resumable=resumable) == Change(Done())


def test_a_session_that_loses_its_connection_waits_to_be_resumed() -> None:
    waiting = msgspec.structs.replace(ONLINE.session, status="away", status_changes=1, lost_at=LATER)
    assert loses(ONLINE) == Change(Done(), with_session(ONLINE, waiting), (StatusChanged(at=LATER),), timer())


def test_losing_the_same_connection_again_sets_the_timer_again() -> None:
    assert loses(away(ONLINE)) == Change(Done(), timer=timer())


def test_a_connection_that_is_told_lost_once_more_waits_no_longer() -> None:
    ask = EndSession(ALICE, C1, resumable=True, lost_for_s=3, asked=5)
    waits = record_of(session.lose_connection(ask, WINDOW_S, ONLINE, {}, Facts(NOW)))
    assert (waits.session.status, waits.session.lost_at, waits.session.left) == ("away", NOW - 3000, True)
    for lost_for_s in (0, 13):  # as undoes a late answer; or as is told again
        again = msgspec.structs.replace(ask, lost_for_s=lost_for_s)
        step = session.lose_connection(again, WINDOW_S, waits, {}, Facts(LATER))
        assert step == Change(Done(), timer=timer(seconds=WINDOW_S - 13))
    late = Facts(NOW + 60_000)
    step = session.lose_connection(ask, WINDOW_S, waits, {}, late)
    assert step == Change(Done(), timer=timer(seconds=session.MIN_TIMER_S))
    set_back = session.lose_connection(ask, WINDOW_S, waits, {}, Facts(NOW - 60_000))
    assert set_back == Change(Done(), timer=timer())


def test_of_an_older_process_a_loss_that_is_told_again_counts_anew() -> None:
    ask = EndSession(ALICE, C1, resumable=True, asked=5)
    waits = record_of(session.lose_connection(ask, WINDOW_S, ONLINE, {}, Facts(NOW)))
    unknown = with_session(waits, msgspec.structs.replace(waits.session, lost_at=0))
    step = session.lose_connection(ask, WINDOW_S, unknown, {}, Facts(LATER))
    assert step == Change(Done(), timer=timer())


def test_whose_gateway_was_taken_for_dead_is_lost_when_it_says_so() -> None:
    orphaned = record_of(orphans(ONLINE))
    ask = EndSession(ALICE, C1, resumable=True, lost_for_s=2, asked=5)
    step = session.lose_connection(ask, WINDOW_S, orphaned, {}, Facts(LATER + 7000))
    told = msgspec.structs.replace(orphaned.session, left=True, lost_at=LATER + 5000)
    assert step == Change(Done(), with_session(orphaned, told), timer=timer(seconds=WINDOW_S - 2))


@pytest.mark.parametrize(
    ("user", "resumable"),
    [(ONLINE, False), (WITHOUT_SECRET, True), (away(ONLINE), False)],
    ids=["closed", "without a secret", "closed while away"],
)
def test_a_session_that_cannot_be_resumed_ends(user: User, resumable: bool) -> None:
    assert loses(user, resumable=resumable) == Change(Done(), offline(user), ENDED)


def test_the_end_of_a_session_without_a_note_removes_none() -> None:
    user = with_session(WITHOUT_SECRET, msgspec.structs.replace(WITHOUT_SECRET.session, note=0))
    assert loses(user) == Change(Done(), offline(user), ENDED[:-1])


def test_a_session_whose_gateway_died_waits_to_be_resumed() -> None:
    waiting = msgspec.structs.replace(ONLINE.session, status="away", status_changes=1, note=0, lost_at=LATER)
    assert orphans(ONLINE) == Change(
        Done(), with_session(ONLINE, waiting), (StatusChanged(at=LATER), LAST_NOTE), timer()
    )


def test_a_session_that_is_away_when_its_gateway_dies_stays_away() -> None:
    before = away(ONLINE)
    after = with_session(before, msgspec.structs.replace(before.session, note=0))
    assert orphans(before) == Change(Done(), after, (LAST_NOTE,), timer(seconds=WINDOW_S - 10))


def test_a_session_without_a_secret_ends_with_its_gateway() -> None:
    close = CloseConnection(ALICE, S1, G1, C1, int(CloseCode.BROKER_LOST))
    assert orphans(WITHOUT_SECRET) == Change(
        Done(), offline(WITHOUT_SECRET), (close, *ENDED_WITH_ITS_GATEWAY)
    )


@pytest.mark.parametrize(
    ("user", "replaced"),
    [
        (None, False),
        (began(opening("alice", number=2)), True),
        (resumed(opening("alice", number=2, gateway="g2", resume="alice's"), ONLINE), True),
        (offline(ONLINE), False),
        (with_session(away(ONLINE), msgspec.structs.replace(away(ONLINE).session, note=0)), True),
    ],
    ids=["unknown", "replaced", "resumed elsewhere", "ended", "looked after"],
)
def test_what_a_dead_gateway_does_not_have_is_left_alone(user: User | None, replaced: bool) -> None:
    assert orphans(user) == Change(SessionGone(replaced))


def test_a_session_that_was_not_resumed_in_its_window_ends() -> None:
    before = away(ONLINE)
    assert gives_up(before) == Change(Done(), offline(before), ENDED)


@pytest.mark.parametrize(
    ("user", "connection"),
    [
        (None, C1),
        (ONLINE, C1),
        (ended(ONLINE), C1),
        (away(resumed(opening("alice", number=2, resume="alice's"), ONLINE)), C1),
    ],
    ids=["unknown", "online", "ended", "away for the loss of another connection"],
)
def test_the_end_of_the_window_concerns_what_still_waits(user: User | None, connection: ConnectionId) -> None:
    assert gives_up(user, connection) == Change(Done())


def test_rooms_that_a_newer_token_does_not_grant_are_lost() -> None:
    kept = msgspec.structs.replace(ONLINE, rooms={CELLAR: ONLINE.rooms[CELLAR]})
    assert regrants(ONLINE, CELLAR, ATTIC) == Change(
        Done(),
        kept,
        (
            Changed(ALICE),
            EndCallsWithoutRoom("kicked", f"left-{FIRST_ENTRY}", LATER, tell_user=True),
            MemberWent(HALL, S1, FIRST_ENTRY, "kicked", LATER, tell_user=True),
        ),
    )


def test_the_right_to_speak_changes_at_once_for_lists_alone() -> None:
    mute = msgspec.structs.replace(ONLINE, voice=False)
    assert regrants(ONLINE, every=True, voice=False) == Change(
        Done(), mute, (StatusChanged(is_silent=True, at=LATER),)
    )
    assert regrants(mute, every=True, voice=True) == Change(
        Done(), ONLINE, (StatusChanged(is_silent=True, at=LATER),)
    )


def test_a_newer_token_that_says_the_same_changes_nothing() -> None:
    pending = msgspec.structs.replace(ONLINE, pending=(StatusChanged(),))
    for user in (ONLINE, pending):
        assert regrants(user, every=True) == regrants(user, HALL, CELLAR) == Change(Done())


@pytest.mark.parametrize(
    ("user", "replaced"),
    [(None, False), (ended(ONLINE), False), (began(opening("alice", number=2)), True)],
    ids=["unknown", "ended", "replaced"],
)
def test_a_session_that_is_gone_gets_no_newer_rights(user: User | None, replaced: bool) -> None:
    assert regrants(user, HALL) == Change(SessionGone(replaced))


def test_a_gateway_tells_the_client_of_its_own_connection() -> None:
    step = session.tell(Tell(ALICE, C1, b"frame"), ONLINE, {}, Facts(LATER))
    assert step == Change(Done(), said=(Deliver(Address(ALICE, S1), b"frame"),))


@pytest.mark.parametrize(
    ("user", "replaced"),
    [(None, False), (resumed(opening("alice", number=2, resume="alice's"), ONLINE), True)],
    ids=["unknown", "resumed on another connection"],
)
def test_a_gateway_tells_no_other_client_anything(user: User | None, replaced: bool) -> None:
    step = session.tell(Tell(ALICE, C1, b"frame"), user, {}, Facts(LATER))
    assert step == Change(SessionGone(replaced))


def test_a_connection_is_replaced_when_its_user_has_another_one() -> None:
    users = {ALICE: resumed(opening("alice", number=2, resume="alice's"), ONLINE)}
    asked = [(ALICE, C1), (ALICE, C2), (BOB, ConnectionId("bob-c1"))]
    assert session.replaced(asked, users) == ((ALICE, C1),)


def test_a_connection_whose_session_has_ended_is_not_replaced() -> None:
    assert session.replaced([(ALICE, C1)], {ALICE: ended(ONLINE)}) == ()


@pytest.mark.parametrize("of", [None, ONLINE, ended(ONLINE)], ids=["unknown", "none left", "ended"])
def test_what_nobody_has_left_is_forgotten_without_a_change(of: User | None) -> None:
    """Another process has ended these calls, too, and was quicker."""
    left = EndCalls(SessionId("alice-s0"), NOW)
    assert session.calls_are_ended(left, of, {}, Facts(LATER)) == Change(Done())


def test_when_the_older_session_s_calls_have_ended_none_are_left() -> None:
    left = EndCalls(SessionId("alice-s0"), NOW)
    user = msgspec.structs.replace(ONLINE, ending=left)
    assert session.calls_are_ended(left, user, {}, Facts(LATER)) == Change(Done(), ONLINE)
