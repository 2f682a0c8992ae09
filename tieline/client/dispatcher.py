"""Each frame that comes for one client is handed on: an answer to its request, an event to the application.

No I/O and no waiting: frame by frame, in the order of arrival, so that the application reads in the order in
which the server sent. Reading from the connection is `reconnector`; the answers go to `pending`, the events
to `inbox`. `session` remembers what a connection must ask for to take the session up again, `rosters` which
changes of rooms are news.
"""

import asyncio
import random
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from tieline.client import messages
from tieline.client.calls import Calls, SignalEvent
from tieline.client.errors import ClientError, Closed, NoReply, Refused, SessionLost, Unreadable
from tieline.client.events import (
    Answer,
    Candidate,
    ErrorEvent,
    Event,
    Hangup,
    Info,
    MemberJoined,
    MemberLeft,
    MemberUpdated,
    Message,
    Offer,
    Reconnect,
    Reconnecting,
    Rejoined,
    Resumed,
    RoomLost,
    SessionReset,
)
from tieline.client.gateway_pool import Jitter
from tieline.client.inbox import Inbox
from tieline.client.listings import Listings
from tieline.client.messages import Reply, RoomBatch, RoomList
from tieline.client.pending import PendingRequest, PendingRequests
from tieline.client.rosters import Change, Listing, RoomEvent, Rosters, batch, single
from tieline.client.session import Session
from tieline.client.stats import Stats
from tieline.wire.ids import NO_CALL, CallId, RoomId, UserId
from tieline.wire.replies import Roster, Welcome

PARTED_S: Final = 1.0
"""For the server to say that a call is over because no room is shared any more. When two leave two rooms at
once, it says so to one of them alone."""


class Dispatcher:
    """Dispatches the frames of one client, over whichever connection they come.

    `resume`: the session may go on over another connection, so duplicates are dropped. `rejoin`: a new
    session joins the rooms of the old one.
    """

    def __init__(
        self,
        welcome: Welcome,
        pending: PendingRequests,
        stats: Stats,
        *,
        resume: bool,
        rejoin: bool,
        jitter: Jitter = random.random,
        place: str | None = None,
    ) -> None:
        """`place` is that of the WELCOME; None: the server names no places."""
        self.session = Session(welcome, place)
        self.rosters = Rosters(welcome.user_id, welcome.rooms)
        self.calls = _calls(welcome)
        """The calls with others; None: the server gives them no names."""
        self.inbox = Inbox(self._on_read)
        self._pending = pending
        self._stats = stats
        self._resume = resume
        self._rejoin = rejoin
        self._listings = Listings(pending, jitter)
        self._leaving: dict[str, tuple[Listing, ...]] = {}
        """By LEAVE without an answer: the lists that were asked for before it."""

    def dispatch(self, frame: bytes) -> Reconnect | None:
        """Hand on one frame; returns a request to leave the gateway if it is to be obeyed."""
        message = messages.decode(frame)
        match message:
            case Reply():
                left = self.session.record_reply(message)
                if left is not None:
                    asked = self._leaving.get(message.request_id)
                    self.rosters.leave(left, asked)
                    self._part(asked)
                self._pending.answer(message)
            case ErrorEvent():
                if not self._pending.refuse(message):
                    self.inbox.put(message)
            case _:
                return self._hand_out(frame, message)
        return None

    def _hand_out(self, frame: bytes, message: Message | RoomBatch | RoomList) -> Reconnect | None:
        now = asyncio.get_running_loop().time()
        if self._resume and not self.session.record(frame, message.request_id, now):
            self._stats.duplicates += 1
            return None
        match message:
            case Offer() | Answer() | Candidate() | Hangup() | Info():
                self._hear(message)
            case RoomBatch():
                self._change_room(batch(message.changed, message.request_id))
            case RoomList():
                self._take_list(message)
            case MemberJoined() | MemberLeft() | MemberUpdated():
                self._change_room(single(message))
            case _:
                self.inbox.put(message)
        return message if self._resume and isinstance(message, Reconnect) else None

    def _hear(self, event: SignalEvent) -> None:
        """Hand on what another user says. Only a server that gives calls names is believed about them."""
        if self.calls is None:
            self.inbox.put(msgspec.structs.replace(event, call=NO_CALL) if event.call else event)
            return
        rings = event.call and self.calls.heard(event, asyncio.get_running_loop().time())
        self.inbox.put(event)
        if rings:
            self._ring(event.sender, event.call)
            self._send("WEBRTC_INFO", event.sender, {"ringing": True}, event.call)

    @contextmanager
    def leaving(self, request_id: str) -> Iterator[None]:
        """Keep in mind which lists are on their way before a LEAVE, until it is answered."""
        self._leaving[request_id] = self.rosters.asked()
        try:
            yield
        finally:
            del self._leaving[request_id]

    def _on_read(self, event: Event) -> None:
        if self.calls is not None and isinstance(event, SignalEvent) and event.call:
            self.calls.read(event)

    def acknowledged(self, to: str, cmd: str, call: CallId, kept_for_s: float = 0.0) -> None:
        """Take note of the call to which a message of this client belongs, which has passed.

        An offer may be kept for so long until it is delivered.
        """
        if self.calls is None or not call:
            return
        if self.calls.acknowledged(to, cmd, call, asyncio.get_running_loop().time(), kept_for_s):
            self._ring(UserId(to), call)

    def _ring(self, user: UserId, call: CallId) -> None:
        """Let a call ring until its time is up; end it then, as the server has not, or its word is lost."""
        until = None if self.calls is None else self.calls.rings_until(user, call)
        if self.calls is None or until is None:
            return
        loop = asyncio.get_running_loop()
        if until > loop.time():
            loop.call_at(until, self._ring, user, call)
            return
        self.calls.give_up(user, call)
        self.inbox.put(Hangup(user, "timeout", server=False, call=call))
        self._send("WEBRTC_HANGUP", user, {"reason": "timeout"}, call)

    def _send(self, cmd: str, to: UserId, data: object, call: CallId) -> None:
        """Send what changes nothing here: if it is refused, the call is over anyway."""
        body = messages.signal_data(self.session.welcome.user_id, to, data, call)
        request_id = self._pending.next_id()
        frame = messages.encode(request_id, cmd, body)
        self._pending.send(PendingRequest(request_id, cmd, frame, on_answer=lambda _: None))

    def _part(self, asked: Collection[Listing] | None = None) -> None:
        """End the calls with users who are met in no room any more: the server tells it to them alone."""
        for user, call in () if self.calls is None else self.calls.live():
            if self.calls is not None and not self.rosters.may_meet(user, asked):
                self.calls.give_up(user, call)
                self.inbox.put(Hangup(UserId(user), "left", server=False, call=call))

    def _change_room(self, change: Change) -> None:
        self._tell(self.rosters.hear(change))

    def _tell(self, events: Iterable[RoomEvent]) -> None:
        for event in events:
            if isinstance(event, MemberLeft) and event.user_id == self.session.welcome.user_id:
                self.session.record_left(event.room)
            elif isinstance(event, MemberJoined) and event.user_id == self.session.welcome.user_id:
                self.session.record_joined(event.room)
            elif isinstance(event, MemberLeft) and self.calls is not None and self.calls.live():
                asyncio.get_running_loop().call_later(PARTED_S, self._part)
            self.inbox.put(event)

    def _take_list(self, message: RoomList) -> None:
        """Tell what is new in a list that nobody has asked for, when all its pages are here."""
        listing = self.rosters.begin(message.roster.room, is_news=True)

        def on_whole() -> None:
            self.finish(listing, message.request_id)

        def on_failure(_: str) -> None:
            self.rosters.abandon(listing)  # the room was left, of which there is an event

        self._listings.fetch(listing, message.roster, on_whole, on_failure)

    def finish(self, listing: Listing, request_id: str = "") -> Roster:
        """Return a list that is whole, after the events of what is new in it."""
        roster, events = self.rosters.finish(listing, request_id)
        self._tell(events)
        return roster

    def connection_lost(self, end: Closed) -> None:
        """Let every open request wait for the next connection, and report the loss."""
        self._pending.disconnected()
        self.inbox.put(Reconnecting(end.code, end.reason))

    def connection_replaced(self, welcome: Welcome, away_s: float, place: str | None = None) -> None:
        """Go on with the next connection, and with the session that its WELCOME names."""
        self._stats.reconnects += 1
        if welcome.resumed:
            self._stats.resumes += 1
            if self.calls is None or not names_calls(welcome):
                self.calls = _calls(welcome)  # another version of the server
            self.session.resume(welcome, place)
            self.inbox.put(Resumed(away_s, self._pending.connected()))
            return
        self._stats.resets += 1
        self.calls = _calls(welcome)
        rooms = self.session.reset(welcome, place, rejoin=self._rejoin)
        self.rosters.reset(welcome.rooms)
        self._pending.fail_all(lambda request: SessionLost(request.cmd, request.request_id))
        self._pending.connected()
        self.inbox.put(SessionReset(rooms, self._rejoin))
        if self._rejoin:
            for room in rooms:
                self._pending.send(self._join_again(room))

    def connection_ended(self, end: Closed) -> None:
        """Fail every open request and end the events: there will be no other connection."""
        # To each its own: an exception raised twice would mix up its tracebacks.
        self._pending.fail_all(lambda _: end.again())
        self.calls = None
        self.rosters.reset(())
        self.inbox.end()

    def _join_again(self, room: RoomId) -> PendingRequest:
        """Make the request for a room of the old session. No caller waits for it: its outcome is an event."""
        listing = self.rosters.begin(room)

        def on_whole() -> None:
            self.inbox.put(Rejoined(self.finish(listing)))

        def on_failure(reason: str) -> None:
            self.rosters.abandon(listing)
            self._lose_room(room, reason)

        def on_answer(answer: Reply | ClientError | None) -> None:
            match answer:
                case Reply():
                    try:
                        page = messages.data_of(answer, Roster)
                    except Unreadable:
                        on_failure("UNREADABLE")
                    else:
                        self._listings.fetch(listing, page, on_whole, on_failure)
                case Refused(reason=reason):
                    on_failure(reason)
                case NoReply():
                    on_failure("NO_REPLY")
                case _:
                    pass  # the session or the client has ended, which has an event or an end of its own

        request_id = self._pending.next_id()
        frame = messages.encode(request_id, "JOIN", {"room": room})
        return PendingRequest(request_id, "JOIN", frame, on_answer=on_answer)

    def _lose_room(self, room: RoomId, reason: str) -> None:
        self.session.stop_rejoining(room)
        self.inbox.put(RoomLost(room, reason))


def names_calls(welcome: Welcome) -> bool:
    """Whether the server gives calls names: one that does says how long an offer waits."""
    return welcome.offer_timeout is not msgspec.UNSET


def _calls(welcome: Welcome) -> Calls | None:
    timeout_s = welcome.offer_timeout
    return None if timeout_s is msgspec.UNSET else Calls(timeout_s)
