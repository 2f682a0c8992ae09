from collections import Counter

import pytest
from hypothesis import given

from tests.unit.wire.samples import ANY_TEXT
from tieline.wire.ids import ConnectionId, FrameDigest, GatewayId, RoomId, SessionId, UserId
from tieline.wire.partitions import ONE, Partitions, number_in, other_number, placed, unplaced
from tieline.wire.subjects import Keys, Subjects, token

FOUR = Partitions(4)
ALICE, BOB = UserId("alice"), UserId("bob")
GATEWAY = GatewayId("g-1")


@pytest.mark.parametrize(
    ("text", "at"), [("alice", 3), ("bob", 0), ("carol", 3), ("dave", 0), ("=E7=94=A8", 1), ("user-7", 1)]
)
def test_every_version_finds_a_user_in_the_same_partition(text: str, at: int) -> None:
    assert FOUR.of(text) == at


@pytest.mark.parametrize("number", [2, 3, 4, 8])
@pytest.mark.parametrize("form", ["user-{}", "{}", "{:08x}", "u{}@example.com"])
def test_users_are_spread_evenly(form: str, number: int) -> None:
    found = Counter(Partitions(number).of(token(form.format(one))) for one in range(4_000))
    assert len(found) == number
    assert max(found.values()) < 1.2 * 4_000 / number


@given(ANY_TEXT)
def test_one_partition_has_everything(text: str) -> None:
    assert ONE.of(token(text)) == 0
    assert ONE.of_key(Keys.user(UserId(text))) == 0


@given(ANY_TEXT)
def test_all_that_is_about_a_user_is_in_one_partition(text: str) -> None:
    user, at = UserId(text), FOUR.of(token(text))
    names = iter(f"s-{number}" for number in range(10_000))
    session = FOUR.session_for(token(user), lambda: next(names))
    for key in (
        Keys.user(user),
        Keys.away_timer(user, ConnectionId("c")),
        Keys.session(GATEWAY, session),
        Keys.lease_timer(GATEWAY, at),
        Keys.sessions_of(GATEWAY, at),
        Keys.standing(user),
        Keys.wake(user),
    ):
        assert FOUR.of_key(key) == at


@given(ANY_TEXT, ANY_TEXT)
def test_all_that_is_about_a_pair_is_in_one_partition(text: str, another: str) -> None:
    one, other = UserId(text), UserId(another)
    at = FOUR.of_key(Keys.pair(one, other))
    assert at is not None
    for key in (
        Keys.pair(other, one),
        Keys.held(one, other, FrameDigest(b"d")),
        Keys.held(other, one, FrameDigest(b"d")),
        Keys.offer_timer(one, other, "generation"),
        Keys.offer_timer(other, one, "generation"),
    ):
        assert FOUR.of_key(key) == at


def test_a_roster_is_in_the_partition_of_its_room() -> None:
    room = RoomId("lobby")
    at = FOUR.of_key(Keys.roster(room))
    assert at == FOUR.of_key(Keys.room(room, ALICE)) == FOUR.of_key(Keys.room(room, BOB)) is not None
    assert at == FOUR.of_key(Keys.given(room, ALICE)) == FOUR.of_key(Keys.given_in(room))
    assert at == FOUR.of_key(Keys.closing(room)) == FOUR.of_key(Keys.close_timer(room))


@pytest.mark.parametrize(
    "pattern", [Keys.users(), *Keys.pairs_of(ALICE), Keys.pairs(), *Keys.members(), Keys.sessions()]
)
def test_what_a_wide_pattern_matches_may_be_anywhere(pattern: str) -> None:
    assert FOUR.of_key(pattern) is None


@pytest.mark.parametrize(
    "key", [Keys.lease_timer(GATEWAY), Keys.leases(), Keys.listener(GATEWAY), Keys.listeners(), Keys.probe()]
)
def test_what_is_about_no_user_is_in_the_first_partition(key: str) -> None:
    assert FOUR.of_key(key) == 0


def test_a_key_that_is_in_each_partition_names_its_own() -> None:
    keys = [Keys.lease_timer(GATEWAY, at) for at in FOUR]
    assert [FOUR.of_key(key) for key in keys] == [0, 1, 2, 3]
    assert {unplaced(key) for key in keys} == {Keys.lease_timer(GATEWAY)}
    assert placed("a.*", 0) == "a.*"


def test_the_stream_of_one_partition_keeps_its_name() -> None:
    (only,) = Subjects("tieline").parts()
    assert (only.mailbox(), only.bucket()) == ("MAILBOX_tieline", "tieline")
    assert only.captured() == [only.users(), only.rooms(), only.marks(), only.mailbox_question()]
    assert only.beside_bucket() == ()


def test_each_partition_has_a_stream_of_its_own() -> None:
    parts = Subjects("tieline", 2).parts()
    assert [part.mailbox() for part in parts] == ["MAILBOX_tieline-0-of-2", "MAILBOX_tieline-1-of-2"]
    assert [part.bucket() for part in parts] == ["tieline-0-of-2", "tieline-1-of-2"]


def test_two_partitions_share_no_subject() -> None:
    one, other = Subjects("tieline", 2).parts()
    assert not set(one.captured()) & set(other.captured())
    assert not set(one.pushed()) & set(other.pushed())


@pytest.mark.parametrize(("one", "other"), [(1, 4), (4, 1), (2, 3)])
def test_two_numbers_of_partitions_cannot_be_there_together(one: int, other: int) -> None:
    first, second = Subjects("tieline", one), Subjects("tieline", other)
    assert first.which() == second.which() in set(first.captured()) & set(second.captured())
    assert not set(first.captured()[:3]) & set(second.captured()[:3])
    locks = [*first.beside_bucket(), *second.beside_bucket()]
    assert set(locks) == {"$KV.tieline.usable"}


def test_a_frame_goes_to_the_partition_of_its_user() -> None:
    subjects, session = Subjects("tieline", 4), SessionId("s")
    part = subjects.parts()[subjects.place_of(ALICE)]
    assert subjects.user(ALICE, session) == "tieline.3-of-4.user.alice.s" == part.user(ALICE, session)
    assert subjects.live(ALICE, session) == "tieline.live.3-of-4.user.alice.s"
    assert part.pushed() == ("tieline.3-of-4.>", "tieline.live.3-of-4.>")


@pytest.mark.parametrize(
    ("stream", "number"),
    [
        ("MAILBOX_tieline", 1),
        ("MAILBOX_tieline-0-of-4", 4),
        ("KV_tieline-13-of-16", 16),
        ("MAILBOX_one-of-many", 1),
        ("MAILBOX_x-of-4", 1),
    ],
)
def test_a_stream_says_of_how_many_partitions_it_is(stream: str, number: int) -> None:
    assert number_in(stream) == number


def test_another_number_is_told_with_the_one_that_is_there() -> None:
    told = other_number(4, "MAILBOX_tieline")
    assert "TIELINE_PARTITIONS is 4" in told
    assert "is in 1 (MAILBOX_tieline)" in told
    assert "in another number" in other_number(4, "")
