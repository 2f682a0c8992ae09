"""The rules of docs/protocol.md#the-rules-of-the-four-webrtc-commands once more: what a verdict must be.

It shares no code with `presence`: frames are objects here, and a call is one from its first offer to its end.
"""

from collections import Counter
from itertools import count
from typing import Final, Literal

from presence.rules.negotiation import CandidatePolicy
from tieline.wire.codes import ErrorCode
from tieline.wire.ids import RoomId, SessionId, UserId

RETRY_MS: Final = 60_000
MAX_HELD: Final = 64
MAX_HELD_BYTES: Final = 65_536
MAX_REMEMBERED: Final = 256
MAX_OVER: Final = 8

Expected = Literal["relayed", "held", "gone"] | ErrorCode


class Frame:
    """One frame of a client, and what has become of it. The same object sent again is a retry."""

    def __init__(
        self, sender: UserId, to: UserId, cmd: str, body: bytes, named: "Call | None" = None
    ) -> None:
        self.sender = sender
        self.to = to
        self.cmd = cmd
        self.body = body
        self.named = named
        """The call that it says it is about."""
        self.new_at: int | None = None
        """When it was sent as a new message: for a minute from then on it is a retry."""
        self.accepted_at: int | None = None
        self.ack: Literal["relayed", "held"] = "relayed"
        self.call: Call | None = None
        self.sent = 0
        """Its place in the order of everything that was accepted."""
        self.passed = 0
        """The place from which on nothing may overtake it: the same, or that of its release."""
        self.times_sent = 0
        """How often it was sent as a new message: retries do not count."""
        self.arrivals: Counter[SessionId] = Counter()
        self.released: list[Frame] = []
        """What it released, if it is an answer."""
        self.session: SessionId | None = None
        """The receiver's when it was accepted: it is for that one, and for no later one."""
        self.is_outdated = False
        """It is held, and its sender has made a newer offer since."""
        self.was_released = False
        self.was_given_up = False
        self.was_relayed_unremembered = False
        """A candidate that was relayed at once. Nobody but the receiving gateway remembers those: in a later
        session, or after a later call's answer, it may come again."""

    @property
    def is_candidate(self) -> bool:
        """Whether it is held before the exchange."""
        return self.cmd == "WEBRTC_ICE_CANDIDATE"

    def __repr__(self) -> str:
        return f"<{self.body[:40]!r}>"


class Call:
    """One negotiation of two users."""

    def __init__(self) -> None:
        self.offers: dict[UserId, Frame] = {}
        self.held: list[Frame] = []
        self.was_established = False
        self.sessions: dict[UserId, SessionId] = {}
        """Of which session of each of the two it is."""
        self.name = ""
        """As presence calls it, once it has."""


class Book:
    """What is known about two users."""

    def __init__(self) -> None:
        self.call: Call | None = None
        self.past: list[Call] = []
        """The calls before it, the newest last."""
        self.memory: list[Frame] = []

    def over(self) -> None:
        """End the call."""
        if self.call is not None:
            self.past.append(self.call)
        self.call = None


class Oracle:
    """Who is where, what is negotiated, and what must come of a frame."""

    def __init__(self, policy: CandidatePolicy) -> None:
        self.policy = policy
        self.now = 0
        self.live: dict[UserId, SessionId] = {}
        self.voice: dict[UserId, bool] = {}
        self.rooms: dict[UserId, set[RoomId]] = {}
        self._books: dict[frozenset[UserId], Book] = {}
        self._places = count(1)

    def book(self, one: UserId, other: UserId) -> Book:
        """Open the book of two users."""
        return self._books.setdefault(frozenset((one, other)), Book())

    def share_a_room(self, one: UserId, other: UserId) -> bool:
        """Say whether the two are, or were when last seen, in one room."""
        return not self.rooms.get(one, set()).isdisjoint(self.rooms.get(other, set()))

    def is_retry(self, frame: Frame) -> bool:
        """Say whether the frame is remembered, so that nothing may change."""
        return (
            frame in self.book(frame.sender, frame.to).memory
            and frame.accepted_at is not None
            and self.now - frame.accepted_at < RETRY_MS
        )

    def expect(self, frame: Frame, session: SessionId) -> Expected:
        """Say what must come of a frame."""
        call = self.book(frame.sender, frame.to).call
        if self.live.get(frame.sender) != session:
            return "gone"
        if self.is_retry(frame):
            return frame.ack
        if not self.share_a_room(frame.sender, frame.to):
            return ErrorCode.NOT_IN_SAME_ROOM
        if frame.cmd == "WEBRTC_OFFER" and not self.voice[frame.sender]:
            return ErrorCode.NO_VOICE_PERMISSION
        if frame.to not in self.live:
            return ErrorCode.TARGET_OFFLINE
        if self.fate(frame):
            return ErrorCode.NO_MATCHING_OFFER
        if frame.cmd == "WEBRTC_OFFER":
            return "relayed"
        if call is None or (frame.cmd == "WEBRTC_ANSWER" and frame.to not in call.offers):
            return ErrorCode.NO_MATCHING_OFFER
        if not frame.is_candidate or call.was_established:
            return "relayed"
        match self.policy:
            case "forward":
                return "relayed"
            case "reject":
                return ErrorCode.NO_MATCHING_OFFER
        return "held" if self._room(call, frame) is not None else ErrorCode.TOO_MANY_CANDIDATES

    def fate(self, frame: Frame) -> str:
        """Say what has become of the call that a frame names, if that speaks against the frame."""
        book = self.book(frame.sender, frame.to)
        if frame.named is None:
            return ""
        if book.call is None:
            is_known = frame.named in book.past[-MAX_OVER:]
            return "ended" if is_known or frame.cmd != "WEBRTC_OFFER" else ""
        if frame.named is not book.call:
            return "replaced"
        is_open = frame.cmd != "WEBRTC_ANSWER" or frame.to in book.call.offers
        return "answered" if book.call.was_established and not is_open else ""

    def is_outlived(self, call: Call | None, user: UserId) -> bool:
        """Say whether a call is of an older session of a user who is there."""
        return call is not None and self.live.get(user, call.sessions[user]) != call.sessions[user]

    def _room(self, call: Call, frame: Frame) -> list[Frame] | None:
        """What is held of a call when there is room for one more: its sender's outdated ones give way."""
        held = list(call.held)
        while len(held) == MAX_HELD or sum(len(each.body) for each in (*held, frame)) > MAX_HELD_BYTES:
            gives_way = next(
                (each for each in held if each.sender == frame.sender and each.is_outdated), None
            )
            if gives_way is None:
                return None
            held.remove(gives_way)
        return held

    def accept(self, frame: Frame, ack: Literal["relayed", "held"]) -> None:
        """Note what an accepted new frame does."""
        book = self.book(frame.sender, frame.to)
        is_forgotten = frame.was_relayed_unremembered and ack == "held"
        if frame.new_at is None or self.now - frame.new_at >= RETRY_MS or is_forgotten:
            frame.times_sent += 1
            frame.new_at = self.now
        call = book.call
        frame.sent = frame.passed = next(self._places)
        frame.accepted_at, frame.ack, frame.session = self.now, ack, self.live[frame.to]
        match frame.cmd:
            case "WEBRTC_OFFER":
                call = book.call = call or Call()
                call.sessions = call.sessions or {user: self.live[user] for user in (frame.sender, frame.to)}
                call.offers[frame.sender] = frame
                for held in call.held:
                    held.is_outdated = held.is_outdated or held.sender == frame.sender
            case "WEBRTC_ANSWER":
                assert call is not None
                del call.offers[frame.to]
                call.was_established = True
                # Each once, in its first place.
                frame.released, call.held = list(dict.fromkeys(call.held)), []
                for held in frame.released:
                    held.passed = next(self._places)
                    held.was_released = True
                self._put_after(frame)
            case "WEBRTC_HANGUP":
                book.over()
            case _ if ack == "held":
                assert call is not None
                room = self._room(call, frame)
                assert room is not None
                frame.is_outdated = False
                call.held = [*room, frame]
        frame.call = call
        book.memory = [known for known in book.memory if self._is_recent(known) and known is not frame]
        if frame.is_candidate and ack == "relayed":
            frame.was_relayed_unremembered = True
        else:
            book.memory = [*book.memory, frame][-MAX_REMEMBERED:]

    def send_late(self, frame: Frame) -> None:
        """Note that a frame whose sender had gone on without it is sent after all."""
        frame.sent = frame.passed = next(self._places)
        frame.was_given_up = False
        self._put_after(frame)

    def _put_after(self, answer: Frame) -> None:
        """Give a place after the answer to what was held of the answerer itself."""
        for held in answer.released:
            if held.sender == answer.sender:
                held.sent = held.passed = next(self._places)

    def expire(self, offerer: UserId, target: UserId) -> None:
        """Note that nobody answered an offer in time."""
        book = self.book(offerer, target)
        assert book.call is not None
        del book.call.offers[offerer]
        if not book.call.offers and not book.call.was_established:
            book.over()

    def _is_recent(self, frame: Frame) -> bool:
        return frame.accepted_at is not None and self.now - frame.accepted_at < RETRY_MS
