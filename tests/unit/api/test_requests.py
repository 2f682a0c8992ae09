"""What requests have in common."""

from typing import cast

import pytest

from api.callers import Caller
from api.problems import Refusal
from api.requests import KEPT_S, UNNAMED_KEPT_S, Ask, is_there, named, room_id, status, user_id


class Request:
    def __init__(self, name: str, until: float | None) -> None:
        self.user = Caller(name, ("*",), until)
        self.scope: dict[str, object] = {}


def of(name: str, until: float | None = None) -> Ask:
    return cast("Ask", Request(name, until))


def test_an_id_is_read_from_a_path_as_it_was_meant() -> None:
    assert room_id("a%2Fb%20c") == "a/b c"
    assert user_id("%E7%94%A8%E6%88%B7") == "用户"


@pytest.mark.parametrize("text", ["%20", "a%00", "%FF", "a" * 129, "%E2%80%8B", ""])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(Refusal) as refusal:
        user_id(text)
    assert (refusal.value.status, refusal.value.reason) == (400, "BAD_ID")


def test_the_same_key_of_the_same_caller_is_the_same_name() -> None:
    assert named(of("a"), "1") == named(of("a"), "1")
    assert len({named(of("a"), "1").once, named(of("a"), "2").once, named(of("b"), "1").once}) == 3
    assert named(of("a"), "1").kept_s == KEPT_S


def test_a_token_shares_no_names_with_a_key_that_is_called_the_same() -> None:
    assert named(of("a", until=1.0), "1") == named(of("a", until=2.0), "1")
    assert named(of("a", until=1.0), "1").once != named(of("a"), "1").once


def test_a_change_without_a_key_has_a_name_that_nobody_knows() -> None:
    assert named(of("a"), None).once != named(of("a"), None).once
    assert named(of("a"), None).kept_s == UNNAMED_KEPT_S


def test_a_caller_of_whom_nobody_knows_better_waits() -> None:
    assert is_there(of("a"))()


@pytest.mark.parametrize(
    ("text", "told"), [("online", "online"), ("away", "away"), ("offline", "offline"), ("newer", "offline")]
)
def test_a_status_that_is_not_known_is_offline(text: str, told: str) -> None:
    assert status(text) == told
