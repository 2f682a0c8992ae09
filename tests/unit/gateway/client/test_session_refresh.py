"""A client that stays with a newer token (docs/protocol.md#3-commands, REFRESH_TOKEN)."""

import time

import jwt
import pytest

from gateway.client.actions import AskKeys, AskPresence, HangUp, Say
from gateway.client.ice_servers import IceServers
from gateway.client.session import Session
from gateway.client.terms import Terms
from tests.unit.gateway.client.alice import (
    ALICE,
    CELLAR,
    GATEWAY,
    HALL,
    JWT_SECRET,
    NOW,
    PLAIN,
    ROOM,
    SESSION,
    alice,
    room_ask,
    said,
)
from tests.unit.gateway.client.harness import connected
from tests.unit.gateway.client.harness import session as live_session
from tests.unit.verification.issuer import EC, RSA, key_set
from tests.unit.wire.samples import frame, ping_message, refresh_message, room_message
from tieline.verification.keys import read_key_set
from tieline.verification.tokens import Tokens
from tieline.wire.codes import CloseCode
from tieline.wire.ids import AdmissionToken, GatewayId
from tieline.wire.internal.answers import Done, SessionGone
from tieline.wire.internal.rooms import JoinRoom, RoomMembers
from tieline.wire.internal.sessions import Regrant
from tieline.wire.replies import Member

LATER = NOW + 900


def token(**claims: object) -> str:
    secret = str(claims.pop("secret", JWT_SECRET))
    return jwt.encode({"sub": "alice", "exp": LATER, "rooms": "*", **claims}, secret, "HS256")


def in_rooms(session: Session, *rooms: str) -> Session:
    for room in rooms:
        ask = session.receive(frame(room_message("JOIN") | {"data": {"room": room}}), NOW)
        assert isinstance(ask, AskPresence)
        session.presence_answered(ask, RoomMembers((Member(ALICE, "online", True, 7),)))
    return session


def refresh(session: Session, newer: str, now: float = NOW) -> AskPresence:
    ask = session.receive(frame(refresh_message(newer)), now)
    assert isinstance(ask, AskPresence)
    return ask


def test_presence_is_told_what_the_newer_token_grants() -> None:
    session = in_rooms(alice(), "hall", "cellar")

    one, other = (
        AdmissionToken(token(rooms=["hall"], join=["room-1"], voice=False)),
        AdmissionToken(token(rooms="*")),
    )
    ask = refresh(session, one)

    assert (ask.request_id, ask.cmd) == ("r-1", "REFRESH_TOKEN")
    assert ask.request == Regrant(ALICE, SESSION, False, (HALL, ROOM), (HALL, CELLAR), token=one)
    expected = Regrant(ALICE, SESSION, True, None, (HALL, CELLAR), token=other)
    assert refresh(session, other).request == expected


def test_when_it_has_agreed_the_newer_token_is_shown_to_it() -> None:
    session, newer = alice(), AdmissionToken(token(rooms="*"))
    ask = refresh(session, newer)
    assert session.opening(GatewayId("g"), None).token == session.registration(GatewayId("g")).token != newer
    session.presence_answered(ask, Done())
    assert session.opening(GatewayId("g"), None).token == session.registration(GatewayId("g")).token == newer


def test_nothing_changes_before_presence_has_agreed() -> None:
    session = in_rooms(alice(), "hall")
    before = session.claims
    ask = refresh(session, token(rooms=[]))

    assert said(session.presence_answered(ask, None))["reason"] == "INTERNAL"
    assert session.presence_answered(ask, SessionGone(replaced=True)) == HangUp(CloseCode.REPLACED)
    assert session.claims is before
    assert session.rooms == {HALL: 7}


def test_then_the_newer_token_counts_for_all() -> None:
    session = in_rooms(alice(), "hall", "cellar")

    answer = session.presence_answered(refresh(session, token(rooms=["hall"], voice=False)), Done())

    assert said(answer) == {
        "requestId": "r-1",
        "module": "ROOM",
        "cmd": "REFRESH_TOKEN",
        "code": 200,
        "msg": "success",
        "data": {"expiresAt": LATER * 1000},
    }
    assert isinstance(answer, Say)
    assert (answer.cmd, answer.outcome) == ("REFRESH_TOKEN", "ok")
    assert session.claims.exp == LATER
    assert session.rooms == {HALL: 7}
    assert session.registration(GATEWAY).voice is False
    assert said(session.receive(frame(room_message("JOIN")), NOW))["reason"] == "ROOM_FORBIDDEN"
    assert isinstance(room_ask(session, "LEAVE"), AskPresence)


def test_rooms_that_the_backend_gives_stay_whatever_a_token_says() -> None:
    session = in_rooms(alice(), "hall", "cellar")
    ask = refresh(session, token(rooms=[]))
    session.rooms[ROOM] = 9  # it is put in while presence looks at the token
    session.presence_answered(ask, Done(also_in=(CELLAR,)))
    assert session.rooms == {CELLAR: 7, ROOM: 9}
    joins = session.receive(frame(room_message("JOIN") | {"data": {"room": "cellar"}}), NOW)
    assert isinstance(joins, AskPresence)
    assert isinstance(joins.request, JoinRoom)
    assert joins.request.is_ordered, "it counts while the backend says so"


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "rubbish",
        "用",
        token(secret="another secret, which is as long as it has to be"),
        token(exp=NOW),
        token(exp="soon"),
        token(nbf=NOW + 61),
        token(sub=None),
        token(rooms=[""]),
        jwt.encode({"sub": "alice", "exp": LATER}, "", "none"),
    ],
)
def test_a_token_that_would_not_admit_anybody_is_refused(bad: str) -> None:
    refused = said(alice().receive(frame(refresh_message(bad)), NOW))

    assert (refused["requestId"], refused["cmd"]) == ("r-1", "REFRESH_TOKEN")
    assert (refused["code"], refused["msg"], refused["reason"]) == (1000, "令牌无效", "BAD_TOKEN")


def test_a_token_of_somebody_else_is_refused() -> None:
    refused = said(alice().receive(frame(refresh_message(token(sub="bob"))), NOW))

    assert (refused["code"], refused["reason"]) == (1000, "SENDER_MISMATCH")


# A newer token of a newer key.


def fetching() -> Terms:
    """Terms of a gateway that fetches its keys, and has none yet."""
    return Terms(IceServers(), Tokens(fetches=True))


def test_a_token_of_an_unknown_key_waits_for_fresh_keys() -> None:
    terms = fetching()
    session = alice(terms=terms)
    newer = RSA.token()
    ask = session.receive(frame(refresh_message(newer)), NOW)
    assert ask == AskKeys("r-1", "REFRESH_TOKEN", newer)
    assert isinstance(ask, AskKeys)

    assert said(session.keys_answered(ask, False, NOW))["reason"] == "INTERNAL"
    assert said(session.keys_answered(ask, True, NOW))["reason"] == "BAD_TOKEN"
    terms.tokens.fetched = read_key_set(key_set(EC.jwk(), RSA.jwk()))
    assert isinstance(session.keys_answered(ask, True, NOW), AskPresence)
    assert isinstance(session.keys_answered(ask, False, NOW), AskPresence)


@pytest.mark.parametrize("is_known", [True, False])
def test_the_next_message_waits_until_the_keys_have_come(is_known: bool) -> None:
    terms = fetching()
    harness = connected(live_session(terms=terms))
    later = RSA.token(exp=time.time() + 9000)
    harness.send(frame(refresh_message(later)), frame(ping_message() | {"requestId": "next"}))
    assert len(harness.host.keys_asked) == 1
    assert harness.messages() == []

    if is_known:
        terms.tokens.fetched = read_key_set(key_set(RSA.jwk()))
    harness.host.answer_keys(is_fresh=True)
    if is_known:
        assert harness.messages() == []
        harness.answer_room(Done())

    answer, pong = harness.messages()
    assert answer.get("reason") == (None if is_known else "BAD_TOKEN")
    assert pong["requestId"] == "next"


def test_a_newer_token_restarts_its_timer() -> None:
    harness = connected(live_session(token_lasts_s=100, terms=PLAIN))
    harness.send(frame(refresh_message(token(exp=time.time() + 9000))))
    harness.answer_room(Done())

    harness.live_on(1000)
    assert [message.get("reason") for message in harness.messages()] == [None]
    assert harness.host.told == []
    assert harness.close_code is None
