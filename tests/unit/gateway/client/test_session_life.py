"""How a session begins, is resumed and ends."""

import pytest

from gateway.client.session import FINAL_CLOSES, NO_CLOSE_FRAME
from tests.unit.gateway.client.alice import (
    ALICE,
    CELLAR,
    CONNECTION,
    GATEWAY,
    HALL,
    NO_SECRET,
    ROOM,
    SECRET,
    SESSION,
    alice,
    room_ask,
    signal_ask,
)
from tieline.wire.codes import CloseCode
from tieline.wire.ids import ResumeToken, SecretHash, SessionId
from tieline.wire.internal.answers import Done
from tieline.wire.internal.sessions import EndSession, Opened, OpenSession, Register
from tieline.wire.resume_tokens import secret_hash


def test_a_session_is_opened_with_what_the_token_grants() -> None:
    session = alice(rooms=("hall",), join=("cellar",), voice=False)

    assert session.opening(GATEWAY, None) == OpenSession(
        ALICE,
        SESSION,
        GATEWAY,
        CONNECTION,
        False,
        (CELLAR,),
        SECRET,
        NO_SECRET,
        (HALL, CELLAR),
        hears=True,
        names_connection=True,
    )


def test_a_token_for_every_room_grants_every_room() -> None:
    assert alice(rooms="*", join=("cellar",)).opening(GATEWAY, None).granted is None
    assert alice(rooms=(), join=()).opening(GATEWAY, None).granted == ()


def test_only_a_secret_that_the_client_has_is_asked_to_be_resumed() -> None:
    token = ResumeToken("the secret")

    assert alice().opening(GATEWAY, token).resume == secret_hash(token)
    assert alice().opening(GATEWAY, ResumeToken("")).resume == NO_SECRET


def test_a_session_becomes_what_presence_says_it_is() -> None:
    session = alice()

    session.opened(Opened(SessionId("older"), resumed=True, rooms={HALL: 5}), SecretHash(b"older's"))

    assert (session.session, session.secret, session.rooms) == ("older", b"older's", {HALL: 5})
    assert signal_ask(session).signal.session == "older"
    assert session.registration(GATEWAY) == Register(
        ALICE,
        SessionId("older"),
        GATEWAY,
        CONNECTION,
        True,
        {HALL: 5},
        SecretHash(b"older's"),
        hears=True,
        names_connection=True,
    )
    assert session.is_resumed


def test_the_rooms_a_session_was_opened_with_are_its_own_copy() -> None:
    session, reply = alice(), Opened(SESSION, resumed=False, rooms={ROOM: 5})

    session.opened(reply, SECRET)
    session.presence_answered(room_ask(session, "LEAVE"), Done())

    assert reply.rooms == {ROOM: 5}


@pytest.mark.parametrize("code", [*CloseCode, NO_CLOSE_FRAME, 1005, 1002, 3000, 4999])
def test_every_end_but_the_final_ones_can_be_resumed(code: int) -> None:
    resumable = code not in {1000, 4502, 4503, 4504}

    assert alice().ending(code) == EndSession(ALICE, CONNECTION, resumable)
    assert alice(secret=NO_SECRET).ending(code) == EndSession(ALICE, CONNECTION, resumable=False)


def test_the_final_closes_are_those_of_the_protocol() -> None:
    assert {1000, 4502, 4503, 4504} == FINAL_CLOSES
