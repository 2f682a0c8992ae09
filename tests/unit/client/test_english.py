"""Every refusal of the server is explained in English, by both clients."""

from pathlib import Path

import pytest

from tieline.client.english import OF_CONNECTIONS, OF_MESSAGES, of_connection, of_message
from tieline.wire.codes import ErrorCode, HandshakeError

BROWSER = Path(__file__).parents[3] / "web" / "tieline.js"


def test_every_reason_has_a_sentence() -> None:
    assert set(OF_MESSAGES) == {code.reason for code in ErrorCode}
    assert set(OF_CONNECTIONS) == {error.reason for error in HandshakeError}


@pytest.mark.parametrize(("reason", "sentence"), OF_MESSAGES.items())
def test_the_browser_says_the_same(reason: str, sentence: str) -> None:
    assert f"  {reason}: '{sentence}',\n" in BROWSER.read_text()


def test_the_servers_own_words_stand_beside() -> None:
    assert of_message(1000, "房间已满", "ROOM_FULL") == "the room is full: 1000 房间已满 (ROOM_FULL)"
    assert of_connection(401, "令牌无效", "UNAUTHORIZED") == (
        "the token is not valid: 401 令牌无效 (UNAUTHORIZED)"
    )


def test_a_reason_that_is_not_known_is_said_as_it_came() -> None:
    assert of_message(1000, "新", "SOMETHING_NEW") == "1000 新 (SOMETHING_NEW)"
    assert of_connection(502, "Bad Gateway", "") == "502 Bad Gateway (no reason given)"
