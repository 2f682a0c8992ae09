import msgspec
import pytest

from presence.rules.user import RosterEntry, User, gone, may_be_resumed_by, share_a_room
from tests.unit.presence.rules.people import away, ended, online
from tieline.wire.ids import Address, ResumeToken, RoomId, SecretHash, SessionId, UserId
from tieline.wire.internal.answers import SessionGone
from tieline.wire.resume_tokens import secret_hash

HALL, CELLAR = RoomId("hall"), RoomId("cellar")
ALICE = UserId("alice")
SECRET = secret_hash(ResumeToken("open sesame"))
NO_SECRET = SecretHash(b"")


def alice(*rooms: RoomId, secret: SecretHash = SECRET) -> User:
    """A user whose session has begun."""
    user = online(SessionId("s-1"), rooms)
    return msgspec.structs.replace(user, sessions=(msgspec.structs.replace(user.session, secret=secret),))


@pytest.mark.parametrize(
    ("user", "reachable"),
    [(alice(), True), (away(alice()), True), (ended(alice()), False)],
    ids=["online", "away", "offline"],
)
def test_a_user_is_reachable_until_its_session_has_ended(user: User, reachable: bool) -> None:
    assert user.is_reachable is reachable
    assert user.has_live(SessionId("s-1")) is reachable


def test_another_session_than_the_live_one_is_not_live() -> None:
    assert not alice().has_live(SessionId("s-2"))


def test_messages_to_a_user_go_to_its_session() -> None:
    assert alice().address(ALICE) == Address(ALICE, SessionId("s-1"))


@pytest.mark.parametrize("user", [alice(), away(alice())], ids=["online", "away"])
def test_whoever_knows_the_secret_may_resume_a_live_session(user: User) -> None:
    assert may_be_resumed_by(user, SECRET)


@pytest.mark.parametrize(
    ("user", "secret"),
    [
        (alice(), secret_hash(ResumeToken("open barley"))),
        (alice(), NO_SECRET),
        (alice(secret=NO_SECRET), NO_SECRET),
        (alice(secret=NO_SECRET), SECRET),
        (ended(alice()), SECRET),
    ],
    ids=["wrong", "none", "none of a session that has none", "any of a session that has none", "ended"],
)
def test_nobody_else_may_resume_anything(user: User, secret: SecretHash) -> None:
    assert not may_be_resumed_by(user, secret)


def test_two_users_share_a_room_when_both_are_or_were_in_it() -> None:
    assert share_a_room(alice(HALL, CELLAR), alice(CELLAR))
    assert share_a_room(alice(HALL), ended(alice(HALL)))
    assert not share_a_room(alice(HALL), alice(CELLAR))
    assert not share_a_room(alice(), alice())


def test_a_session_is_gone_for_good_or_replaced_by_one_that_lives() -> None:
    assert gone(None) == gone(ended(alice())) == SessionGone(replaced=False)
    assert gone(alice()) == SessionGone(replaced=True)


def test_a_record_survives_being_stored() -> None:
    user = away(alice(HALL, CELLAR))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(user), type=User) == user
    entry = RosterEntry(SessionId("s-1"), 1000)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(entry), type=RosterEntry) == entry
