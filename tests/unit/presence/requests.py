"""What gateways ask of presence: requests about users, sessions and connections that are named by number."""

from typing import Final

from tieline.wire.ids import ConnectionId, GatewayId, ResumeToken, RoomId, SecretHash, SessionId, UserId
from tieline.wire.internal.sessions import OpenSession, Register
from tieline.wire.resume_tokens import secret_hash

NO_SECRET: Final = SecretHash(b"")


def opening(
    user: str,
    *join: str,
    number: int = 1,
    gateway: str = "g1",
    secret: str = "",
    resume: str = "",
    granted: tuple[str, ...] | None = None,
    voice: bool = True,
    hears: bool = False,
) -> OpenSession:
    """What a gateway asks when a user connects for the so-manieth time."""
    return OpenSession(
        UserId(user),
        SessionId(f"{user}-s{number}"),
        GatewayId(gateway),
        ConnectionId(f"{user}-c{number}"),
        voice,
        tuple(RoomId(room) for room in join),
        secret_hash(ResumeToken(secret)) if secret else NO_SECRET,
        secret_hash(ResumeToken(resume)) if resume else NO_SECRET,
        None if granted is None else tuple(RoomId(room) for room in granted),
        hears,
    )


def registering(ask: OpenSession, rooms: dict[str, int]) -> Register:
    """What the gateway of a session says when presence may have forgotten it."""
    return Register(
        ask.user,
        ask.session,
        ask.gateway,
        ask.connection,
        ask.voice,
        {RoomId(room): at for room, at in rooms.items()},
        ask.secret,
    )
