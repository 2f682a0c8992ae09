"""What each error says, and whether connecting again may help after it."""

import pytest

from tieline.client import (
    ClientError,
    Closed,
    Denied,
    GaveUp,
    NoReply,
    Refused,
    SessionLost,
    Unreachable,
    Unreadable,
)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            Denied(403, "no", "FOREIGN_ORIGIN", None),
            "connection refused: pages of this origin are not let in: 403 no (FOREIGN_ORIGIN)",
        ),
        (
            Denied(429, "no", "RATE_LIMITED", 30, "flooding"),
            "connection refused: too many connections were made in short time:"
            " 429 no (RATE_LIMITED: flooding)",
        ),
        (Denied(502, "Bad Gateway", "", 7), "connection refused: 502 Bad Gateway (no reason given)"),
        (
            Refused(1000, "full", "ROOM_FULL", "JOIN", "r"),
            "JOIN refused: the room is full: 1000 full (ROOM_FULL)",
        ),
        (
            Refused(400, "bad", "BAD_MESSAGE", "MEMBERS", "r", "after"),
            "MEMBERS refused: the server does not understand this message: 400 bad (BAD_MESSAGE: after)",
        ),
        (
            Refused(400, "bad", "BAD_MESSAGE", "", ""),
            "message refused: the server does not understand this message: 400 bad (BAD_MESSAGE)",
        ),
        (Closed(4502, "kicked"), "connection closed: 4502 kicked"),
        (Closed(1012, ""), "connection closed: 1012"),
        (
            GaveUp(1006, "", Unreachable("no gateway at ws://x")),
            "connection closed: 1006; not made again: no gateway at ws://x",
        ),
        (SessionLost("PING", "r"), "the session was lost before PING was answered"),
        (NoReply("PING", "r", 10.0), "no reply to PING within 10 s"),
        (Unreadable("the reply is unreadable"), "the reply is unreadable"),
    ],
)
def test_an_error_says_what_happened(error: ClientError, text: str) -> None:
    assert str(error) == text
    assert isinstance(error, ClientError)


@pytest.mark.parametrize(
    ("status", "may"),
    [
        *((status, False) for status in (400, 401, 403, 404, 426, 499)),
        *((status, True) for status in (408, 425, 429, 500, 502, 503)),
    ],
)
def test_the_http_status_says_whether_to_try_again(status: int, may: bool) -> None:
    assert Denied(status, "", "", None).may_reconnect is may


@pytest.mark.parametrize(
    ("code", "may"), [(1000, False), (1001, True), (1006, True), (1009, False), (4000, True), (4500, False)]
)
def test_the_close_code_says_whether_to_try_again(code: int, may: bool) -> None:
    assert Closed(code, "").may_reconnect is may


@pytest.mark.parametrize(
    ("last", "may"),
    [
        (Denied(503, "", "FULL", 7), True),
        (Denied(403, "", "FOREIGN_ORIGIN", None), False),
        (Closed(1012, ""), True),
        (Closed(4502, ""), False),
        (Unreachable(""), True),
        (KeyError("no such user"), True),
    ],
)
def test_after_giving_up_the_last_failure_says_it(last: Exception, may: bool) -> None:
    assert GaveUp(1006, "", last).may_reconnect is may
    assert GaveUp(4500, "", last).may_reconnect is may


@pytest.mark.parametrize("end", [Closed(4502, "kicked"), GaveUp(1006, "lost", Unreachable("nobody"))])
def test_an_end_that_is_raised_again_is_an_equal_one(end: Closed) -> None:
    again = end.again()
    assert again is not end
    assert type(again) is type(end)
    assert str(again) == str(end)
    assert vars(again) == vars(end)
