"""What each service may publish and subscribe to. `tests/nats` tries that it is enough, and no more."""

from typing import get_args

import msgspec
import pytest

import tieline.wire.permissions
from tieline.wire import internal
from tieline.wire.ids import UserId
from tieline.wire.internal import (
    OPERATIONS,
    Check,
    EndSession,
    FindReplaced,
    GatewayRequest,
    JoinRoom,
    KeepLease,
    LeaveRoom,
    ListMembers,
    OpenSession,
    PresenceRequest,
    Register,
    Regrant,
    Retell,
    RouterRequest,
    Tell,
)
from tieline.wire.permissions import permissions
from tieline.wire.subjects import Subjects

SUBJECTS = Subjects("blue")

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
}
"""Which service may ask what of presence. Gateways face the internet: think twice before you add a line."""


class Stranger(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """A request that is in neither union."""

    user: UserId


def test_every_subject_is_of_the_namespace() -> None:
    for allowed in permissions(SUBJECTS).values():
        for pattern in (*allowed.say, *allowed.hear):
            assert pattern == "$JS.API.INFO" or "blue" in pattern


def test_only_routers_and_presence_may_publish_to_users() -> None:
    may = permissions(SUBJECTS)
    assert {who for who, allowed in may.items() if "blue.user.*.*" in allowed.say} == {"router", "presence"}


def test_only_presence_may_write_the_bucket() -> None:
    may = permissions(SUBJECTS)
    assert {who for who, allowed in may.items() if "$KV.blue.>" in allowed.say} == {"presence"}


def test_an_operation_is_in_the_union_that_is_written_here() -> None:
    unions: dict[str, set[type]] = {
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
        internal.decode_presence_request(internal.encode(Stranger(UserId("alice"))))


@pytest.mark.parametrize(("service", "answers"), [("gateway", True), ("router", True), ("observer", False)])
def test_a_service_that_only_listens_may_answer_nothing(service: str, answers: bool) -> None:
    assert permissions(SUBJECTS)[service].answer is answers
