"""What is said of one signal on its way: a gateway to a router, the router to presence, and their answers.

Candidates that wait for their turn on one connection go together: the first of them, or the offer or answer
that they came with, is a signal, and has the others in `then`. An older process overlooks those, and answers
the first alone; the others are asked next. So a series is understood by everybody, and only who is asked for
several answers so (`Answers`, `Verdicts`).
"""

from typing import Final, Literal

from tieline.wire.ids import NO_CALL, CallId, ConnectionId, FrameDigest, SessionId, UserId
from tieline.wire.internal.answers import Refused, SessionGone
from tieline.wire.internal.message import Message

Ack = Literal["relayed", "held"]


class Signal(Message, frozen=True, array_like=True, tag=True, gc=False):
    """One WEBRTC frame of a client, well formed and checked to be from `user`; `cmd` is in the subject."""

    user: UserId
    session: SessionId
    to: UserId
    frame: bytes
    stored: bool
    """The sender asked for acks: answer only when the message is safe."""
    call: CallId = NO_CALL
    """The call that the client says it is about; empty: it says none."""
    connection: ConnectionId = ConnectionId("")
    """The connection that has the session: its gateway and presence alone know it, and so nobody else speaks
    for the session. Empty: an older gateway does not say."""
    at: int = 0
    """When it came to its gateway, in Unix milliseconds by the broker's clock; 0: it does not say."""
    then: tuple[bytes, ...] = ()
    """Candidates that follow it in this order, of the same connection, target and call."""


class Accepted(Message, frozen=True, array_like=True, tag=True, gc=False):
    """The signal was relayed, or is held."""

    ack: Ack
    other_bytes: int = 0
    """Bytes of other frames that were published for it: those that it released, or that had to precede it."""
    call: CallId = NO_CALL
    """The call that it belongs to."""
    target: str = ""
    """See `Relay`."""
    tells: bool = False
    """See `Relay`."""
    kept_s: float = 0.0
    """See `Relay`."""


class Answers(Message, frozen=True, array_like=True, tag=True, gc=False):
    """The answers to a signal and to those that follow it, in their order, as far as there are.

    Of a frame without an answer nothing is known; none behind it was carried before it.
    """

    answers: tuple[Accepted | Refused | SessionGone, ...]


class Check(Message, frozen=True, array_like=True, tag=True, gc=False):
    """Ask whether a signal may pass, and what must be delivered for it."""

    user: UserId
    session: SessionId
    to: UserId
    cmd: str
    digest: FrameDigest
    frame: bytes
    """The frame, if it is a candidate: it may have to be held; or an offer, if that was asked for
    (`Refused.wants_frame`). Else empty."""
    call: CallId = NO_CALL
    """See `Signal`."""
    connection: str | None = None
    """See `Signal`; it is compared and nothing else. None: an older router does not say."""
    carried: tuple[tuple[UserId, FrameDigest], ...] = ()
    """For whom the mailbox has all that these answers of the two have released: leave it out."""
    at: int = 0
    """See `Signal`: when nobody waits for the verdict any more, it changes nothing."""
    then: tuple[bytes, ...] = ()
    """See `Signal`: candidates that are judged after this one, or after this offer, in the same change."""
    sends_frame: bool = False
    """The router asks again with the frame of an offer, if it is told to; an older one does not."""


class Delivery(Message, frozen=True, array_like=True, tag=True, gc=False):
    """One frame for one session of one user; `frame` None stands for the signal's own."""

    user: UserId
    session: SessionId
    frame: bytes | None
    call: CallId = NO_CALL
    """The call that the frame belongs to, where it is another one than the signal's."""


class GrantBack(Message, frozen=True, array_like=True, tag=True, gc=False):
    """What an answer grants beside its sender: that the target's candidates pass to the sender unasked.

    For as long as the sender's own pass; but the answer's releases, which must come before them, count for no
    longer than the router knows that the mailbox has them.
    """

    session: SessionId
    """The target's."""
    connection: ConnectionId
    """That which has it."""
    held: tuple[FrameDigest, ...] = ()
    """See `Relay.grant_held`."""


class Relay(Message, frozen=True, array_like=True, tag=True, gc=False):
    """Deliver these, in this order, then acknowledge as said.

    Frames may be among them that were delivered before: the receiving gateway drops exact duplicates.
    """

    ack: Ack
    deliveries: tuple[Delivery, ...]
    grant_seconds: float = 0.0
    """How long the router may relay this sender's candidates to this target without asking; 0: not at all."""
    grant_held: tuple[FrameDigest, ...] = ()
    """Meanwhile these are retries of candidates that were held: acknowledge them as held."""
    call: CallId = NO_CALL
    """The call that the signal belongs to. The grant is for signals that name this one, or none."""
    releases: tuple[tuple[UserId, FrameDigest], ...] = ()
    """What answers have released for whom, of which all is among the deliveries: see `Check.carried`."""
    target: str = ""
    """Of an offer: the status of its target. Empty: of another signal, or an older process does not say."""
    tells: bool = False
    """The target's client says when it rings there: see `OpenSession`."""
    by: str = ""
    """The presence process that has judged, and may be asked by itself; empty: it may not."""
    kept_s: float = 0.0
    """Of an offer that is kept for a target who is not there, in seconds: for how long it is."""
    grant_back: GrantBack | None = None
    """Of an answer: what is granted to its target. None: nothing, or an older process does not say."""


class Verdicts(Message, frozen=True, array_like=True, tag=True, gc=False):
    """What becomes of a signal and of those that follow it, in their order; the rest is to be asked again.

    What one of them has to deliver before it, those behind it do not name again.
    """

    verdicts: tuple[Relay | Refused | SessionGone, ...]


Verdict = Relay | Refused | SessionGone

MAX_SERIES: Final = 64
"""Frames in a series, the first one included: far more than any gateway sends."""
