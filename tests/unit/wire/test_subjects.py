import re
from collections.abc import Callable

import pytest
from hypothesis import example, given

from tests.unit.wire.samples import ANY_TEXT, HOSTILE_IDS
from tieline.wire.ids import ConnectionId, FrameDigest, GatewayId, RoomId, SessionId, UserId
from tieline.wire.subjects import (
    Keys,
    Subjects,
    identifier,
    room_and_user,
    token,
    user_of_change,
    users_of_pair,
)

SUBJECTS = Subjects("tieline")
SESSION = SessionId("s-1")
CONNECTION = ConnectionId("c-1")
PLAIN = UserId("plain")

TOKEN = re.compile(r"(?:[A-Za-z0-9_-]|=[0-9A-F]{2})+")
KV_KEY = re.compile(r"[-/_=.a-zA-Z0-9]+")
"""What JetStream's KV allows as a key."""

BUILDERS: dict[str, tuple[Callable[[str], str], tuple[int, ...]]] = {
    "Subjects.replayed": (SUBJECTS.replayed, (3,)),
    "Subjects.user": (lambda text: SUBJECTS.user(UserId(text), SESSION), (2,)),
    "Subjects.user, the session": (lambda text: SUBJECTS.user(PLAIN, SessionId(text)), (3,)),
    "Subjects.mail": (lambda text: SUBJECTS.mail(UserId(text), SESSION), (2,)),
    "Subjects.live, the session": (lambda text: SUBJECTS.live(PLAIN, SessionId(text)), (4,)),
    "Keys.session, the session": (lambda text: Keys.session(GatewayId("g"), SessionId(text)), (2,)),
    "Keys.offer_timer, the generation": (lambda text: Keys.offer_timer(PLAIN, PLAIN, text), (4,)),
    "Keys.away_timer, the connection": (lambda text: Keys.away_timer(PLAIN, ConnectionId(text)), (3,)),
    "Subjects.live": (lambda text: SUBJECTS.live(UserId(text), SESSION), (3,)),
    "Subjects.room, the room": (lambda text: SUBJECTS.room(RoomId(text), PLAIN), (2,)),
    "Subjects.room, the user": (lambda text: SUBJECTS.room(RoomId("plain"), UserId(text)), (3,)),
    "Subjects.room_log": (lambda text: SUBJECTS.room_log(RoomId(text)), (2,)),
    "Subjects.live_room": (lambda text: SUBJECTS.live_room(RoomId(text)), (3,)),
    "Subjects.mark": (lambda text: SUBJECTS.mark(GatewayId(text)), (2,)),
    "Subjects.live_mark": (lambda text: SUBJECTS.live_mark(GatewayId(text)), (3,)),
    "Subjects.gateway": (lambda text: SUBJECTS.gateway(GatewayId(text), "close"), (2,)),
    "Subjects.inbox": (lambda text: SUBJECTS.inbox("router", text), (2,)),
    "Subjects.replies": (lambda text: SUBJECTS.replies("router", text), (2,)),
    "Subjects.judge": (lambda text: SUBJECTS.judge(text), (2,)),
    "Subjects.changed": (lambda text: SUBJECTS.changed(UserId(text)), (2,)),
    "Subjects, its namespace": (lambda text: Subjects(text).changed(PLAIN), (0,)),
    "Keys.user": (lambda text: Keys.user(UserId(text)), (1,)),
    "Keys.room, the room": (lambda text: Keys.room(RoomId(text), PLAIN), (1,)),
    "Keys.room, the user": (lambda text: Keys.room(RoomId("plain"), UserId(text)), (2,)),
    "Keys.pair, with oneself": (lambda text: Keys.pair(UserId(text), UserId(text)), (1, 2)),
    "Keys.session": (lambda text: Keys.session(GatewayId(text), SESSION), (1,)),
    "Keys.offer_timer, the offerer": (lambda text: Keys.offer_timer(UserId(text), PLAIN, "7"), (2,)),
    "Keys.offer_timer, the target": (lambda text: Keys.offer_timer(PLAIN, UserId(text), "7"), (3,)),
    "Keys.away_timer": (lambda text: Keys.away_timer(UserId(text), CONNECTION), (2,)),
    "Keys.lease_timer": (lambda text: Keys.lease_timer(GatewayId(text)), (2,)),
    "Keys.listener": (lambda text: Keys.listener(GatewayId(text)), (1,)),
    "Keys.roster": (lambda text: Keys.roster(RoomId(text)), (1,)),
    "Keys.held": (lambda text: Keys.held(UserId(text), UserId(text), FrameDigest(b"d")), (1, 2)),
    "Keys.pairs_of, the first": (lambda text: Keys.pairs_of(UserId(text))[0], (1,)),
    "Keys.pairs_of, the second": (lambda text: Keys.pairs_of(UserId(text))[1], (2,)),
    "Keys.standing": (lambda text: Keys.standing(UserId(text)), (1,)),
    "Keys.wake": (lambda text: Keys.wake(UserId(text)), (1,)),
    "Keys.given, the room": (lambda text: Keys.given(RoomId(text), PLAIN), (1,)),
    "Keys.given, the user": (lambda text: Keys.given(RoomId("plain"), UserId(text)), (2,)),
    "Keys.given_in": (lambda text: Keys.given_in(RoomId(text)), (1,)),
    "Keys.once": (Keys.once, (1,)),
    "Keys.closing": (lambda text: Keys.closing(RoomId(text)), (1,)),
    "Keys.close_timer": (lambda text: Keys.close_timer(RoomId(text)), (2,)),
    "Keys.sessions_of": (lambda text: Keys.sessions_of(GatewayId(text)), (1,)),
}
"""Every builder that takes an id from outside, and where in its subject the id stands."""

WITHOUT_IDS = {
    "Subjects.reply_to",
    "Keys.kinds",
    "Keys.last_number",
    "Keys.members",
    "Keys.pairs",
    "Keys.sessions",
    "Keys.probe",
    "Keys.users",
    "Subjects.signal",
    "Subjects.signals",
    "Subjects.presence",
    "Subjects.presences",
    "Subjects.users",
    "Subjects.rooms",
    "Subjects.marks",
    "Subjects.pushed",
    "Subjects.mailbox_elections",
    "Subjects.mailbox_question",
    "Subjects.mailbox",
    "Subjects.bucket",
    "Subjects.beside_bucket",
    "Subjects.captured",
    "Subjects.parts",
    "Subjects.place_of",
    "Subjects.which",
    "Subjects.changes",
    "Subjects.event",
    "Subjects.cloud_event",
    "Subjects.cloud_events",
    "Subjects.event_stream",
    "Subjects.told_events",
    "Subjects.news",
    "Subjects.webhooks",
    "Keys.timers",
    "Keys.leases",
    "Keys.listeners",
}

every_builder = pytest.mark.parametrize(("build", "places"), BUILDERS.values(), ids=BUILDERS.keys())
every_hostile_id = pytest.mark.parametrize("text", HOSTILE_IDS, ids=ascii)


# Tokens.


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ("user_123", "user_123"),
        ("AZaz09-_", "AZaz09-_"),
        ("*", "=2A"),
        (">", "=3E"),
        ("a.b", "a=2Eb"),
        ("a b", "a=20b"),
        ("用", "=E7=94=A8"),
        ("$JS.API.>", "=24JS=2EAPI=2E=3E"),
        ("\r\n", "=0D=0A"),
        ("=41", "=3D41"),
    ],
)
def test_plain_signs_stay_and_every_other_byte_is_hex(text: str, encoded: str) -> None:
    assert token(text) == encoded
    assert identifier(encoded) == text


@every_hostile_id
def test_a_hostile_id_is_one_token_and_comes_back(text: str) -> None:
    assert TOKEN.fullmatch(token(text))
    assert identifier(token(text)) == text


@given(ANY_TEXT)
@example("=41")
@example("A")
def test_every_text_comes_back_from_its_token(text: str) -> None:
    assert TOKEN.fullmatch(token(text))
    assert identifier(token(text)) == text


@given(ANY_TEXT, ANY_TEXT)
@example("A", "=41")
@example("a.b", "a=2Eb")
def test_two_ids_never_share_a_token(one: str, other: str) -> None:
    assert (token(one) == token(other)) == (one == other)


def test_an_empty_id_has_no_token() -> None:
    with pytest.raises(ValueError, match="empty"):
        token("")


def test_a_lone_surrogate_has_no_token() -> None:
    with pytest.raises(UnicodeEncodeError):
        token("a\ud800")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "=",
        "=4",
        "=41",
        "=2a",
        "=2E2E=",
        "a.b",
        "*",
        "a b",
        "=FF",
        "=ED=A0=80",
        "= 1",
        "=G0",
        "é",
        "\ud800",
        "=-1",
    ],
    ids=ascii,
)
def test_what_no_id_is_encoded_as_is_not_decoded(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # three kinds of it, and the kind says nothing here
        identifier(text)


# Builders.


def test_no_builder_is_missing_in_these_tests() -> None:
    public = {
        f"{owner.__name__}.{name}"
        for owner in (Subjects, Keys)
        for name in vars(owner)
        if not name.startswith("_")
    }

    assert public == {name.partition(",")[0] for name in BUILDERS if "." in name} | WITHOUT_IDS


@every_hostile_id
@every_builder
def test_a_hostile_id_stands_in_its_subject_as_one_readable_token(
    build: Callable[[str], str], places: tuple[int, ...], text: str
) -> None:
    ordinary, hostile = build("ordinary").split("."), build(text).split(".")

    assert len(hostile) == len(ordinary)
    for place, (usual, odd) in enumerate(zip(ordinary, hostile, strict=True)):
        if place in places:
            assert TOKEN.fullmatch(odd)
            assert identifier(odd) == text
        else:
            assert odd == usual


@given(ANY_TEXT)
def test_no_id_changes_the_number_of_tokens_of_a_subject(text: str) -> None:
    for build, _ in BUILDERS.values():
        subject = build(text)
        assert subject.count(".") == build("ordinary").count(".")
        assert re.fullmatch(r"[A-Za-z0-9_=.*-]+", subject)


@every_builder
def test_an_empty_id_builds_nothing(build: Callable[[str], str], places: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="empty"):
        build("")


@every_builder
def test_two_ids_never_share_a_subject(build: Callable[[str], str], places: tuple[int, ...]) -> None:
    assert len({build(text) for text in HOSTILE_IDS}) == len(HOSTILE_IDS)


@pytest.mark.parametrize("text", HOSTILE_IDS, ids=ascii)
def test_every_key_is_one_that_the_bucket_takes(text: str) -> None:
    keys = (
        Keys.user(UserId(text)),
        Keys.room(RoomId(text), UserId(text)),
        Keys.pair(UserId(text), PLAIN),
        Keys.session(GatewayId(text), SESSION),
        Keys.offer_timer(UserId(text), UserId(text), "7"),
        Keys.away_timer(UserId(text), CONNECTION),
        Keys.lease_timer(GatewayId(text)),
    )

    assert all(KV_KEY.fullmatch(key) and ".." not in key for key in keys)


@pytest.mark.parametrize("text", HOSTILE_IDS, ids=ascii)
def test_every_namespace_has_a_stream_with_a_valid_name(text: str) -> None:
    assert re.fullmatch(r"MAILBOX_[A-Za-z0-9_=-]+", Subjects(text).mailbox())
    assert len({Subjects(name).mailbox() for name in HOSTILE_IDS}) == len(HOSTILE_IDS)


def test_the_subjects_are_spelled_as_the_design_draws_them() -> None:
    user, gateway = UserId("u"), GatewayId("g")

    assert SUBJECTS.signal("WEBRTC_OFFER") == "tieline.signal.WEBRTC_OFFER"
    assert SUBJECTS.presence("check") == "tieline.presence.check"
    assert SUBJECTS.user(user, SESSION) == "tieline.user.u.s-1"
    assert SUBJECTS.gateway(gateway, "close") == "tieline.gateway.g.close"
    assert SUBJECTS.replies("presence", "p") == "tieline.presence.p.reply"
    assert SUBJECTS.changed(user) == "tieline.changed.u"
    assert SUBJECTS.event("joined") == "tieline.events.joined"
    assert SUBJECTS.mailbox_question() == "tieline.mailbox.question"
    assert SUBJECTS.mailbox() == "MAILBOX_tieline"


def test_the_keys_are_spelled_as_the_design_draws_them() -> None:
    user, gateway = UserId("u"), GatewayId("g")

    assert Keys.user(user) == "user.u"
    assert Keys.room(RoomId("r"), user) == "room.r.u"
    assert Keys.pair(UserId("b"), UserId("a")) == "pair.a.b"
    assert Keys.session(gateway, SESSION) == "session.g.s-1"
    assert Keys.offer_timer(user, UserId("v"), "7") == "timer.offer.u.v.7"
    assert Keys.away_timer(user, CONNECTION) == "timer.away.u.c-1"
    assert Keys.lease_timer(gateway) == "timer.lease.g"


# Pairs.


@given(ANY_TEXT, ANY_TEXT)
@example("a", "a.b")
@example("=", "A")
def test_a_pair_has_one_key_from_either_side_and_names_both_users(one: str, other: str) -> None:
    key = Keys.pair(UserId(one), UserId(other))

    assert key == Keys.pair(UserId(other), UserId(one))
    assert sorted(users_of_pair(key)) == sorted((one, other))


@given(ANY_TEXT, ANY_TEXT, ANY_TEXT)
def test_two_pairs_never_share_a_key(one: str, other: str, third: str) -> None:
    same = Keys.pair(UserId(one), UserId(other)) == Keys.pair(UserId(one), UserId(third))

    assert same == (other == third)


@pytest.mark.parametrize(
    "key", ["", "pair", "pair.a", "pair.a.b.c", "user.a.b", "pair..b", "pair.a.*", "pair.=41.b"]
)
def test_a_key_of_something_else_is_no_pair(key: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # of several kinds
        users_of_pair(key)


@every_hostile_id
def test_whose_change_it_is_can_be_read_back(text: str) -> None:
    subject = SUBJECTS.room(RoomId("plain"), UserId(text))
    assert user_of_change(subject) == text
    assert user_of_change(subject.replace(".room.", ".live.room.")) == text


# Where answers may go.


@pytest.mark.parametrize("service", ["gateway", "router", "presence"])
def test_a_reply_is_heard_where_its_service_hears_replies(service: str) -> None:
    may_go_to = SUBJECTS.reply_to(service)
    assert may_go_to(f"{SUBJECTS.replies(service, 'g1-用')}.0123456789abcdef")
    assert may_go_to(f"{SUBJECTS.replies(service, 'x' * 128)}.17")
    for other in {"gateway", "router", "presence"} - {service}:
        assert not may_go_to(f"{SUBJECTS.replies(other, 'g1')}.17")
    assert not may_go_to(f"{Subjects('other').replies(service, 'g1')}.17")


def test_a_member_is_read_back_from_its_keys() -> None:
    room, user = RoomId("a.b *"), UserId("用户")
    assert room_and_user(Keys.room(room, user)) == (room, user)
    assert room_and_user(Keys.given(room, user)) == (room, user)
    with pytest.raises(ValueError, match="not enough values"):
        room_and_user(Keys.user(user))


def test_events_of_the_stream_are_told_of_where_workers_listen() -> None:
    event = SUBJECTS.cloud_event("call.offered")
    assert event == "tieline.cloudevents.call.offered"
    assert SUBJECTS.cloud_events() == "tieline.cloudevents.>"
    assert SUBJECTS.told_events() == (SUBJECTS.cloud_events(), "tieline.live.cloudevents.>")
    assert SUBJECTS.news() == "tieline.live.cloudevents.*.*"
