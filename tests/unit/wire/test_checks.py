"""What no honest process sends is refused, whatever it stands in."""

import msgspec
import pytest

from tests.support.kept import kept_bytes
from tieline.wire.checks import MAX_BYTES, MAX_INT, MAX_TEXT, UNREADABLE, Checker
from tieline.wire.ids import (
    AdmissionToken,
    ConnectionId,
    FrameDigest,
    GatewayId,
    RoomId,
    SecretHash,
    SessionId,
    UserId,
)
from tieline.wire.internal import codec
from tieline.wire.internal.codec import MAX_ASKED
from tieline.wire.internal.directions import PresenceReply, PresenceRequest
from tieline.wire.internal.rooms import RoomChange, RoomMembers
from tieline.wire.internal.sessions import (
    CloseSession,
    EndSession,
    FindReplaced,
    Opened,
    OpenSession,
    Register,
    Regrant,
    Replaced,
)
from tieline.wire.internal.signals import Check, Delivery, Relay, Signal
from tieline.wire.limits import LONGEST_TOKEN
from tieline.wire.replies import Member

ALICE, BOB, S, C, G = UserId("alice"), UserId("bob"), SessionId("s"), ConnectionId("c"), GatewayId("g")
HALL, NONE, DIGEST = RoomId("hall"), SecretHash(b""), FrameDigest(b"d" * 16)
NO_USERS = [UserId(text) for text in ("", "a\nb", "\x9f", "x" * 129, "界" * 43)]
NO_OWN_IDS = ["", "a.b", "*", ">", "a b", "s\r\n", "é", "=2A", "x" * 65]
NAN, ENDLESS = float("nan"), float("inf")


def opening(
    user: UserId = ALICE,
    session: str = "s",
    gateway: str = "g",
    connection: str = "c",
    join: tuple[RoomId, ...] = (),
    granted: tuple[RoomId, ...] | None = None,
) -> OpenSession:
    ids = SessionId(session), GatewayId(gateway), ConnectionId(connection)
    return OpenSession(user, *ids, True, join, NONE, NONE, granted)


def ending(also: tuple[EndSession, ...] = (), lost_for_s: float = 0.0) -> EndSession:
    return EndSession(ALICE, C, resumable=True, lost_for_s=lost_for_s, also=also)


REFUSED: list[PresenceRequest] = [
    *(opening(user) for user in NO_USERS),
    *(opening(session=text) for text in NO_OWN_IDS),
    *(opening(gateway=text) for text in NO_OWN_IDS),
    *(opening(connection=text) for text in NO_OWN_IDS),
    opening(join=(HALL, RoomId(""))),
    opening(granted=(HALL, RoomId("\0"))),
    Register(ALICE, S, G, C, True, {RoomId("\n"): 0}, NONE),
    Register(ALICE, S, G, C, True, {HALL: MAX_INT + 1}, NONE),
    Register(ALICE, S, G, C, True, {HALL: -MAX_INT - 1}, NONE),
    Check(ALICE, S, UserId(""), "WEBRTC_OFFER", DIGEST, b""),
    Check(ALICE, S, BOB, "x" * (MAX_TEXT + 1), DIGEST, b""),
    Check(ALICE, S, BOB, "WEBRTC_OFFER", DIGEST, bytes(MAX_BYTES + 1)),
    FindReplaced(((ALICE, C), (UserId(""), C))),
    FindReplaced(((ALICE, C), (BOB, ConnectionId("c\n")))),
    FindReplaced(((ALICE, C),) * (MAX_ASKED + 1)),
    Regrant(ALICE, S, True, None, (), token=AdmissionToken("t" * (LONGEST_TOKEN + 1))),
    ending(lost_for_s=NAN),
    ending(lost_for_s=ENDLESS),
    ending(also=(EndSession(ALICE, ConnectionId("."), resumable=True),)),
    ending(also=(ending(also=(ending(),)),)),
    ending(also=(ending(),) * (MAX_ASKED + 1)),
]

NO_ANSWERS: list[PresenceReply] = [
    Opened(SessionId("s\r\nPUB t.user.bob.s 1\r\nx\r\n"), resumed=False, rooms={}),
    Opened(S, resumed=True, rooms={}, owed_s=NAN),
    Relay("relayed", (Delivery(BOB, SessionId("a.b"), None),)),
    Relay("relayed", (), ENDLESS),
    Replaced((ConnectionId(""),)),
    RoomMembers((Member(UserId(""), "online", True, 0),)),
]


@pytest.mark.parametrize("request_", REFUSED, ids=lambda request: repr(request)[:60])
def test_a_request_that_no_process_makes_is_refused(request_: PresenceRequest) -> None:
    with pytest.raises(msgspec.ValidationError):
        codec.decode_presence_request(codec.encode(request_))


@pytest.mark.parametrize("reply", NO_ANSWERS, ids=lambda reply: repr(reply)[:60])
def test_an_answer_that_no_process_gives_is_refused(reply: PresenceReply) -> None:
    with pytest.raises(msgspec.ValidationError):
        codec.decode_presence_reply(codec.encode(reply))


def test_what_is_said_unasked_is_looked_at_as_well() -> None:
    closing = CloseSession(ALICE, SessionId("s"), ConnectionId("c."), 4500)
    change = RoomChange("left", 7, SessionId(" "), "online", True, 0)
    with pytest.raises(msgspec.ValidationError):
        codec.decode_close_session(codec.encode(closing))
    with pytest.raises(msgspec.ValidationError):
        codec.decode_room_change(codec.encode(change))


def test_ends_as_deep_as_the_stack_are_no_request() -> None:
    one = codec.encode(ending())
    head, end = one[:-2], one[-2:]
    assert end == b"\x90\x00"  # no others, and nothing said of when it was asked
    nested = head * 50_000 + one
    with pytest.raises(UNREADABLE):
        codec.decode_presence_request(nested.replace(b"\x90", b"\x91"))
    deep = b"".join([head + b"\x91"] * 20_000) + one + b"\x00" * 20_000
    with pytest.raises(UNREADABLE):
        codec.decode_presence_request(deep)


@pytest.mark.parametrize("session", NO_OWN_IDS)
def test_a_signal_of_a_session_that_no_gateway_names_is_not_meant(session: str) -> None:
    assert not codec.is_meant(Signal(ALICE, SessionId(session), BOB, b"{}", True))
    assert codec.is_meant(Signal(ALICE, S, BOB, b"{}", True))


@pytest.mark.parametrize("user", NO_USERS)
def test_a_signal_of_or_to_nobody_is_not_meant(user: UserId) -> None:
    assert not codec.is_meant(Signal(user, S, BOB, b"{}", True))
    assert not codec.is_meant(Signal(ALICE, S, user, b"{}", True))


class Plain(msgspec.Struct):
    """Of a type without anything to check, and of those that hold nothing else."""

    flag: bool
    flags: tuple[bool, ...] = ()
    pair: tuple[bool, bool] = (True, True)
    maybe: bool | None = None
    named: dict[bool, bool] = {}


def test_what_has_nothing_to_check_is_good() -> None:
    assert Checker(Plain).is_good(Plain(True))
    assert Checker(bool).is_good(True)


class Named(msgspec.Struct):
    """Names in every kind of collection."""

    by_name: dict[UserId, bool] = {}
    names: list[UserId] = []
    maybe: UserId | None = None
    numbers: tuple[bool, int] = (True, 0)


@pytest.mark.parametrize(
    "named",
    [
        Named(by_name={UserId(""): True}),
        Named(names=[ALICE, UserId("")]),
        Named(numbers=(True, MAX_INT + 1)),
    ],
)
def test_what_stands_in_a_collection_is_checked(named: Named) -> None:
    assert not Checker(Named).is_good(named)
    assert Checker(Named).is_good(Named({ALICE: True}, [BOB], None, (False, -1)))


class Grown(msgspec.Struct):
    """With an id that older processes do not send."""

    connection: ConnectionId = ConnectionId("")
    among: tuple[UserId, ...] = ()


def test_what_an_older_process_does_not_send_is_good() -> None:
    assert Checker(Grown).is_good(Grown())
    assert Checker(Grown).is_good(Grown(C, (ALICE,)))
    assert not Checker(Grown).is_good(Grown(ConnectionId(".")))
    assert not Checker(Grown).is_good(Grown(C, (UserId(""),)))


@pytest.mark.parametrize("kind", [UserId, SessionId])
def test_of_an_id_that_is_too_long_nothing_is_kept(kind: object) -> None:
    checker = Checker(kind)
    assert kept_bytes(lambda number: checker.is_good(f"{number}{'x' * 60_000}")) < 120_000
