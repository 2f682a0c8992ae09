"""Alice's session as a test wants it, and what it asks."""

import json
from typing import Any, Final, Literal

from gateway.client.actions import AskPresence, AskRouter, Say
from gateway.client.ice_servers import IceServers
from gateway.client.session import Session
from gateway.client.terms import Terms
from gateway.limits.rates import NO_LIMITS, Rates
from gateway.limits.user_budget import UserBudget
from tests.unit.wire.samples import frame, room_message, signal_message
from tieline.verification.tokens import Claims, Tokens
from tieline.wire.ids import ConnectionId, GatewayId, RoomId, SecretHash, SessionId, UserId

ALICE, BOB = UserId("alice"), UserId("bob")
SESSION, CONNECTION, GATEWAY = SessionId("s-1"), ConnectionId("c-1"), GatewayId("g-1")
ROOM, HALL, CELLAR = RoomId("room-1"), RoomId("hall"), RoomId("cellar")
JWT_SECRET: Final = "the secret of every good token of these tests"
NOW: Final = 1_700_000_000.0
"""Unix seconds: when she speaks."""
TOKENS: Final = Tokens(JWT_SECRET)
PLAIN: Final = Terms(IceServers(), TOKENS)
"""What a gateway grants that nobody has configured."""
SECRET, NO_SECRET = SecretHash(b"hash"), SecretHash(b"")


def alice(
    rooms: tuple[str, ...] | Literal["*"] = "*",
    join: tuple[str, ...] = (),
    voice: bool = True,
    acks: bool = False,
    secret: SecretHash = SECRET,
    terms: Terms = PLAIN,
    rates: Rates = NO_LIMITS,
    calls: bool = False,
) -> Session:
    """Her session, as her token and her wishes make it."""
    claims = Claims("alice", 1_700_000_000.5, rooms=rooms, join=join, voice=voice)
    return Session(SESSION, CONNECTION, claims, secret, acks, terms, UserBudget(ALICE, rates), calls=calls)


def signal_ask(session: Session, cmd: str = "WEBRTC_OFFER") -> AskRouter:
    """Let her signal something to Bob, and return what she asks of a router."""
    ask = session.receive(frame(signal_message(cmd)), NOW)
    assert isinstance(ask, AskRouter)
    return ask


def room_ask(session: Session, cmd: str = "JOIN") -> AskPresence:
    """Let her say something about a room, and return what she asks of presence."""
    ask = session.receive(frame(room_message(cmd)), NOW)
    assert isinstance(ask, AskPresence)
    return ask


def said(answer: object) -> dict[str, Any]:
    """Return what she is told."""
    assert isinstance(answer, Say)
    return dict(json.loads(answer.frame))
