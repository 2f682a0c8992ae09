"""Who may say and hear what on the broker. That it is enough, and no more, is tried in `tests/nats`."""

import pytest

from tieline.wire.internal import OPERATIONS
from tieline.wire.permissions import permissions
from tieline.wire.subjects import Subjects

SUBJECTS = Subjects("blue")


def test_every_subject_is_of_the_namespace() -> None:
    for allowed in permissions(SUBJECTS).values():
        for pattern in (*allowed.say, *allowed.hear):
            assert pattern == "$JS.API.INFO" or "blue" in pattern


def test_only_routers_and_presence_write_to_users_and_only_presence_to_the_bucket() -> None:
    who_may = permissions(SUBJECTS)
    assert {who for who, allowed in who_may.items() if "blue.user.*.*" in allowed.say} == {
        "router",
        "presence",
    }
    assert {who for who, allowed in who_may.items() if "$KV.blue.>" in allowed.say} == {"presence"}


def test_every_operation_of_presence_is_asked_by_exactly_one_service() -> None:
    who_may = permissions(SUBJECTS)
    for op in OPERATIONS.values():
        subject = SUBJECTS.presence(op)
        assert [who for who, allowed in who_may.items() if subject in allowed.say] == [
            "router" if op == "check" else "gateway"
        ]


@pytest.mark.parametrize(("service", "answers"), [("gateway", True), ("router", True), ("observer", False)])
def test_who_only_listens_answers_nobody(service: str, answers: bool) -> None:
    assert permissions(SUBJECTS)[service].answer is answers
