"""A client that stays with a newer token (PROTOCOL, section 3, REFRESH_TOKEN)."""

import jwt
import pytest

from gateway.session import AskPresence, HangUp, Say, Session
from tests.unit.gateway.alice import (
    ALICE,
    CELLAR,
    GATEWAY,
    HALL,
    JWT_SECRET,
    NOW,
    ROOM,
    SESSION,
    alice,
    room_ask,
    said,
)
from tests.unit.wire.samples import frame, refresh_message, room_message
from tieline.wire.codes import CloseCode
from tieline.wire.envelope import Member
from tieline.wire.internal import Done, Regrant, RoomMembers, SessionGone

LATER = NOW + 900


def token(**claims: object) -> str:
    secret = str(claims.pop("secret", JWT_SECRET))
    return jwt.encode({"sub": "alice", "exp": LATER, "rooms": "*", **claims}, secret, "HS256")


def in_rooms(session: Session, *rooms: str) -> Session:
    for room in rooms:
        ask = session.receive(frame(room_message("JOIN") | {"data": {"room": room}}), NOW)
        assert isinstance(ask, AskPresence)
        session.hear_presence(ask, RoomMembers((Member(ALICE, "online", True, 7),)))
    return session


def refresh(session: Session, newer: str, now: float = NOW) -> AskPresence:
    ask = session.receive(frame(refresh_message(newer)), now)
    assert isinstance(ask, AskPresence)
    return ask


def test_presence_is_asked_to_know_the_session_by_what_the_newer_token_grants() -> None:
    session = in_rooms(alice(), "hall", "cellar")

    ask = refresh(session, token(rooms=["hall"], join=["room-1"], voice=False))

    assert (ask.request_id, ask.cmd) == ("r-1", "REFRESH_TOKEN")
    assert ask.request == Regrant(ALICE, SESSION, False, (HALL, ROOM), (HALL, CELLAR))
    assert refresh(session, token(rooms="*")).request == Regrant(ALICE, SESSION, True, None, (HALL, CELLAR))


def test_nothing_changes_before_presence_has_agreed() -> None:
    session = in_rooms(alice(), "hall")
    before = session.claims
    ask = refresh(session, token(rooms=[]))

    assert said(session.hear_presence(ask, None))["reason"] == "INTERNAL"
    assert session.hear_presence(ask, SessionGone(replaced=True)) == HangUp(
        CloseCode.REPLACED, "r-1", "REFRESH_TOKEN"
    )
    assert session.claims is before
    assert session.rooms == {HALL: 7}


def test_then_the_newer_token_counts_for_all() -> None:
    session = in_rooms(alice(), "hall", "cellar")

    answer = session.hear_presence(refresh(session, token(rooms=["hall"], voice=False)), Done())

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
