"""A router over a real broker, with a presence of the test's own."""

from collections.abc import Callable

import msgspec

from router.grants import Grants
from tests.broker.runtime.watching import Inbox
from tieline.runtime.broker import Broker, Subscription
from tieline.runtime.message import Message
from tieline.wire.digests import digest
from tieline.wire.ids import FrameDigest, SessionId, UserId
from tieline.wire.internal import codec
from tieline.wire.internal.directions import PresenceReply, RouterReply
from tieline.wire.internal.signals import Answers, Check, Delivery, Relay, Signal
from tieline.wire.origin import request_id_of
from tieline.wire.subjects import Subjects

SUBJECTS = Subjects("t")

ALICE, BOB = UserId("alice"), UserId("bob")

SESSION, TARGET = SessionId("s"), SessionId("t")

ANSWERS = "t.gateway.g.reply.1"

OFFER, ANSWER, CANDIDATE = "WEBRTC_OFFER", "WEBRTC_ANSWER", "WEBRTC_ICE_CANDIDATE"


class Routing:
    """One router, and what it says to whom."""

    def __init__(self, broker: Broker, grants: Grants, subscription: Subscription) -> None:
        self.broker = broker
        self.grants = grants
        self.subscription = subscription
        self.answers, self.frames, self.checks = Inbox(), Inbox(), Inbox()
        self.verdict: Callable[[Check], PresenceReply | None] = lambda _: None
        """How presence answers; None: not at all."""

    def on_check(self, message: Message) -> None:
        self.checks.put(message)
        check = codec.decode_presence_request(message.data)
        assert isinstance(check, Check)
        verdict = self.verdict(check)
        if verdict is not None:
            self.broker.send(message.reply, codec.encode(verdict))

    def signal(self, cmd: str, *pack: Signal | None) -> None:
        """Send signals, whose frames say what a test calls them."""
        signals = [signal and written(cmd, signal) for signal in pack]
        self.broker.send(SUBJECTS.signal(cmd), codec.encode(signals), ANSWERS)

    async def answer(self) -> list[tuple[int, RouterReply | Answers]]:
        return codec.decode_answers((await self.answers.next()).data)

    async def frame(self) -> tuple[str, bytes]:
        """Wait for the next frame that is published; returns where to, and what it is called."""
        message = await self.frames.next()
        return message.subject, request_id_of(message.data).encode() or message.data


def written(cmd: str, signal: Signal) -> Signal:
    """Put the frames of a signal, and of those that follow it, in the place of their names."""
    then = tuple(said(CANDIDATE, msgspec.structs.replace(signal, frame=name)) for name in signal.then)
    return msgspec.structs.replace(signal, frame=said(cmd, signal), then=then)


def said(cmd: str, signal: Signal) -> bytes:
    """Make the frame of a signal, by the name that it has in its place."""
    parties = {"from": signal.user, "to": signal.to, "data": None}
    message = {"requestId": signal.frame.decode(), "module": "ROOM", "cmd": cmd, "data": parties}
    return msgspec.json.encode(message)


def digest_of(frame: bytes, cmd: str = CANDIDATE) -> FrameDigest:
    return digest(said(cmd, signal(frame)))


def signal(frame: bytes = b"frame", to: UserId = BOB, *, stored: bool = False) -> Signal:
    return Signal(ALICE, SESSION, to, frame, stored)


def to_bob(frame: bytes | None = None) -> Relay:
    return Relay("relayed", (Delivery(BOB, TARGET, frame),))


def granting(check: Check) -> PresenceReply:
    return Relay("relayed", (Delivery(BOB, TARGET, None),), 60.0, (digest_of(b"held before"),))
