"""Which servers a client is told, and with which credentials."""

import base64
import hashlib
import hmac
import re

import pytest
from hypothesis import given

from gateway.client.actions import Say
from gateway.client.ice_servers import IceServers, password, turn_user
from gateway.client.terms import Terms
from tests.unit.gateway.client.alice import ALICE, NOW, TOKENS, alice, said
from tests.unit.wire.samples import HOSTILE_IDS, VALID_IDS, frame, ice_servers_message
from tieline.wire.ids import UserId
from tieline.wire.replies import IceServer, IceServerList

SECRET = "north wind"
STUN, TURN = (
    ("stun:stun.example.org",),
    ("turn:turn.example.org:3478?transport=udp", "turns:turn.example.org"),
)


# What is told.


def test_nothing_is_listed_where_nothing_is_configured() -> None:
    assert IceServers().listed(ALICE, NOW) == IceServerList((), 3600)


def test_stun_needs_no_credential() -> None:
    assert IceServers(stun_urls=STUN).listed(ALICE, NOW) == IceServerList((IceServer(STUN),), 3600)


def test_a_relay_comes_with_a_credential_for_a_user_and_a_time() -> None:
    servers = IceServers(STUN, TURN, SECRET, ttl_s=600)

    name = "1700000600:alice"
    expected = base64.b64encode(hmac.new(SECRET.encode(), name.encode(), hashlib.sha1).digest()).decode()
    assert servers.listed(ALICE, NOW + 0.9) == IceServerList(
        (IceServer(STUN), IceServer(TURN, name, expected)), 600
    )


def test_the_password_is_the_one_that_openssl_makes() -> None:
    # printf 1700000600:alice | openssl dgst -sha1 -hmac 'north wind' -binary | base64
    assert password(SECRET, "1700000600:alice") == "loebUno9XKCtrvRl3fWe9LubwGE="


def test_the_session_answers_for_the_user_of_the_token() -> None:
    servers = IceServers(turn_urls=TURN, turn_secret=SECRET, ttl_s=60)
    asked = frame(ice_servers_message() | {"data": {"user": "bob"}})

    answer = alice(terms=Terms(servers, TOKENS)).receive(asked, NOW)

    assert said(answer) == {
        "requestId": "r-1",
        "module": "ROOM",
        "cmd": "ICE_SERVERS",
        "code": 200,
        "msg": "success",
        "data": {
            "iceServers": [
                {
                    "urls": list(TURN),
                    "username": "1700000060:alice",
                    "credential": password(SECRET, "1700000060:alice"),
                }
            ],
            "ttl": 60,
        },
    }
    assert isinstance(answer, Say)
    assert (answer.cmd, answer.outcome) == ("ICE_SERVERS", "ok")


# How a user is spelled.


@pytest.mark.parametrize(
    ("user", "spelled"),
    [
        ("alice", "alice"),
        ("Alice_1-2.3", "Alice_1-2.3"),
        ("a:b", "a=3Ab"),
        ("a b", "a=20b"),
        ("'\"\\", "=27=22=5C"),
        ("=3A", "=3D3A"),
        ("用", "=E7=94=A8"),
        ("union select", "=75nion=20select"),
        ("selectUNIon", "select=55NIon"),
        ("bunion", "b=75nion"),
        ("uni-on", "uni-on"),
    ],
)
def test_what_a_turn_server_may_misread_is_escaped(user: str, spelled: str) -> None:
    assert turn_user(UserId(user)) == spelled


@pytest.mark.parametrize("user", HOSTILE_IDS)
def test_no_user_is_refused_or_misread_for_its_name(user: str) -> None:
    assert_harmless(turn_user(UserId(user)))


@given(VALID_IDS)
def test_every_user_has_a_name_of_its_own(user: str) -> None:
    spelled = turn_user(UserId(user))

    assert_harmless(spelled)
    octets = re.sub(rb"=(..)", lambda escape: bytes.fromhex(escape[1].decode()), spelled.encode())
    assert octets.decode() == user


def assert_harmless(spelled: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_.=-]+", spelled)
    assert not ("union" in spelled.lower() and "select" in spelled.lower())
    assert len(f"9999999999:{spelled}") < 509  # RFC 8489, 14.3
