"""What the patterns of `subjects` cover, by the wildcard rules of NATS: their own, and nothing else."""

import pytest
from hypothesis import example, given

from tests.unit.wire.samples import ANY_TEXT, HOSTILE_IDS
from tieline.wire.ids import ConnectionId, GatewayId, RoomId, SessionId, UserId
from tieline.wire.subjects import Keys, Subjects

SUBJECTS = Subjects("tieline")
SESSION = SessionId("s-1")
CONNECTION = ConnectionId("c-1")
PLAIN = UserId("plain")

every_hostile_id = pytest.mark.parametrize("text", HOSTILE_IDS, ids=ascii)


def matches(pattern: str, subject: str) -> bool:
    """Match a subject as a NATS server does: `*` is one token, `>` is one or more at the end."""
    wanted, given_ = pattern.split("."), subject.split(".")
    for place, word in enumerate(wanted):
        if word == ">":
            return len(given_) > place
        if place >= len(given_) or word not in {"*", given_[place]}:
            return False
    return len(wanted) == len(given_)


@pytest.mark.parametrize(
    ("pattern", "subject", "expected"),
    [
        ("a.b", "a.b", True),
        ("a.b", "a.c", False),
        ("a.b", "a.b.c", False),
        ("a.*", "a.b", True),
        ("a.*", "a", False),
        ("a.*", "a.b.c", False),
        ("*.b", "a.b", True),
        ("a.>", "a.b", True),
        ("a.>", "a.b.c", True),
        ("a.>", "a", False),
        (">", "a", True),
        ("a*", "ab", False),
    ],
)
def test_the_rules_these_tests_go_by_are_those_of_nats(pattern: str, subject: str, expected: bool) -> None:
    assert matches(pattern, subject) is expected


def every_subject(text: str) -> dict[str, str]:
    """One subject of each kind, all about the same id."""
    user, gateway = UserId(text), GatewayId(text)
    return {
        "signal": SUBJECTS.signal("WEBRTC_OFFER"),
        "presence": SUBJECTS.presence("check"),
        "user": SUBJECTS.user(user, SESSION),
        "live": SUBJECTS.live(user, SESSION),
        "room": SUBJECTS.room(RoomId(text), user),
        "live room": SUBJECTS.live_room(RoomId(text)).replace("*", "u"),
        "mark": SUBJECTS.mark(gateway),
        "live mark": SUBJECTS.live_mark(gateway),
        "close": SUBJECTS.gateway(gateway, "close"),
        "reply": f"{SUBJECTS.gateway(gateway, 'reply')}.1",
        "router": f"{SUBJECTS.replies('router', text)}.1",
        "replier": f"{SUBJECTS.replies('presence', text)}.1",
        "changed": SUBJECTS.changed(user),
        "question": SUBJECTS.mailbox_question(),
        "event": SUBJECTS.event("joined"),
    }


@every_hostile_id
@pytest.mark.parametrize(
    ("pattern", "kind"),
    [
        (SUBJECTS.signals(), "signal"),
        (SUBJECTS.presences(), "presence"),
        (SUBJECTS.changes(), "changed"),
        (SUBJECTS.users(), "user"),
        (SUBJECTS.rooms(), "room"),
        (SUBJECTS.marks(), "mark"),
    ],
)
def test_patterns_cover_their_own_subjects_and_no_replies(pattern: str, kind: str, text: str) -> None:
    assert [name for name, subject in every_subject(text).items() if matches(pattern, subject)] == [kind]


@every_hostile_id
def test_nothing_of_one_namespace_reaches_another(text: str) -> None:
    elsewhere = Subjects(text + "2")

    for pattern in (elsewhere.signals(), elsewhere.presences(), elsewhere.changes(), elsewhere.users()):
        assert not any(matches(pattern, subject) for subject in every_subject(text).values())


@given(ANY_TEXT, ANY_TEXT)
@example("*", "a")
@example(">", "a")
def test_a_session_wildcard_covers_every_session_of_one_user_alone(one: str, other: str) -> None:
    pattern = SUBJECTS.user(UserId(one), SESSION).removesuffix(SESSION) + "*"

    assert matches(pattern, SUBJECTS.user(UserId(one), SESSION))
    assert matches(pattern, SUBJECTS.user(UserId(other), SESSION)) == (one == other)


@given(ANY_TEXT, ANY_TEXT, ANY_TEXT)
@example("*", "a", "b")
@example("a", "a.b", ">")
def test_a_roster_is_every_line_of_one_room_alone(room: str, another: str, user: str) -> None:
    pattern = Keys.roster(RoomId(room))

    assert matches(pattern, Keys.room(RoomId(room), UserId(user)))
    assert matches(pattern, Keys.room(RoomId(another), UserId(user))) == (room == another)


@given(ANY_TEXT, ANY_TEXT, ANY_TEXT)
@example("*", "a", "b")
def test_the_patterns_of_a_user_cover_its_negotiations_alone(user: str, other: str, stranger: str) -> None:
    patterns = Keys.pairs_of(UserId(user))

    assert any(matches(pattern, Keys.pair(UserId(user), UserId(other))) for pattern in patterns)
    covered = any(matches(pattern, Keys.pair(UserId(other), UserId(stranger))) for pattern in patterns)
    assert covered == (user in {other, stranger})


@given(ANY_TEXT, ANY_TEXT)
@example("*", "a")
def test_the_pattern_of_a_gateway_s_sessions_covers_these_alone(one: str, other: str) -> None:
    pattern = Keys.sessions_of(GatewayId(one))

    assert matches(pattern, Keys.session(GatewayId(one), SESSION))
    assert matches(pattern, Keys.session(GatewayId(other), SESSION)) == (one == other)


@every_hostile_id
def test_the_pattern_of_timers_covers_every_timer_and_no_record(text: str) -> None:
    user, gateway = UserId(text), GatewayId(text)

    assert matches(Keys.timers(), Keys.offer_timer(user, PLAIN, "7"))
    assert matches(Keys.timers(), Keys.away_timer(user, CONNECTION))
    assert matches(Keys.timers(), Keys.lease_timer(gateway))
    for record in (
        Keys.user(user),
        Keys.room(RoomId(text), user),
        Keys.pair(user, PLAIN),
        Keys.session(gateway, SESSION),
    ):
        assert not matches(Keys.timers(), record)


@every_hostile_id
def test_a_timer_of_one_generation_is_not_that_of_the_next(text: str) -> None:
    first, second = (Keys.offer_timer(UserId(text), PLAIN, generation) for generation in ("7", "8"))

    assert first != second


@every_hostile_id
def test_the_mailbox_republishes_to_where_gateways_listen(text: str) -> None:
    source, destination = (pattern.removesuffix(">") for pattern in SUBJECTS.pushed())
    user, gateway = UserId(text), GatewayId(text)
    for kept, pushed in (
        (SUBJECTS.user(user, SESSION), SUBJECTS.live(user, SESSION)),
        (SUBJECTS.mark(gateway), SUBJECTS.live_mark(gateway)),
    ):
        assert kept.startswith(source)
        assert destination + kept.removeprefix(source) == pushed
