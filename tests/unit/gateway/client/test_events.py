"""What a gateway tells the client of a session by itself."""

import json

import pytest

from gateway.client.events import expiring, is_overtaken, put_in, reconnecting, welcome
from gateway.client.ice_servers import IceServers
from gateway.client.terms import Pace, Terms
from tests.unit.gateway.client.alice import CONNECTION, HALL, SESSION, TOKENS, alice
from tests.unit.gateway.client.harness import session
from tieline.wire.ids import ResumeToken, RoomId


def test_a_client_is_told_what_it_has_to_know_of_its_session() -> None:
    here = alice()
    here.rooms[HALL] = 5

    said = json.loads(welcome(here, ResumeToken("the secret"), resumed=True))

    assert (said["requestId"], said["cmd"]) == ("", "WELCOME")
    assert (said["data"]["sessionId"], said["data"]["resumeToken"]) == (SESSION, "the secret")
    assert (said["data"]["resumed"], said["data"]["rooms"]) == (True, [HALL])
    assert said["data"]["maxMessageBytes"] == 65_536


def test_only_a_number_that_is_not_whole_has_a_fraction() -> None:
    terms = Terms(IceServers(), TOKENS, pace=Pace(25.0, 8.0), resume_window_s=7.5)

    said = json.loads(welcome(session(terms=terms), ResumeToken(""), resumed=False))["data"]

    assert (said["pingInterval"], said["resumeWindow"]) == (25, 7.5)
    assert isinstance(said["pingInterval"], int)


def test_the_warning_of_a_token_s_end_says_when_in_milliseconds() -> None:
    warning = json.loads(expiring(alice()))

    assert (warning["cmd"], warning["code"], warning["msg"]) == ("TOKEN_EXPIRING", 200, "success")
    assert warning["data"] == {"expiresAt": 1_700_000_000_500}
    assert warning["requestId"]
    assert expiring(alice()) == expiring(alice())


def test_the_advice_to_reconnect_is_an_event_of_this_connection() -> None:
    here, again = alice(), alice()
    here.asked, again.asked = 7, 8
    advice = json.loads(reconnecting(here, after_ms=5, jitter_ms=2000))

    assert (advice["cmd"], advice["data"]) == ("RECONNECT", {"afterMs": 5, "jitterMs": 2000})
    assert advice["requestId"] != json.loads(reconnecting(again, after_ms=5, jitter_ms=2000))["requestId"]
    assert CONNECTION not in advice["requestId"]


def test_who_was_put_into_a_room_is_told_so_while_it_is_there() -> None:
    here = alice()
    here.rooms[HALL] = 5
    event = put_in(here, HALL)
    said = json.loads(event)
    assert (said["cmd"], said["data"]) == ("MEMBER_JOINED", {"room": HALL, "userId": "alice"})
    assert not is_overtaken(here, event)

    here.rooms[RoomId("cellar")] = 5
    assert json.loads(put_in(here, RoomId("cellar")))["requestId"] != said["requestId"]

    here.rooms.clear()
    assert is_overtaken(here, event)


@pytest.mark.parametrize(
    "frame",
    [
        b'{"requestId":"joined-another-5","cmd":"MEMBER_JOINED","data":{"room":"hall","userId":"alice"}}',
        b'{"requestId":"joined-%b-5","cmd":"WEBRTC_OFFER","data":{"from":"bob","to":"alice"}}',
        b'{"requestId":"joined-%b-5","cmd":"MEMBER_JOINED","data":{"room":"hall","userId":"bob"}}',
        b'{"requestId":"joined-%b-5","cmd":',
    ],
)
def test_nothing_else_is_taken_for_that(frame: bytes) -> None:
    assert not is_overtaken(alice(), frame.replace(b"%b", SESSION.encode()))
