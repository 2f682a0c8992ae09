"""Alice is in the hall, and calls Bob, who is a member of it by the backend's word and not there."""

from typing import Final

import msgspec

from presence.rules.negotiated import Negotiation
from tests.unit.presence.presence_process import SUBJECTS, PresenceProcess
from tests.unit.presence.requests import opening
from tieline.wire.ids import RoomId, SessionId, UserId
from tieline.wire.internal.backend import AddMember
from tieline.wire.internal.directions import PresenceReply
from tieline.wire.internal.signals import Relay

ALICE, BOB, CAROL = UserId("alice"), UserId("bob"), UserId("carol")
HALL, CELLAR = RoomId("hall"), RoomId("cellar")
WINDOW_S: Final = 40.0


async def given(process: PresenceProcess, user: UserId, room: RoomId = HALL) -> None:
    """Make a user a member by the backend's word."""
    await process.ask(AddMember(f"{user} in {room}", 60.0, user, room))


async def with_alice(*callers: str, window_s: float = WINDOW_S) -> PresenceProcess:
    """Alice, and others, in the hall; Bob has never been there."""
    process = PresenceProcess(wake_window_s=window_s)
    await given(process, BOB)
    for user in ("alice", *callers):
        await process.open(opening(user, "hall", "cellar"))
    process.recorder.sent.clear()
    return process


async def kept(process: PresenceProcess, user: str = "alice", to: str = "bob", frame: str = "offer") -> Relay:
    """Let a user offer, and find that the offer is kept."""
    reply = await process.rings(user, to, frame)
    assert isinstance(reply, Relay), reply
    assert (reply.ack, reply.deliveries, reply.target, reply.tells) == ("held", (), "away", True)
    return reply


async def comes(process: PresenceProcess, user: str = "bob", *rooms: str, number: int = 1) -> None:
    """Let a user connect."""
    await process.open(opening(user, *rooms, number=number, gateway="g2"))


def sent_to(process: PresenceProcess, user: str, number: int = 1) -> list[str]:
    """List what was sent to a session in a call, as it is; then of the server's hang-ups the reasons."""
    subject = SUBJECTS.user(UserId(user), SessionId(f"{user}-s{number}"))
    frames = [sent.payload for sent in process.recorder.sent if sent.subject == subject]
    return [frame.decode() for frame in frames if not frame.startswith(b"{")] + [
        msgspec.json.decode(frame)["data"]["data"]["reason"] for frame in frames if b"WEBRTC_HANGUP" in frame
    ]


async def time_passes(process: PresenceProcess, caller: str = "alice", callee: str = "bob") -> None:
    """Let the timer of an offer run out that waits, or is kept."""
    pair = await process.pair(caller, callee)
    offer = pair.offer_of(UserId(caller))
    assert offer is not None
    await process.expire(UserId(caller), UserId(callee), offer.generation)


def delivered(reply: PresenceReply) -> list[str]:
    """List what a router is to deliver: to whom, and what; the judged frame is called "own"."""
    assert isinstance(reply, Relay), reply
    return [
        f"{each.session}: {'own' if each.frame is None else each.frame.decode()}" for each in reply.deliveries
    ]


def kinds(pair: Negotiation) -> list[str]:
    """List what the stream of events is yet to be told of a call."""
    return [fact.kind.removeprefix("call.") for fact in pair.facts]
