"""What each service may publish and subscribe to. `tests/nats` tries that it is enough, and no more."""

import re
from typing import get_args

import msgspec
import pytest

import tieline.wire.permissions
from tieline.wire import jetstream
from tieline.wire.ids import ConnectionId, FrameDigest, GatewayId, RoomId, SessionId, UserId
from tieline.wire.internal import codec
from tieline.wire.internal.backend import (
    AddMember,
    Ban,
    CloseRoom,
    CountAll,
    Disconnect,
    EndCall,
    ListRooms,
    LookAtRoom,
    LookAtUser,
    MessageRoom,
    MessageUser,
    RemoveMember,
    SetVoice,
)
from tieline.wire.internal.directions import (
    OPERATIONS,
    BackendRequest,
    GatewayRequest,
    PresenceRequest,
    RouterRequest,
)
from tieline.wire.internal.rooms import JoinRoom, LeaveRoom, ListMembers, Retell
from tieline.wire.internal.sessions import (
    EndSession,
    FindReplaced,
    KeepLease,
    OpenSession,
    Register,
    Regrant,
    Tell,
)
from tieline.wire.internal.signals import Check
from tieline.wire.permissions import passages, permissions, permissions_in_transition
from tieline.wire.subjects import Keys, Subjects

SUBJECTS = Subjects("blue")
PRESENCES_REPLIES = "blue.presence.*.reply.*"

MAY_ASK: dict[type, str] = {
    Check: "router",
    OpenSession: "gateway",
    EndSession: "gateway",
    Register: "gateway",
    Regrant: "gateway",
    Tell: "gateway",
    FindReplaced: "gateway",
    JoinRoom: "gateway",
    LeaveRoom: "gateway",
    ListMembers: "gateway",
    KeepLease: "gateway",
    Retell: "gateway",
    AddMember: "api",
    RemoveMember: "api",
    CloseRoom: "api",
    Disconnect: "api",
    Ban: "api",
    SetVoice: "api",
    EndCall: "api",
    MessageUser: "api",
    MessageRoom: "api",
    LookAtUser: "api",
    LookAtRoom: "api",
    ListRooms: "api",
    CountAll: "api",
}
"""Which service may ask what of presence. Gateways face the internet: think twice before you add a line."""


class Stranger(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """A request that is in none of the unions."""

    user: UserId


def test_every_subject_is_of_the_namespace() -> None:
    for allowed in permissions(SUBJECTS).values():
        for pattern in (*allowed.say, *allowed.hear):
            assert pattern == "$JS.API.INFO" or "blue" in pattern


def test_only_routers_and_presence_may_publish_to_users() -> None:
    may = permissions(SUBJECTS)
    assert {who for who, allowed in may.items() if "blue.user.*.*" in allowed.say} == {"router", "presence"}


def test_only_presence_may_write_the_bucket_and_only_known_keys() -> None:
    may = permissions(SUBJECTS)
    assert [who for who, allowed in may.items() if "$KV.blue." in str(allowed.say)] == ["presence"]
    written = [pattern for pattern in may["presence"].say if "$KV" in pattern]
    assert "$KV.blue.user.*" in written
    consumer = "$JS.API.CONSUMER.CREATE.KV_blue.timers.$KV.blue.timer.>"  # JetStream's own word
    assert [pattern for pattern in written if ">" in pattern] == [consumer]


def test_every_key_is_of_a_kind_that_may_be_written() -> None:
    user, room, gateway = UserId("a.b"), RoomId(">"), GatewayId("*")
    session, connection = SessionId("s"), ConnectionId("c")
    keys = (
        Keys.user(user),
        Keys.room(room, user),
        Keys.pair(user, user),
        Keys.held(user, user, FrameDigest(b"d")),
        Keys.session(gateway, session),
        Keys.offer_timer(user, user, "1"),
        Keys.away_timer(user, connection),
        Keys.lease_timer(gateway),
        Keys.listener(gateway),
        Keys.probe(),
        Keys.standing(user),
        Keys.given(room, user),
        Keys.wake(user),
        Keys.once("0a"),
        Keys.closing(room),
        Keys.close_timer(room),
        Keys.last_number(),
    )
    kinds = [re.compile(re.escape(kind).replace(r"\*", "[^.]+")) for kind in Keys.kinds()]
    for key in keys:
        assert [kind for kind in kinds if kind.fullmatch(key)], key
    assert len(keys) == len(kinds)


def test_no_service_may_adapt_a_stream() -> None:
    may = permissions(SUBJECTS)
    adapting = {who for who, allowed in may.items() for pattern in allowed.say if "STREAM.UPDATE" in pattern}
    assert adapting == {"streams"}


def test_a_webhook_worker_writes_its_own_bucket_alone() -> None:
    may = permissions(SUBJECTS)["webhooks"]
    prefixes = {pattern.split(".")[1] for pattern in may.say if pattern.startswith("$KV.")}
    assert prefixes == {"blue-webhooks"}
    assert not may.answer
    assert [pattern for pattern in may.say if pattern.startswith("blue.")] == ["blue.cloudevents.again.*"]


def test_no_pattern_is_wider_than_its_subjects() -> None:
    for allowed in permissions(SUBJECTS).values():
        for pattern in (*allowed.say, *allowed.hear):
            assert ">" not in pattern or pattern.startswith("$JS.API.CONSUMER.CREATE.")


def test_what_a_gateway_says_and_hears_passes_between_the_accounts() -> None:
    gateway, passing = permissions(SUBJECTS)["gateway"], passages(SUBJECTS)
    assert {*gateway.say} == {*passing.from_gateways, *passing.asked_by_gateways} - {PRESENCES_REPLIES}
    assert PRESENCES_REPLIES in passing.from_gateways
    assert passing.to_gateways == gateway.hear


def test_all_that_jetstream_answers_a_gateway_is_asked_as_a_service() -> None:
    asked = passages(SUBJECTS).asked_by_gateways
    assert asked == {"blue.mark.*": False, "$JS.API.DIRECT.GET.MAILBOX_blue": True}
    assert not [subject for subject in passages(SUBJECTS).from_gateways if subject.startswith("$")]


def test_an_operation_is_in_the_union_that_is_written_here() -> None:
    unions: dict[str, set[type]] = {
        "api": set(get_args(BackendRequest)),
        "gateway": set(get_args(GatewayRequest)),
        "router": set(get_args(RouterRequest) or (RouterRequest,)),  # a union of one is its only class
    }

    for kind, service in MAY_ASK.items():
        assert [name for name, union in unions.items() if kind in union] == [service]
    assert set(OPERATIONS) == set(get_args(PresenceRequest)) == set(MAY_ASK)


def test_an_operation_may_be_asked_by_one_service_alone() -> None:
    may = permissions(SUBJECTS)
    for kind, service in MAY_ASK.items():
        subject = SUBJECTS.presence(OPERATIONS[kind])
        assert [who for who, allowed in may.items() if subject in allowed.say] == [service]


def test_a_new_operation_is_permitted_to_no_service(monkeypatch: pytest.MonkeyPatch) -> None:
    before = permissions(SUBJECTS)

    operations: dict[type, str] = {**OPERATIONS, Stranger: "stranger"}
    monkeypatch.setattr(tieline.wire.permissions, "OPERATIONS", operations)

    assert permissions(SUBJECTS) == before


def test_a_request_in_neither_union_is_read_by_no_process() -> None:
    with pytest.raises(msgspec.ValidationError):
        codec.decode_presence_request(codec.encode(Stranger(UserId("alice"))))


@pytest.mark.parametrize(
    ("service", "answers"),
    [("gateway", True), ("router", True), ("observer", False), ("streams", False), ("api", False)],
)
def test_a_service_that_only_listens_may_answer_nothing(service: str, answers: bool) -> None:
    assert permissions(SUBJECTS)[service].answer is answers


def test_in_partitions_each_service_may_use_each_of_them() -> None:
    four = Subjects("tieline", 4)
    may = permissions(four)
    for part in four.parts():
        assert {part.users().replace(">", "*.*"), part.mailbox_question()} <= set(may["router"].say)
        assert {part.marks(), jetstream.direct_get(part.mailbox())} <= set(may["gateway"].say)
        assert part.pushed()[1].replace(">", "user.*.*") in may["gateway"].hear
        assert jetstream.direct_get(jetstream.bucket_stream(part.bucket())) in may["presence"].say
        assert jetstream.direct_get(part.mailbox()) in passages(four).asked_by_gateways
    for allowed in may.values():
        assert len(allowed.say) == len(set(allowed.say))
        assert not any("MAILBOX_tieline" in pattern and "-of-4" not in pattern for pattern in allowed.say)


def test_on_the_way_to_another_number_the_empty_streams_may_go() -> None:
    before, after = permissions(Subjects("tieline")), permissions(Subjects("tieline", 4))
    between = permissions(Subjects("tieline", 4), former=1)
    removing = {jetstream.delete_stream(stream) for stream in ("KV_tieline", "MAILBOX_tieline")}
    for user in ("presence", "streams"):
        assert {*before[user].say, *after[user].say} <= set(between[user].say)
    assert set(between["streams"].say) - {*before["streams"].say, *after["streams"].say} == removing
    assert not any("STREAM.DELETE" in pattern for pattern in between["presence"].say)
    assert {user: between[user] for user in ("gateway", "router")} == {
        user: after[user] for user in ("gateway", "router")
    }


def test_in_a_transition_presence_alone_may_adapt_streams() -> None:
    subjects = Subjects("tieline", 2)
    before, meanwhile = permissions(subjects), permissions_in_transition(subjects)
    assert {name for name in before if before[name] != meanwhile[name]} == {"presence"}
    more = set(meanwhile["presence"].say) - set(before["presence"].say)
    assert more
    assert all(subject.startswith("$JS.API.STREAM.UPDATE.") for subject in more)
