"""Routers and receiving gateways, as the state machine needs them: what is under way, and what arrives.

A router carries out one verdict, delivery by delivery; several of them do so at the same time. A receiver
drops the very same frame within a minute of one session, and finds out whether what else arrives may.
"""

from collections import Counter, deque
from typing import NamedTuple

from gateway.client.duplicates import Duplicates
from tests.unit.presence.rules.oracle import Frame, Oracle
from tieline.wire.ids import SessionId, UserId


class Duty(NamedTuple):
    """A frame that must have arrived in a session when a relay is complete, if that session still lives."""

    frame: Frame
    session: SessionId


class Relay:
    """A verdict being carried out: what is to be delivered yet, and what it must have achieved in the end."""

    def __init__(self, frame: Frame, deliveries: list[tuple[SessionId, bytes]], duties: list[Duty]) -> None:
        self.frame = frame
        self.deliveries = deque(deliveries)
        self.duties = duties


class Inbox:
    """One session of one user, as its gateway sees it."""

    def __init__(self, user: UserId) -> None:
        self.user = user
        self.is_open = True
        self.duplicates = Duplicates()
        self.last: Counter[UserId] = Counter()
        """By sender: the latest place in the order of sending of anything that has arrived."""
        self.last_candidate: Counter[UserId] = Counter()
        """The same of candidates, of which none may overtake another, held or not."""


class Receivers:
    """Everybody's inboxes."""

    def __init__(self, oracle: Oracle) -> None:
        self._oracle = oracle
        self._inboxes: dict[SessionId, Inbox] = {}
        self._frames: dict[bytes, Frame] = {}

    def open(self, user: UserId, session: SessionId) -> None:
        """Begin to receive in a session."""
        self._inboxes[session] = Inbox(user)

    def close(self, session: SessionId) -> None:
        """Receive no more in a session."""
        self._inboxes[session].is_open = False

    def know(self, frame: Frame) -> None:
        """Note a frame that may arrive."""
        self._frames[frame.body] = frame

    def arrive(self, session: SessionId, body: bytes) -> None:
        """Receive one frame, which must be right to receive now."""
        inbox, frame = self._inboxes[session], self._frames[body]
        if not inbox.is_open or not inbox.duplicates.is_new(body, self._oracle.now / 1000):
            return
        assert inbox.user == frame.to, f"{frame} went astray"
        assert frame.session == session, f"{frame} was for another session"
        assert frame.times_sent, f"{frame} was never accepted, but delivered"
        frame.arrivals[session] += 1
        times = frame.arrivals[session] if frame.was_relayed_unremembered else frame.arrivals.total()
        assert times <= frame.times_sent, f"{frame} came twice"
        assert frame.passed >= inbox.last[frame.sender], f"{frame} was overtaken"
        inbox.last[frame.sender] = max(frame.sent, inbox.last[frame.sender])
        if frame.is_candidate:
            assert frame.sent > inbox.last_candidate[frame.sender], f"{frame} was overtaken by a candidate"
            inbox.last_candidate[frame.sender] = frame.sent
            call = self._oracle.book(frame.sender, frame.to).call
            assert frame.call is not None
            assert call in (None, frame.call) or frame.was_released, f"{frame} is from an earlier call"
            exchanged = frame.call.was_established or self._oracle.policy == "forward"
            assert exchanged, f"{frame} came before the exchange"

    def fulfil(self, duty: Duty) -> None:
        """Find that what had to arrive has arrived."""
        inbox = self._inboxes[duty.session]
        assert not inbox.is_open or duty.frame.arrivals[duty.session], f"{duty.frame} was lost"
