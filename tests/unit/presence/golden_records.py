"""Samples of every record in the bucket (`tests.support.golden`).

An effect or a field that is added gets its samples here: one with a different value in each field, and one
with every default.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from presence.record_codec import encode, entry_in, negotiation_in, user_in
from presence.rules import standing, waking
from presence.rules.effects import (
    CallEnded,
    Changed,
    CloseConnection,
    EndCalls,
    EndCallsWithoutRoom,
    HangUp,
    MemberCame,
    MemberWent,
    RemoveNote,
    SessionBegan,
    SessionEnded,
    StatusChanged,
    Woken,
)
from presence.rules.fact import CallFact, Course, MemberFact
from presence.rules.negotiated import HeldCandidate, Negotiation, Remembered, WaitingOffer, apart
from presence.rules.standing import Gift, Standing
from presence.rules.user import Grant, Membership, Owed, RosterEntry, Session, User
from presence.rules.waking import Wait, Waits
from presence.store import Record
from tests.support.golden import Codec, Golden, Sample
from tieline.wire.ids import (
    CallId,
    ConnectionId,
    FrameDigest,
    GatewayId,
    RoomId,
    SecretHash,
    SessionId,
    UserId,
)

ALICE, BOB = UserId("alice"), UserId("用户 一")
HERS, HIS = SessionId("s-1"), SessionId("s-2")
GATEWAY, CONNECTION, OLDER = GatewayId("g-1"), ConnectionId("c-1"), ConnectionId("c-0")
ROOM, LOBBY = RoomId("a.b *"), RoomId("lobby")
SECRET, NONE = SecretHash(bytes(range(32))), SecretHash(b"")
FRAME = b'{"x":"\xff\x00"}'
OFFER, ANSWER, CANDIDATE = (FrameDigest(bytes(range(start, start + 16))) for start in (0, 16, 32))
CALL = CallId("0123456789abcdef")
AT = 1_700_000_000_000

USER, NEGOTIATION, ENTRY, STANDING = "user", "negotiation", "roster entry", "standing"
WAITS = "waits"

SAMPLES: Final = (
    Sample(
        "a session that was resumed, in two rooms",
        USER,
        User(
            (Session(HERS, GATEWAY, CONNECTION, SECRET, "online", 7, 2, OLDER),),
            True,
            {ROOM: Membership(AT, 5), LOBBY: Membership(AT + 1, 6)},
        ),
    ),
    Sample(
        "a session that is away",
        USER,
        User((Session(HERS, GATEWAY, CONNECTION, SECRET, "away", 7, 1),), False, {LOBBY: Membership(AT, 5)}),
    ),
    Sample(
        "a user who has used up something",
        USER,
        User((Session(HIS, GATEWAY, OLDER, NONE, "offline"),), False, {}, (), Owed(AT + 9000, CONNECTION)),
    ),
    Sample(
        "a session whose gateway hears the logs of rooms",
        USER,
        User((Session(HERS, GATEWAY, CONNECTION, SECRET, "online", 7, 2, OLDER, True),), True, {}),
    ),
    Sample(
        "a session of a gateway that names its connections",
        USER,
        User((Session(HERS, GATEWAY, CONNECTION, SECRET, "online", is_named=True),), True, {}),
    ),
    Sample(
        "a session that was lost",
        USER,
        User((Session(HERS, GATEWAY, CONNECTION, SECRET, "away", lost_at=AT),), True, {}),
    ),
    Sample(
        "a session whose connection has said in which order it asks",
        USER,
        User(
            (
                Session(
                    HERS,
                    GATEWAY,
                    CONNECTION,
                    SECRET,
                    "away",
                    fence=9,
                    number=3,
                    left=True,
                    instead_of=SecretHash(bytes(range(1, 33))),
                    began=8,
                ),
            ),
            True,
            {},
            (),
            Owed(AT + 9000, CONNECTION, (OLDER,)),
        ),
    ),
    Sample(
        "a session that the backend has put out of a room",
        USER,
        User((Session(HERS, GATEWAY, CONNECTION, NONE, "online", fence=9, put_out_at=12),), True, {}),
    ),
    Sample(
        "a user of whose older session calls are left",
        USER,
        User((Session(HERS, GATEWAY, CONNECTION, NONE, "online"),), True, {}, ending=EndCalls(HIS, AT)),
    ),
    Sample("a user who is offline", USER, User((Session(HIS, GATEWAY, OLDER, NONE, "offline"),), False, {})),
    Sample(
        "everything that the change of a user may mean",
        USER,
        User(
            (Session(HERS, GATEWAY, CONNECTION, SECRET, "online"),),
            True,
            {},
            (
                Changed(ALICE),
                CloseConnection(ALICE, HERS, GATEWAY, CONNECTION, 4500),
                RemoveNote(HERS, GATEWAY, 7),
                RemoveNote(HERS, GATEWAY, 7, last=True),
                EndCalls(HERS, AT),
                EndCallsWithoutRoom("left", "left-5", AT),
                EndCallsWithoutRoom("kicked", "left-6", AT, tell_user=True),
                MemberCame(ROOM, 5, AT),
                SessionBegan(AT),
                SessionEnded(HERS, AT),
                MemberWent(ROOM, HERS, 5, "disconnected", AT),
                MemberWent(LOBBY, HERS, 6, "kicked", AT, tell_user=True),
                MemberWent(LOBBY, HERS, 6, "left", AT),
                StatusChanged(),
                StatusChanged(is_silent=True),
                MemberCame(ROOM, 5, AT, again=True),
                MemberWent(LOBBY, HERS, 0, "left", AT, again=True),
            ),
        ),
    ),
    Sample(
        "a user who is away, with when that was decided",
        USER,
        User((Session(HERS, GATEWAY, CONNECTION, NONE, "away"),), True, {}, (StatusChanged(at=AT),)),
    ),
    Sample(
        "a user of whom something is to be told",
        USER,
        User(
            (Session(HERS, GATEWAY, CONNECTION, NONE, "online"),),
            True,
            {LOBBY: Membership(AT, 5)},
            facts=(
                MemberFact("member.joined", AT, HERS, 1),
                MemberFact("member.left", AT, HIS, 5, (ROOM, LOBBY), "kicked"),
                MemberFact("member.away", AT, HERS, 2),
                MemberFact("member.back", AT, HERS, 3),
            ),
        ),
    ),
    Sample(
        "a call of which something is to be told",
        NEGOTIATION,
        Negotiation(
            True,
            call=CALL,
            course=Course(ALICE, AT, AT + 1, AT + 2, answered_by_caller=True),
            facts=(
                CallFact("call.offered", AT, CALL, ALICE, offered_at=AT),
                CallFact("call.ringing", AT + 1, CALL, ALICE, False, offered_at=AT),
                CallFact("call.answered", AT + 2, CALL, ALICE, True, offered_at=AT, answered_at=AT + 2),
                CallFact("call.established", AT + 2, CALL, ALICE, True, offered_at=AT, answered_at=AT + 2),
                CallFact("call.ended", AT + 3, CALL, ALICE, None, "left", AT, AT + 2),
                CallFact("call.unanswered", AT + 3, CALL, UserId("")),
                CallFact("call.ended", AT + 3, CALL, ALICE, None, "left", AT, AT + 2, rooms=(ROOM, LOBBY)),
            ),
        ),
    ),
    Sample("a call that has begun", NEGOTIATION, Negotiation(course=Course(BOB, AT + 5))),
    Sample(
        "a call that has begun in two rooms",
        NEGOTIATION,
        Negotiation(course=Course(BOB, AT + 5, rooms=(ROOM, LOBBY))),
    ),
    Sample("a roster entry", ENTRY, RosterEntry(HERS, AT)),
    Sample("a roster entry of a gateway that hears the log", ENTRY, RosterEntry(HERS, AT, hears=True)),
    Sample("nothing is negotiated", NEGOTIATION, Negotiation()),
    Sample(
        "an offer waits, and a candidate is held",
        NEGOTIATION,
        Negotiation(
            offers=(WaitingOffer(ALICE, OFFER, AT),),
            held=(
                HeldCandidate(ALICE, CANDIDATE, FRAME, HIS),
                HeldCandidate(ALICE, CANDIDATE, apart(CANDIDATE), HIS, None, 0, 1200, is_outdated=True),
            ),
            remembered=(
                Remembered(ALICE, OFFER, "relayed", AT, HIS),
                Remembered(ALICE, CANDIDATE, "held", AT + 1, HIS),
            ),
        ),
    ),
    Sample(
        "an established call, in which both have offered again",
        NEGOTIATION,
        Negotiation(
            True,
            (WaitingOffer(BOB, OFFER, AT), WaitingOffer(ALICE, CANDIDATE, AT + 1)),
            (HeldCandidate(BOB, CANDIDATE, FRAME, HERS, ANSWER, AT),),
            (Remembered(BOB, ANSWER, "relayed", AT, HERS),),
        ),
    ),
    Sample(
        "a call that has a name, after another one",
        NEGOTIATION,
        Negotiation(
            offers=(WaitingOffer(ALICE, OFFER, AT),),
            held=(HeldCandidate(ALICE, CANDIDATE, FRAME, HIS, call=CALL),),
            remembered=(Remembered(ALICE, OFFER, "relayed", AT, HIS, CALL),),
            pending=(
                HangUp(BOB, HIS, ALICE, "timeout", "offer", CALL),
                CallEnded(AT, ALICE, BOB, "left", CALL),
            ),
            call=CALL,
            over=(CallId("00112233445566ff"),),
        ),
    ),
    Sample(
        "a session, and what its token grants",
        USER,
        User((Session(HERS, GATEWAY, CONNECTION, NONE, "online", grant=Grant(AT, (ROOM, LOBBY))),), True, {}),
    ),
    Sample(
        "a session whose token grants every room",
        USER,
        User((Session(HERS, GATEWAY, CONNECTION, NONE, "online", grant=Grant(AT, None)),), True, {}),
    ),
    Sample(
        "an offer that its target has missed",
        NEGOTIATION,
        Negotiation(offers=(WaitingOffer(ALICE, OFFER, AT, CONNECTION),)),
    ),
    Sample(
        "an offer that is kept",
        NEGOTIATION,
        Negotiation(
            offers=(WaitingOffer(ALICE, OFFER, AT, kept_until=AT + 9),),
            facts=(CallFact("call.waking", AT, CALL, ALICE, offered_at=AT, until=AT + 9),),
        ),
    ),
    Sample(
        "a kept offer that is to be sent",
        NEGOTIATION,
        Negotiation(pending=(Woken(BOB, HIS, ALICE, OFFER, CALL),)),
    ),
    Sample("nobody waits", WAITS, Waits()),
    Sample(
        "who waits for a user, and for whom it waits",
        WAITS,
        Waits((Wait(BOB, AT),), (Wait(ALICE, AT + 1), Wait(BOB, AT + 2))),
    ),
    Sample(
        "a call of two sessions",
        NEGOTIATION,
        Negotiation(True, call=CALL, sessions=((ALICE, HERS), (BOB, HIS))),
    ),
    Sample(
        "everything that the end of a call may mean",
        NEGOTIATION,
        Negotiation(
            pending=(
                HangUp(ALICE, HERS, BOB, "timeout", "offer"),
                HangUp(BOB, HIS, ALICE, "disconnected", "s-1"),
                CallEnded(AT, ALICE, BOB, "timeout"),
                CallEnded(AT, ALICE, BOB, "left"),
                CallEnded(AT, ALICE, BOB, "kicked"),
            )
        ),
    ),
    Sample(
        "a user whose client says when it rings",
        USER,
        User((Session(HERS, GATEWAY, CONNECTION, SECRET, "online", tells=True),), True, {}),
    ),
    Sample(
        "a user whose voice the backend has revoked",
        USER,
        User((Session(HERS, GATEWAY, CONNECTION, SECRET, "online", voice_by_token=True),), False, {}),
    ),
    Sample("nothing that the backend has decided", STANDING, Standing()),
    Sample("a ban", STANDING, Standing(AT)),
    Sample(
        "everything that the backend may decide",
        STANDING,
        Standing(
            AT,
            (ROOM,),
            is_silenced=True,
            kept_out=((LOBBY, AT + 1),),
            orders=(("ban", AT),),
            gifts=(Gift(ROOM, AT, 7, AT - 1, was_given=True),),
        ),
    ),
)


def read_by(find: Callable[[dict[str, Record], str], tuple[Any, int]]) -> Callable[[bytes], Any]:
    """Read a record as presence finds it in the bucket."""
    return lambda value: find({"key": Record(value, 1)}, "key")[0]


GOLDEN: Final = Golden(
    folder=Path(__file__).with_name("golden"),
    file="records.json",
    codecs={
        USER: Codec(encode, read_by(user_in)),
        NEGOTIATION: Codec(encode, read_by(negotiation_in)),
        ENTRY: Codec(encode, read_by(entry_in)),
        STANDING: Codec(encode, standing.read),
        WAITS: Codec(encode, waking.read),
    },
    samples=SAMPLES,
)
