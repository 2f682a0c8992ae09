"""One message of every kind, for the tests beside this file."""

from collections.abc import Iterator

from tieline.wire.digests import digest
from tieline.wire.ids import (
    CallId,
    ConnectionId,
    GatewayId,
    ResumeToken,
    RoomId,
    SecretHash,
    SessionId,
    UserId,
)
from tieline.wire.internal.answers import Done, Outdated, Refused, SessionGone
from tieline.wire.internal.backend import (
    AddMember,
    Affected,
    Ban,
    CallSeen,
    CloseRoom,
    CountAll,
    Counted,
    Disconnect,
    EndCall,
    JoinOrder,
    ListRooms,
    LookAtRoom,
    LookAtUser,
    MemberSeen,
    MessageRoom,
    MessageUser,
    RemoveMember,
    RoomSeen,
    RoomsSeen,
    SetVoice,
    UserSeen,
)
from tieline.wire.internal.directions import PresenceReply, PresenceRequest, RouterReply
from tieline.wire.internal.rooms import (
    JoinRoom,
    LeaveRoom,
    ListMembers,
    Retell,
    RoomChange,
    RoomJoined,
    RoomMembers,
)
from tieline.wire.internal.sessions import (
    CloseSession,
    EndSession,
    FindReplaced,
    KeepLease,
    LeaseKept,
    Opened,
    OpenSession,
    Register,
    Regrant,
    Replaced,
    Tell,
)
from tieline.wire.internal.signals import (
    Accepted,
    Answers,
    Check,
    Delivery,
    GrantBack,
    Relay,
    Signal,
    Verdicts,
)
from tieline.wire.replies import Member
from tieline.wire.resume_tokens import secret_hash

ALICE, BOB = UserId("alice"), UserId("用户 一")
SESSION, GATEWAY, ROOM = SessionId("s-1"), GatewayId("g-1"), RoomId("a.b *")
CONNECTION = ConnectionId("c-1")
SECRET, NONE = secret_hash(ResumeToken("a secret")), SecretHash(b"")
ODD_FRAME = b'{"x":\xff\x00' + bytes(range(256))
DIGEST = digest(ODD_FRAME)
ONCE = "0123456789abcdef0123456789abcdef"
REQUESTS: tuple[PresenceRequest, ...] = (
    Check(ALICE, SESSION, BOB, "WEBRTC_ICE_CANDIDATE", DIGEST, ODD_FRAME),
    Check(ALICE, SESSION, BOB, "WEBRTC_OFFER", DIGEST, b""),
    Check(ALICE, SESSION, BOB, "WEBRTC_ICE_CANDIDATE", DIGEST, ODD_FRAME, then=(b"second", ODD_FRAME)),
    OpenSession(ALICE, SESSION, GATEWAY, CONNECTION, True, (ROOM, RoomId("other")), SECRET, SECRET, (ROOM,)),
    OpenSession(ALICE, SESSION, GATEWAY, CONNECTION, False, (), NONE, NONE, None),
    OpenSession(ALICE, SESSION, GATEWAY, CONNECTION, True, (), SECRET, NONE, ()),
    EndSession(ALICE, CONNECTION, resumable=True),
    EndSession(ALICE, CONNECTION, resumable=False),
    Register(
        ALICE, SESSION, GATEWAY, CONNECTION, True, {ROOM: 1_700_000_000_000, RoomId("other"): 0}, SECRET
    ),
    Register(ALICE, SESSION, GATEWAY, CONNECTION, False, {}, NONE),
    Regrant(ALICE, SESSION, True, None, (ROOM,)),
    Retell(ALICE, ROOM),
    Regrant(ALICE, SESSION, False, (ROOM, RoomId("other")), ()),
    Tell(ALICE, CONNECTION, ODD_FRAME),
    FindReplaced(()),
    FindReplaced(((ALICE, CONNECTION), (BOB, ConnectionId("c-2")))),
    JoinRoom(ALICE, SESSION, ROOM),
    JoinRoom(ALICE, SESSION, ROOM, hears=True, lists=True),
    JoinRoom(ALICE, SESSION, ROOM, connection=CONNECTION, number=3, asked=9, is_ordered=True),
    JoinRoom(ALICE, SESSION, ROOM, is_ordered=True, order=7, once=ONCE),
    LeaveRoom(ALICE, SESSION, ROOM),
    ListMembers(ALICE, SESSION, ROOM),
    KeepLease(GATEWAY),
    AddMember(ONCE, 60.0, ALICE, ROOM),
    AddMember(ONCE, 60.0, ALICE, ROOM, 7),
    RemoveMember(ONCE, 60.0, ALICE, ROOM, kept_out_s=5.0),
    CloseRoom(ONCE, 60.0, ROOM, kept_out_s=5.0),
    Disconnect(ONCE, 60.0, ALICE),
    Ban(ONCE, 60.0, ALICE, 3600.0),
    SetVoice(ONCE, 60.0, ALICE, is_allowed=False),
    EndCall(ONCE, 60.0, ALICE, BOB, CallId("0123456789abcdef")),
    MessageUser(ONCE, 60.0, ALICE, b'{"text":"hello"}'),
    MessageRoom(ONCE, 60.0, ROOM, b'{"text":"hello"}'),
    LookAtUser(ALICE),
    LookAtRoom(ROOM, after="alice", limit=7, only=BOB),
    ListRooms(after="a", limit=7),
    CountAll(),
)
PRESENCE_REPLIES: tuple[PresenceReply, ...] = (
    Relay("relayed", (Delivery(BOB, SESSION, None), Delivery(ALICE, SESSION, ODD_FRAME)), 5.0, (DIGEST,)),
    Relay("relayed", (), 5.0, grant_back=GrantBack(SESSION, CONNECTION, (DIGEST,))),
    Relay("held", ()),
    Verdicts((Relay("held", ()), Refused("TOO_MANY_CANDIDATES"), SessionGone(replaced=True))),
    Refused("NOT_IN_SAME_ROOM"),
    SessionGone(replaced=True),
    SessionGone(replaced=False),
    Opened(SESSION, resumed=False, rooms={}),
    Opened(SESSION, resumed=True, rooms={ROOM: 1_700_000_000_000}),
    RoomMembers((Member(ALICE, "online", True, 1_700_000_000_000), Member(BOB, "away", False, 0))),
    RoomMembers(()),
    Outdated(7),
    RoomJoined(0),
    RoomJoined(7, RoomMembers((Member(ALICE, "online", True, 0),), (7,))),
    Done(),
    Done(also_in=(ROOM,)),
    LeaseKept("run"),
    Replaced(()),
    Replaced((CONNECTION, ConnectionId("c-2"))),
    Affected(2),
    UserSeen(
        "online",
        {ROOM: 1_700_000_000_000},
        (ROOM,),
        voice=True,
        is_silenced=False,
        banned_until=0,
        calls=(CallSeen(BOB, CallId("0123456789abcdef"), is_established=True),),
    ),
    RoomSeen((MemberSeen(ALICE, "online", True, 1_700_000_000_000, is_given=True),), 1, has_more=False),
    RoomsSeen(((ROOM, 2),), 1, ""),
    Counted(gateways=2, sessions=3, rooms=4, members=5, calls=6),
)
ROUTER_REPLIES: tuple[RouterReply, ...] = (
    Accepted("relayed"),
    Accepted("held"),
    Refused("INTERNAL"),
    SessionGone(replaced=False),
)
SEVERAL = Answers((Accepted("relayed"), Refused("INTERNAL"), SessionGone(replaced=False)))
SIGNALS = (
    Signal(ALICE, SESSION, BOB, ODD_FRAME, True),
    Signal(BOB, SESSION, ALICE, b"", False),
    Signal(BOB, SESSION, ALICE, b"first", False, then=(b"second", ODD_FRAME)),
)
CLOSING = CloseSession(ALICE, SESSION, CONNECTION, 4500)
JOINING = JoinOrder(ALICE, ROOM, SESSION, 7, ONCE)
CHANGE = RoomChange("left", 7, SESSION, "online", True, 0, "kicked", tells_user=True)


def leaves(kind: type) -> Iterator[type]:
    """List the classes below one that have none below themselves: those that are sent."""
    below: list[type] = kind.__subclasses__()
    for each in below:
        yield from leaves(each) if each.__subclasses__() else (each,)
