"""Alice and Bob in a call, and what is known of them."""

from presence.rules.user import User
from tests.unit.presence.presence_process import PresenceProcess
from tests.unit.presence.requests import opening
from tieline.wire.ids import RoomId, UserId
from tieline.wire.internal.codec import decode_close_session
from tieline.wire.internal.sessions import CloseSession

ALICE, BOB = UserId("alice"), UserId("bob")

HALL, CELLAR = RoomId("hall"), RoomId("cellar")


async def with_both(secret: str = "") -> PresenceProcess:
    """Alice and Bob in the hall, in an established call; everything before is forgotten."""
    process = PresenceProcess()
    await process.open(opening("alice", "hall", "cellar", secret=secret))
    await process.open(opening("bob", "hall", gateway="g2"))
    await process.signal("alice", "bob", "OFFER", "offer")
    await process.signal("bob", "alice", "ANSWER", "answer")
    process.recorder.sent.clear()
    return process


def closed_by(process: PresenceProcess) -> list[tuple[str, CloseSession]]:
    """List which gateways were told to close what."""
    return [(sent.subject, decode_close_session(sent.payload)) for sent in process.heard_elsewhere("gateway")]


def since(user: User) -> dict[RoomId, int]:
    """List a user's rooms, with when they were joined."""
    return {room: membership.since for room, membership in user.rooms.items()}


async def known(process: PresenceProcess, user: str) -> User:
    """Read the record of a user who has one."""
    record = await process.user(user)
    assert record is not None
    return record
