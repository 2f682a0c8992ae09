import msgspec
import pytest

from presence import member
from presence.member import Former, User
from tieline.wire.ids import ConnectionId, GatewayId, ResumeToken, RoomId, SecretHash, SessionId, UserId
from tieline.wire.internal import OpenSession, secret_hash

HALL, CELLAR = RoomId("hall"), RoomId("cellar")
SECRET = secret_hash(ResumeToken("open sesame"))
NO_SECRET = SecretHash(b"")


def asked(connection: str = "c-1", *, voice: bool = True, secret: SecretHash = SECRET) -> OpenSession:
    """What a gateway asks for a client that connects."""
    return OpenSession(
        UserId("alice"),
        SessionId("s-1"),
        GatewayId(f"g-of-{connection}"),
        ConnectionId(connection),
        voice,
        (),
        secret,
        NO_SECRET,
        None,
    )


def alice(*rooms: RoomId, secret: SecretHash = SECRET) -> User:
    """A user whose session has begun."""
    return member.begun(asked(secret=secret), dict.fromkeys(rooms, 1000))


def test_a_session_begins_online_as_it_was_asked_for() -> None:
    assert member.begun(asked(voice=False), {HALL: 1000}) == User(
        SessionId("s-1"), GatewayId("g-of-c-1"), ConnectionId("c-1"), SECRET, "online", False, {HALL: 1000}
    )


@pytest.mark.parametrize(
    ("user", "reachable"),
    [(alice(), True), (member.away(alice()), True), (member.ended(alice()), False)],
    ids=["online", "away", "offline"],
)
def test_a_user_is_reachable_until_its_session_has_ended(user: User, reachable: bool) -> None:
    assert user.is_reachable is reachable
    assert user.has_live(SessionId("s-1")) is reachable


def test_another_session_than_the_live_one_is_not_live() -> None:
    assert not alice().has_live(SessionId("s-2"))


def test_a_room_is_joined_once_and_keeps_its_time() -> None:
    user = member.joined(member.joined(alice(), HALL, 1000), CELLAR, 2000)
    assert user.rooms == {HALL: 1000, CELLAR: 2000}
    assert member.joined(user, HALL, 3000).rooms == {HALL: 1000, CELLAR: 2000}


def test_a_room_is_left_and_the_others_stay() -> None:
    assert member.left(alice(HALL, CELLAR), HALL).rooms == {CELLAR: 1000}
    assert member.left(alice(CELLAR), HALL) == alice(CELLAR)


def test_a_session_that_ended_remembers_where_it_was() -> None:
    assert member.ended(alice(HALL)).rooms == {HALL: 1000}
    assert member.ended(alice(HALL)).status == "offline"


def test_a_session_that_is_away_keeps_all_but_its_status() -> None:
    user = alice(HALL)
    assert member.away(user) == msgspec.structs.replace(user, status="away", turns=1)
    back = member.settled(member.resumed(member.away(user), asked()))
    assert back == msgspec.structs.replace(user, turns=2)


@pytest.mark.parametrize("user", [alice(HALL), member.away(alice(HALL))], ids=["online", "away"])
def test_a_resumed_session_remembers_what_it_was_until_everybody_knows(user: User) -> None:
    resumed = member.resumed(user, asked("c-2"))
    assert user.status != "offline"
    assert resumed.former == Former(GatewayId("g-of-c-1"), ConnectionId("c-1"), user.status, (HALL,))
    assert member.left(resumed, HALL).former == resumed.former
    assert member.settled(resumed).former is None


def test_going_away_and_coming_back_are_counted_and_being_told_to_go_again_is_not() -> None:
    user, turns = alice(HALL), []
    for _ in range(3):
        user = member.away(user)
        assert member.away(user) is user
        turns.append(user.turns)
        user = member.resumed(user, asked())
        turns.append(user.turns)
    assert turns == [1, 2, 3, 4, 5, 6]


def test_a_resumed_session_is_online_on_its_new_connection_with_what_the_new_token_grants() -> None:
    user = member.resumed(member.away(alice(HALL)), asked("c-2", voice=False))
    assert (user.status, user.gateway, user.connection, user.voice) == ("online", "g-of-c-2", "c-2", False)
    assert (user.session, user.secret, user.rooms) == ("s-1", SECRET, {HALL: 1000})


@pytest.mark.parametrize("user", [alice(), member.away(alice())], ids=["online", "away"])
def test_who_knows_the_secret_may_resume_a_live_session(user: User) -> None:
    assert member.may_be_resumed_by(user, SECRET)


@pytest.mark.parametrize(
    ("user", "secret"),
    [
        (alice(), secret_hash(ResumeToken("open barley"))),
        (alice(), NO_SECRET),
        (alice(secret=NO_SECRET), NO_SECRET),
        (alice(secret=NO_SECRET), SECRET),
        (member.ended(alice()), SECRET),
    ],
    ids=["wrong", "none", "none of a session that has none", "any of a session that has none", "ended"],
)
def test_nobody_else_may_resume_anything(user: User, secret: SecretHash) -> None:
    assert not member.may_be_resumed_by(user, secret)


def test_two_users_share_a_room_when_both_are_or_were_in_it() -> None:
    assert member.share_a_room(alice(HALL, CELLAR), alice(CELLAR))
    assert member.share_a_room(alice(HALL), member.ended(alice(HALL)))
    assert not member.share_a_room(alice(HALL), alice(CELLAR))
    assert not member.share_a_room(alice(), alice())
