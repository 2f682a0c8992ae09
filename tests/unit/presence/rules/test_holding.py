"""Only a session's own gateway, which alone knows its connection, asks for it."""

import pytest

from presence.rules.change import Change, Facts, Step
from presence.rules.holding import by_its_gateway, checked, holds
from presence.rules.negotiated import Negotiation
from presence.rules.user import Session, User
from tieline.wire.ids import ConnectionId, FrameDigest, GatewayId, RoomId, SecretHash, SessionId, UserId
from tieline.wire.internal.answers import Done, SessionGone
from tieline.wire.internal.rooms import ListMembers
from tieline.wire.internal.signals import Check, Relay

ALICE, BOB = UserId("alice"), UserId("bob")
S, G, HERS = SessionId("s"), GatewayId("g"), ConnectionId("c-1")
REPLACED = SessionGone(replaced=True)


def user(*, is_named: bool) -> User:
    session = Session(S, G, HERS, SecretHash(b""), "online", is_named=is_named)
    return User((session,), voice=True, rooms={})


@pytest.mark.parametrize(
    ("is_named", "connection", "is_held"),
    [
        (True, HERS, True),
        (True, ConnectionId("c-2"), False),
        (True, ConnectionId(""), False),
        (True, None, True),  # by a router of an older version, which cannot say
        (False, ConnectionId(""), True),  # of a gateway of an older version, which names none
        (False, ConnectionId("c-2"), True),
    ],
)
def test_who_names_the_connection_holds_the_session(
    is_named: bool, connection: ConnectionId | None, is_held: bool
) -> None:
    assert holds(user(is_named=is_named), connection) is is_held
    assert holds(None, connection)

    ask = ListMembers(ALICE, S, RoomId("hall"), connection=connection or ConnectionId(""))
    asked = by_its_gateway(_list)(ask, user(is_named=is_named), {}, Facts(0))
    if connection is not None:
        assert asked == Change(Done() if is_held else REPLACED)

    check = Check(ALICE, S, BOB, "WEBRTC_OFFER", FrameDigest(b"d"), b"", connection=connection)
    judged = checked(check, _judge)(None, {ALICE: user(is_named=is_named)}, Facts(0))
    assert isinstance(judged, Change)
    assert judged.reply == (Relay("relayed", ()) if is_held else REPLACED)


def _list(_ask: ListMembers, _user: User | None, _beside: object, _facts: Facts) -> Step[User]:
    return Change(Done())


def _judge(_record: Negotiation | None, _beside: object, _facts: Facts) -> Step[Negotiation]:
    return Change(Relay("relayed", ()))
