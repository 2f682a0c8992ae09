"""Samples of everything that two processes send to each other, and of `events.>` (`tests.support.golden`).

A message that is added gets its samples here: one with a different value in each field, and one with every
default.
"""

from pathlib import Path
from typing import Final

import msgspec

from tests.support.golden import Codec, Golden, Sample
from tieline.wire.events import Happened
from tieline.wire.ids import (
    AdmissionToken,
    CallId,
    ConnectionId,
    FrameDigest,
    GatewayId,
    RoomId,
    SecretHash,
    SessionId,
    UserId,
)
from tieline.wire.internal import codec
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

ALICE, BOB = UserId("alice"), UserId("用户 一")
HERS, HIS = SessionId("s-1"), SessionId("s-2")
GATEWAY, CONNECTION, OTHER = GatewayId("g-1"), ConnectionId("c-1"), ConnectionId("c-2")
ROOM, LOBBY = RoomId("a.b *"), RoomId("lobby")
SECRET, OLDER, NONE = SecretHash(bytes(range(32))), SecretHash(bytes(range(32, 64))), SecretHash(b"")
FRAME = b'{"x":"\xff\x00"}'
ONCE = "00112233445566778899aabbccddeeff"
TOKEN = AdmissionToken("e30.e30.c2ln")
DIGEST = FrameDigest(bytes(range(16)))
CALL, EARLIER = CallId("0123456789abcdef"), CallId("00112233445566ff")
JOINED_AT = 1_700_000_000_000

CANDIDATE: Final = "WEBRTC_ICE_CANDIDATE"
REQUEST, REPLY = "request to presence", "reply of presence"

SAMPLES: Final = (
    Sample(
        "a pack of signals, one of them answered",
        "signals",
        [Signal(ALICE, HERS, BOB, FRAME, True), None, Signal(BOB, HIS, ALICE, b"", False, CALL)],
    ),
    Sample(
        "answers to a pack",
        "answers",
        [
            (0, Accepted("relayed")),
            (2, Accepted("held")),
            (3, Accepted("relayed", 4096)),
            (3, Accepted("relayed", 0, CALL)),
            (3, Accepted("relayed", 0, CALL, "away", tells=True)),
            (3, Accepted("held", 0, CALL, "away", tells=True, kept_s=45.5)),
            (3, Refused("INTERNAL")),
            (3, Refused("NO_MATCHING_OFFER", "replaced", CALL)),
            (127, SessionGone(replaced=False)),
            (128, SessionGone(replaced=True)),
        ],
    ),
    Sample("a candidate to be judged", REQUEST, Check(ALICE, HERS, BOB, CANDIDATE, DIGEST, FRAME)),
    Sample("an offer to be judged", REQUEST, Check(ALICE, HERS, BOB, "WEBRTC_OFFER", DIGEST, b"")),
    Sample(
        "an offer of which the frame may be asked for",
        REQUEST,
        Check(ALICE, HERS, BOB, "WEBRTC_OFFER", DIGEST, FRAME, sends_frame=True),
    ),
    Sample("an offer of a call", REQUEST, Check(ALICE, HERS, BOB, "WEBRTC_OFFER", DIGEST, b"", CALL)),
    Sample(
        "a session to be resumed",
        REQUEST,
        OpenSession(ALICE, HERS, GATEWAY, CONNECTION, True, (ROOM, LOBBY), SECRET, OLDER, (ROOM,)),
    ),
    Sample(
        "a session of a client that cannot resume",
        REQUEST,
        OpenSession(ALICE, HERS, GATEWAY, CONNECTION, False, (), NONE, NONE, None),
    ),
    Sample("a connection that was lost", REQUEST, EndSession(ALICE, CONNECTION, resumable=True)),
    Sample("a connection that was closed", REQUEST, EndSession(ALICE, CONNECTION, resumable=False)),
    Sample(
        "what a connection used up",
        REQUEST,
        EndSession(ALICE, CONNECTION, resumable=True, spent_s=7.5, owed_s=3.25),
    ),
    Sample(
        "several connections that have ended",
        REQUEST,
        EndSession(
            ALICE,
            CONNECTION,
            resumable=True,
            lost_for_s=2.5,
            also=(EndSession(BOB, CONNECTION, resumable=False),),
        ),
    ),
    Sample(
        "a session to be registered again",
        REQUEST,
        Register(ALICE, HERS, GATEWAY, CONNECTION, True, {ROOM: JOINED_AT, LOBBY: 0}, SECRET),
    ),
    Sample("a token for all rooms", REQUEST, Regrant(ALICE, HERS, True, None, (ROOM,))),
    Sample("a session seen to be in a call", REQUEST, Regrant(ALICE, HERS, True, None, (), in_call=True)),
    Sample("a token for two rooms", REQUEST, Regrant(ALICE, HERS, False, (ROOM, LOBBY), ())),
    Sample("a member to be told of once more", REQUEST, Retell(ALICE, ROOM)),
    Sample("a member to be added", REQUEST, AddMember(ONCE, 60.0, ALICE, ROOM)),
    Sample("a member to be removed", REQUEST, RemoveMember(ONCE, 60.0, ALICE, ROOM)),
    Sample("a member to be kept out", REQUEST, RemoveMember(ONCE, 60.0, ALICE, ROOM, kept_out_s=5.0)),
    Sample("a room to be closed", REQUEST, CloseRoom(ONCE, 60.0, ROOM)),
    Sample("a room to be closed for a while", REQUEST, CloseRoom(ONCE, 60.0, ROOM, kept_out_s=5.0)),
    Sample("a user to be disconnected", REQUEST, Disconnect(ONCE, 60.0, ALICE)),
    Sample("a user to be banned", REQUEST, Ban(ONCE, 60.0, ALICE, 3600.0)),
    Sample("a user to start no calls", REQUEST, SetVoice(ONCE, 60.0, ALICE, is_allowed=False)),
    Sample("a room to be joined for an order", REQUEST, JoinRoom(ALICE, HERS, ROOM, order=8, once=ONCE)),
    Sample("a member to be added in its turn", REQUEST, AddMember(ONCE, 60.0, ALICE, ROOM, 7)),
    Sample("a member to be removed in its turn", REQUEST, RemoveMember(ONCE, 60.0, ALICE, ROOM, number=7)),
    Sample("a room to be closed in its turn", REQUEST, CloseRoom(ONCE, 60.0, ROOM, number=7)),
    Sample("a user to be banned in its turn", REQUEST, Ban(ONCE, 60.0, ALICE, 3600.0, 7)),
    Sample("a user to start no calls in its turn", REQUEST, SetVoice(ONCE, 60.0, ALICE, False, 7)),
    Sample("a user to be disconnected in time", REQUEST, Disconnect(ONCE, 60.0, ALICE, 7)),
    Sample("a call to be ended in time", REQUEST, EndCall(ONCE, 60.0, ALICE, BOB, number=7)),
    Sample("a call to be ended", REQUEST, EndCall(ONCE, 60.0, ALICE, BOB)),
    Sample("a named call to be ended", REQUEST, EndCall(ONCE, 60.0, ALICE, BOB, CallId("0123456789abcdef"))),
    Sample("an application's message to a user", REQUEST, MessageUser(ONCE, 60.0, ALICE, b"{}")),
    Sample("an application's message to a room", REQUEST, MessageRoom(ONCE, 60.0, ROOM, b"{}")),
    Sample("a user to be looked at", REQUEST, LookAtUser(ALICE)),
    Sample("a room to be looked at", REQUEST, LookAtRoom(ROOM)),
    Sample("a page of a room", REQUEST, LookAtRoom(ROOM, after="alice", limit=7)),
    Sample("a member to be looked at", REQUEST, LookAtRoom(ROOM, only=BOB)),
    Sample("all rooms", REQUEST, ListRooms()),
    Sample("a page of rooms", REQUEST, ListRooms(after="a", limit=7)),
    Sample("how much there is", REQUEST, CountAll()),
    Sample("a frame of the gateway", REQUEST, Tell(ALICE, CONNECTION, FRAME)),
    Sample("connections asked about", REQUEST, FindReplaced(((ALICE, CONNECTION), (BOB, OTHER)))),
    Sample("a room to be joined", REQUEST, JoinRoom(ALICE, HERS, ROOM)),
    Sample(
        "a room to be joined, for a newer gateway",
        REQUEST,
        JoinRoom(ALICE, HERS, ROOM, knows_too_many_rooms=True),
    ),
    Sample("a room to be left", REQUEST, LeaveRoom(ALICE, HERS, ROOM)),
    Sample(
        "a session to be begun by a gateway that hears the logs of rooms",
        REQUEST,
        OpenSession(ALICE, HERS, GATEWAY, CONNECTION, True, (), SECRET, NONE, None, hears=True),
    ),
    Sample(
        "a session to be registered by a gateway that hears the logs of rooms",
        REQUEST,
        Register(ALICE, HERS, GATEWAY, CONNECTION, True, {}, SECRET, hears=True),
    ),
    Sample("a room to be joined and listed", REQUEST, JoinRoom(ALICE, HERS, ROOM, hears=True, lists=True)),
    Sample("a room to be joined and not listed", REQUEST, JoinRoom(ALICE, HERS, ROOM, hears=True)),
    Sample("a room to be listed with revisions", REQUEST, ListMembers(ALICE, HERS, ROOM, hears=True)),
    Sample("the lease of a gateway that hears the logs", REQUEST, KeepLease(GATEWAY, hears=True)),
    Sample(
        "a signal that names its connection",
        "signals",
        [Signal(ALICE, HERS, BOB, FRAME, True, connection=CONNECTION, at=1_700_000_000_000)],
    ),
    Sample(
        "a signal to be judged that names its connection",
        REQUEST,
        Check(ALICE, HERS, BOB, CANDIDATE, DIGEST, FRAME, connection=CONNECTION, at=1_700_000_000_000),
    ),
    Sample(
        "a session to be begun by a gateway that names its connections",
        REQUEST,
        OpenSession(ALICE, HERS, GATEWAY, CONNECTION, True, (), SECRET, NONE, None, names_connection=True),
    ),
    Sample(
        "a session to be registered by a gateway that names its connections",
        REQUEST,
        Register(ALICE, HERS, GATEWAY, CONNECTION, True, {}, SECRET, names_connection=True),
    ),
    Sample(
        "a room to be listed for a connection",
        REQUEST,
        ListMembers(ALICE, HERS, ROOM, connection=CONNECTION),
    ),
    Sample("a room to be listed", REQUEST, ListMembers(ALICE, HERS, ROOM)),
    Sample("a lease to be kept", REQUEST, KeepLease(GATEWAY)),
    Sample(
        "deliveries, and a grant",
        REPLY,
        Relay("relayed", (Delivery(BOB, HIS, None), Delivery(ALICE, HERS, FRAME)), 5.0, (DIGEST,)),
    ),
    Sample("nothing to be delivered", REPLY, Relay("held", ())),
    Sample("an offer to who is away", REPLY, Relay("relayed", (), call=CALL, target="away", tells=True)),
    Sample(
        "what belongs to a call",
        REPLY,
        Relay("relayed", (Delivery(ALICE, HERS, FRAME, EARLIER), Delivery(BOB, HIS, None)), call=CALL),
    ),
    Sample(
        "an offer that is kept",
        REPLY,
        Relay("held", (), call=CALL, target="away", tells=True, kept_s=45.5),
    ),
    Sample(
        "an answer that grants both",
        REPLY,
        Relay("relayed", (), 5.0, call=CALL, grant_back=GrantBack(HERS, CONNECTION, (DIGEST,))),
    ),
    Sample(
        "an answer to who held nothing",
        REPLY,
        Relay("relayed", (), 5.0, call=CALL, grant_back=GrantBack(HERS, CONNECTION)),
    ),
    Sample("the frame is wanted", REPLY, Refused("TARGET_OFFLINE", wants_frame=True)),
    Sample("a refusal", REPLY, Refused("NOT_IN_SAME_ROOM")),
    Sample("a refusal of what is about an earlier call", REPLY, Refused("NO_MATCHING_OFFER", "ended", CALL)),
    Sample("a session that was replaced", REPLY, SessionGone(replaced=True)),
    Sample("a new session", REPLY, Opened(HERS, resumed=False, rooms={})),
    Sample("a resumed session", REPLY, Opened(HERS, resumed=True, rooms={ROOM: JOINED_AT})),
    Sample("what a user owes", REPLY, Opened(HERS, resumed=True, rooms={ROOM: JOINED_AT}, owed_s=2.5)),
    Sample("how long an offer waits", REPLY, Opened(HERS, resumed=False, rooms={}, offer_timeout_s=60.0)),
    Sample(
        "the members of a room",
        REPLY,
        RoomMembers((Member(ALICE, "online", True, JOINED_AT), Member(BOB, "away", False, 0))),
    ),
    Sample(
        "the members of a room, with revisions",
        REPLY,
        RoomMembers((Member(ALICE, "online", True, JOINED_AT),), (7,)),
    ),
    Sample("a room that was joined", REPLY, RoomJoined(7)),
    Sample(
        "a room that was joined, and its members",
        REPLY,
        RoomJoined(7, RoomMembers((Member(ALICE, "online", True, JOINED_AT),), (7,))),
    ),
    Sample("a session to be put into a room", "join", JoinOrder(ALICE, ROOM, HERS)),
    Sample("a session to be put into a room in its turn", "join", JoinOrder(ALICE, ROOM, HERS, 7, ONCE)),
    Sample("carried out", REPLY, Done()),
    Sample("carried out, and in which rooms a session is besides", REPLY, Done(2, also_in=(ROOM,))),
    Sample("what a change has changed", REPLY, Affected(2)),
    Sample("a user who is nowhere", REPLY, UserSeen("offline", {}, (), False, True, JOINED_AT)),
    Sample(
        "a user in a call",
        REPLY,
        UserSeen("online", {ROOM: JOINED_AT}, (ROOM,), True, False, 0, (CallSeen(BOB, CALL, True),)),
    ),
    Sample(
        "a page of members",
        REPLY,
        RoomSeen((MemberSeen(ALICE, "online", True, JOINED_AT, False),), 2, has_more=True),
    ),
    Sample("a page of rooms that there are", REPLY, RoomsSeen(((ROOM, 2),), 3, "a.b *")),
    Sample("how much there is of each", REPLY, Counted(1, 2, 3, 4, 5)),
    Sample("a lease that was kept", REPLY, LeaseKept("run")),
    Sample("a lease that was kept by a process that writes logs", REPLY, LeaseKept("run", logs=True)),
    Sample(
        "a member who is in a call now",
        "change",
        RoomChange("updated", 9, HERS, "online", True, JOINED_AT, is_silent=True, in_call=True),
    ),
    Sample("a member who came", "change", RoomChange("joined", 7, HERS, "online", True, JOINED_AT)),
    Sample(
        "a member who is told to have gone",
        "change",
        RoomChange("left", 8, HERS, "away", False, 0, "kicked", tells_user=True),
    ),
    Sample(
        "a member whose voice has changed",
        "change",
        RoomChange("updated", 9, HERS, "online", False, JOINED_AT, is_silent=True),
    ),
    Sample(
        "a member who has gone, with when that was decided",
        "change",
        RoomChange("left", 8, HERS, "online", True, 0, "left", at=JOINED_AT),
    ),
    Sample(
        "a session to be begun, with when that was asked",
        REQUEST,
        OpenSession(
            ALICE, HERS, GATEWAY, CONNECTION, True, (), SECRET, OLDER, None, asked=41, resume_asked=40
        ),
    ),
    Sample("an end, with when that was asked", REQUEST, EndSession(ALICE, CONNECTION, False, asked=42)),
    Sample(
        "a session to be registered again, in its order",
        REQUEST,
        Register(ALICE, HERS, GATEWAY, CONNECTION, True, {}, SECRET, asked=43, number=2),
    ),
    Sample(
        "a token, in its order",
        REQUEST,
        Regrant(ALICE, HERS, True, None, (), connection=CONNECTION, number=3),
    ),
    Sample(
        "a room to be joined, in its order",
        REQUEST,
        JoinRoom(ALICE, HERS, ROOM, connection=CONNECTION, number=4),
    ),
    Sample(
        "a room to be left, in its order",
        REQUEST,
        LeaveRoom(ALICE, HERS, ROOM, connection=CONNECTION, number=5),
    ),
    Sample(
        "a session to be begun, with what entitles to it",
        REQUEST,
        OpenSession(ALICE, HERS, GATEWAY, CONNECTION, True, (), SECRET, OLDER, None, token=TOKEN),
    ),
    Sample(
        "a session to be registered again, with what entitles to it",
        REQUEST,
        Register(ALICE, HERS, GATEWAY, CONNECTION, True, {}, SECRET, token=TOKEN),
    ),
    Sample(
        "a session to be registered again that is seen to be in a call",
        REQUEST,
        Register(ALICE, HERS, GATEWAY, CONNECTION, True, {}, SECRET, in_call=True),
    ),
    Sample(
        "a session to be registered again whose client says when it rings",
        REQUEST,
        Register(ALICE, HERS, GATEWAY, CONNECTION, True, {}, SECRET, tells=True),
    ),
    Sample(
        "a newer token, and the token itself",
        REQUEST,
        Regrant(ALICE, HERS, True, None, (), connection=CONNECTION, token=TOKEN),
    ),
    Sample("a lease of a presence that looks at tokens", REPLY, LeaseKept("run", tokens=True)),
    Sample(
        "a new session, and whose it is",
        REPLY,
        Opened(HERS, False, {}, user=ALICE, asked=HERS, revision=44),
    ),
    Sample("a request that may be outdated", REPLY, Outdated(45)),
    Sample("a request of a gateway without a lease", REPLY, Outdated()),
    Sample(
        "a session resumed of which it is known when it was lost",
        REPLY,
        Opened(HERS, True, {}, lost_at=JOINED_AT),
    ),
    Sample("a lease that was kept, and when", REPLY, LeaseKept("run", revision=46, now=JOINED_AT)),
    Sample(
        "candidates that go together",
        "signals",
        [Signal(ALICE, HERS, BOB, FRAME, True, then=(b"second", FRAME))],
    ),
    Sample(
        "candidates that are judged together",
        REQUEST,
        Check(ALICE, HERS, BOB, CANDIDATE, DIGEST, FRAME, then=(b"second", FRAME)),
    ),
    Sample(
        "answers to candidates that go together",
        "answers",
        [(1, Answers((Accepted("held"), Refused("INTERNAL"), SessionGone(replaced=True)))), (2, Answers(()))],
    ),
    Sample(
        "verdicts about candidates that are judged together",
        REPLY,
        Verdicts((Relay("held", ()), Refused("TOO_MANY_CANDIDATES"), SessionGone(replaced=False))),
    ),
    Sample("no verdict", REPLY, Verdicts(())),
    Sample("connections that were replaced", REPLY, Replaced((CONNECTION, OTHER))),
    Sample("a connection to be closed", "close", CloseSession(ALICE, HERS, CONNECTION, 4500)),
    Sample("a user joined a room", "event", Happened(JOINED_AT, ALICE, room=ROOM)),
    Sample("a call ended", "event", Happened(JOINED_AT, ALICE, peer=BOB, reason="timeout")),
)

GOLDEN: Final = Golden(
    folder=Path(__file__).with_name("golden"),
    file="messages.json",
    codecs={
        "signals": Codec(codec.encode, codec.decode_signals),
        "answers": Codec(codec.encode, codec.decode_answers),
        REQUEST: Codec(codec.encode, codec.decode_presence_request),
        REPLY: Codec(codec.encode, codec.decode_presence_reply),
        "change": Codec(codec.encode, codec.decode_room_change),
        "close": Codec(codec.encode, codec.decode_close_session),
        "join": Codec(codec.encode, codec.decode_join_order),
        "event": Codec(msgspec.json.encode, msgspec.json.Decoder(Happened).decode),
    },
    samples=SAMPLES,
)
