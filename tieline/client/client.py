"""One user's client of a Tieline system: requests with answers, and the events in between.

This is what an application calls. How a connection is kept is `reconnector`; what comes over it goes through
`dispatcher`, what leaves through `pending`.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, Literal, cast
from weakref import WeakValueDictionary

from tieline.client import messages
from tieline.client.connector import Connector, TokenSource
from tieline.client.dispatcher import Dispatcher
from tieline.client.errors import Closed, MessageTooLong, NoReply, Refused, SessionLost, Unreadable
from tieline.client.events import Event
from tieline.client.gateway_pool import Backoff, GatewayPool, Jitter
from tieline.client.messages import Reply
from tieline.client.pending import REPLY_TIMEOUT_S, RESEND_WINDOW_S, PendingRequest, PendingRequests
from tieline.client.reconnector import Reconnector
from tieline.client.stats import Stats
from tieline.wire.codes import ErrorCode
from tieline.wire.ids import NO_CALL, CallId, RoomId
from tieline.wire.replies import IceServerList, Roster, TokenRefreshed, Welcome

Ack = Literal["relayed", "held"]
"""What became of a message: on its way to the target, or kept until the target has answered; of an offer,
kept until the target is there."""

_ACKS: Final = frozenset(("relayed", "held"))


class Client:
    """A connected user. Made by `connect`; many tasks may use its methods at once.

    Every method that sends raises `Closed` once the connection has ended, or for a client that resumes once
    it has ended for good; every one that waits for the server also `Refused`, `NoReply` and `Unreadable`.
    A client that resumes lets them wait while there is no connection, and may raise `SessionLost`.
    """

    def __init__(
        self,
        reconnector: Reconnector,
        dispatcher: Dispatcher,
        pending: PendingRequests,
        stats: Stats,
        *,
        acks: bool,
        insist_s: float,
        jitter: Jitter,
    ) -> None:
        self.stats = stats
        self._reconnector = reconnector
        self._dispatcher = dispatcher
        self._pending = pending
        self._acks = acks
        self._insist_s = insist_s
        self._jitter = jitter
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """By target, held by the message to that user which is being insisted on."""

    @property
    def welcome(self) -> Welcome:
        """What the server said first, over the newest connection."""
        return self._dispatcher.session.welcome

    @property
    def url(self) -> str:
        """The gateway of the newest connection."""
        return self._reconnector.established.url

    @property
    def closed(self) -> Closed | None:
        """How the connection ended; None while it lives, or is being made again."""
        return self._reconnector.closed

    @property
    def last_failure(self) -> Exception | None:
        """Why the last attempt to connect failed; None if it did not."""
        return self._reconnector.last_failure

    def events(self) -> AsyncIterator[Event]:
        """Iterate over what others do and the server says, in order, until the connection ends.

        Of a client that resumes: until it ends for good, with what becomes of the connection in between.
        Events that have not been read yet are kept, without limit. Every event is handed out once: iterating
        again goes on where the last iteration stopped.
        """
        return self._dispatcher.inbox

    async def join(self, room: str) -> Roster:
        """Become a member of a room; returns its members, oneself included."""
        return await self._list("JOIN", room)

    async def leave(self, room: str) -> None:
        """Stop being a member of a room, whether one was or not."""
        request = self._request("LEAVE", {"room": room}, wants_reply=True)
        with self._dispatcher.leaving(request.request_id):
            await self._deliver(request)

    async def members(self, room: str) -> Roster:
        """Ask for the members of a room, which one must be a member of."""
        return await self._list("MEMBERS", room)

    async def ping(self, data: object = None) -> object:
        """Ask for the same data back: the way to the gateway and from it works."""
        return messages.data_of(await self._ask("PING", data), object)

    async def ice_servers(self) -> IceServerList:
        """Ask for STUN and TURN servers; before `ttl` seconds have passed ask again for a longer call."""
        return messages.data_of(await self._ask("ICE_SERVERS", None), IceServerList)

    async def show_call(self, in_call: bool) -> None:
        """Let the members of one's rooms see, or see no more, that one is in a call (`Member.in_call`)."""
        await self._ask("STATUS", {"inCall": in_call})

    async def refresh_token(self, token: str) -> int:
        """Stay connected with a newer token, and what that one grants; returns its end, in Unix milliseconds.

        Rooms that it does not grant are left: each is a `MemberLeft` of this client's own.
        """
        return messages.data_of(await self._ask("REFRESH_TOKEN", {"token": token}), TokenRefreshed).expires_at

    async def call(self, to: str, description: object, *, of_call: str = "") -> Ack | None:
        """Offer a voice connection to a user; `description` is any JSON, usually `{type, sdp}`.

        With `of_call` the offer is only meant for that call, to negotiate it anew. "held": the user is not
        there, and is being woken; the call rings when it comes, and is over in time if it does not.

        With acks, returns when the message is safe, over however many connections that takes. Without,
        returns None when it is written, and a refusal comes later as an `ErrorEvent`; it may be lost with
        the connection. The same holds for the four methods below.
        """
        return await self._signal("WEBRTC_OFFER", to, description, of_call)

    async def answer(self, to: str, description: object, *, of_call: str | None = None) -> Ack | None:
        """Accept a user's offer: the newest one that was read, unless `of_call` says of which call."""
        return await self._signal("WEBRTC_ANSWER", to, description, of_call)

    async def candidate(self, to: str, candidate: object, *, of_call: str | None = None) -> Ack | None:
        """Tell a user one way to reach this client; "held" until that user has answered the offer."""
        return await self._signal("WEBRTC_ICE_CANDIDATE", to, candidate, of_call)

    async def hangup(self, to: str, reason: str = "hangup", *, of_call: str | None = None) -> Ack | None:
        """End the negotiation with a user: hangup, decline, busy, cancel, or a word of one's own."""
        return await self._signal("WEBRTC_HANGUP", to, {"reason": reason}, of_call)

    async def inform(self, to: str, detail: object, *, of_call: str | None = None) -> Ack | None:
        """Tell a user how it is at this end of the call, such as `{"muted": True}`.

        That it rings the client says by itself. A client that takes no such word is sent none.
        """
        return await self._signal("WEBRTC_INFO", to, detail, of_call)

    def call_with(self, user: str) -> str:
        """Return the id of the call with a user that is meant, unless `of_call` says which; "": none is.

        It is the newest one of which an event was read, or an offer sent, so that what comes meanwhile
        changes nothing. A message about a call that is over is refused with NO_MATCHING_OFFER, and
        `Refused.fate` says what became of it. `of_call=""` names none: whatever call there is is meant.
        """
        calls = self._dispatcher.calls
        return "" if calls is None else calls.named(user)

    async def close(self) -> None:
        """End the connection with 1000, and with it the session. Leaving the `async with` does the same.

        A client that is reconnecting cannot tell the server: its session ends when it can be resumed no more.
        """
        await self._reconnector.close()

    async def _signal(self, cmd: str, to: str, data: object, of_call: str | None) -> Ack | None:
        calls, dispatcher = self._dispatcher.calls, self._dispatcher
        call = NO_CALL
        if calls is not None:
            meant = calls.answered if cmd == "WEBRTC_ANSWER" else calls.named
            call = meant(to) if of_call is None else CallId(of_call)
        body = messages.signal_data(self.welcome.user_id, to, data, call)
        request = self._request(cmd, body, wants_reply=self._acks)
        if calls is not None and cmd == "WEBRTC_OFFER" and not call:
            calls.offering(to)
        if not self._acks:
            await self._deliver(request)
            return None
        reply = await (self._insist(request, to) if self._insist_s > 0 else self._deliver(request))
        if reply is None or reply.ack not in _ACKS:
            raise Unreadable(f"{reply.ack if reply else None!r} is no ack of {cmd}")
        dispatcher.acknowledged(to, cmd, reply.call or call, reply.kept_for)
        return cast("Ack", reply.ack)

    async def _insist(self, request: PendingRequest, to: str) -> Reply | None:
        """Send a request again, the very same frame, until the server says what became of it.

        The next one to the same user waits meanwhile, because it might overtake this one.
        """
        insist_s, backoff = min(self._insist_s, RESEND_WINDOW_S), Backoff(self._jitter)
        lock = self._locks.setdefault(to, asyncio.Lock())
        session_id, pause_s = self.welcome.session_id, 0.0
        async with lock:
            while True:
                if session_id != self.welcome.session_id:
                    raise SessionLost(request.cmd, request.request_id)
                try:
                    return await self._deliver(request)
                except (Refused, NoReply) as failure:
                    now, pause_s = asyncio.get_running_loop().time(), backoff.next_s()
                    sent_at = now if request.first_sent_at is None else request.first_sent_at
                    if _is_certain(failure) or now + pause_s > sent_at + insist_s:
                        raise
                await asyncio.sleep(pause_s)

    async def _list(self, cmd: str, room: str) -> Roster:
        """Ask for the members of a room; those of a large one come in pages."""
        listing = self._dispatcher.rosters.begin(RoomId(room))
        try:
            reply = await self._ask(cmd, {"room": room})
            while after := listing.add(messages.data_of(reply, Roster)):
                reply = await self._ask("MEMBERS", {"room": room, "after": after})
            return self._dispatcher.finish(listing)
        finally:
            self._dispatcher.rosters.abandon(listing)

    async def _ask(self, cmd: str, data: object) -> Reply:
        reply = await self._deliver(self._request(cmd, data, wants_reply=True))
        assert reply is not None
        return reply

    def _request(self, cmd: str, data: object, *, wants_reply: bool) -> PendingRequest:
        request_id = self._pending.next_id()
        frame = messages.encode(request_id, cmd, data)
        longest = self.welcome.max_message_bytes
        if len(frame) > longest:
            raise MessageTooLong(cmd, len(frame), longest)
        return PendingRequest(request_id, cmd, frame, wants_reply=wants_reply)

    async def _deliver(self, request: PendingRequest) -> Reply | None:
        if self._reconnector.closed is not None:
            raise self._reconnector.closed.again()
        return await self._pending.ask(request)


def _is_certain(failure: Refused | NoReply) -> bool:
    """Whether it is certain that the message has not been carried out."""
    return isinstance(failure, Refused) and failure.reason != ErrorCode.INTERNAL.reason


@asynccontextmanager
async def connect(
    url: str | Sequence[str],
    token: str | TokenSource,
    *,
    acks: bool = True,
    resume: bool = False,
    rejoin: bool = True,
    give_up_after_s: float | None = None,
    insist_s: float = 0,
    reply_timeout_s: float = REPLY_TIMEOUT_S,
    jitter: Jitter = random.random,
) -> AsyncIterator[Client]:
    """Connect to a gateway as the user of `token`, for as long as the block runs.

    `url`: a gateway, or several, tried in this order and in turn from then on. `token`: itself, or an
    async function that gives one for every connection. With `acks` every WEBRTC message is confirmed; see
    `Client.call`. `reply_timeout_s` is for each answer over a connection that stands, and for the WELCOME.

    With `resume` a connection that is lost is made again, with full jitter, and the session goes on: what
    has no answer yet is sent again, in order and before anything newer, what was missed is replayed, and
    what comes twice is dropped. `Client.events` reports it, `Client.stats` counts it. It ends for good by a
    close code that says so (see `Closed.may_reconnect`; an expired token is no end when `token` is a
    function), by a refusal that will not change, and `give_up_after_s` after a loss. Then `Client.closed`
    says why.

    When the server has given up the session, a new one begins: every request without an answer raises
    `SessionLost`, and with `rejoin` the rooms of the old one are joined again; see `SessionReset`.

    `insist_s`: for so long after its first sending a WEBRTC message with ack is sent again, the very same,
    when the server says INTERNAL or nothing, which leaves open what became of it; at most 55 s, because the
    server recognizes a retry for 60 s. Meanwhile later messages to the same user wait.

    `jitter` gives numbers from 0 to below 1; for tests.

    Raises:
        Unreachable: no gateway there, or no WELCOME from it in time; or the URL is none.
        Denied: the gateway refused the connection.
        Closed: it took the connection and hung up before the WELCOME.
        UnusableToken, UnusableUrl: the token is none; no URL was given.
    """
    urls = (url,) if isinstance(url, str) else tuple(url)
    query = {**({"acks": "1"} if acks else {}), "roster": "1", "calls": "1"}
    query |= {"place": "1"} if resume else {}
    connector = Connector(GatewayPool(urls, jitter), token, query, reply_timeout_s)
    established = await connector.connect_first({"resume": ""} if resume else {})
    stats = Stats()
    pending = PendingRequests(reply_timeout_s, stats)
    dispatcher = Dispatcher(
        established.welcome,
        pending,
        stats,
        resume=resume,
        rejoin=rejoin,
        jitter=jitter,
        place=established.place,
    )
    reconnector = Reconnector(
        established,
        connector,
        pending,
        dispatcher,
        resume=resume,
        give_up_after_s=give_up_after_s,
        jitter=jitter,
    )
    client = Client(reconnector, dispatcher, pending, stats, acks=acks, insist_s=insist_s, jitter=jitter)
    failure: Exception | None = None
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(reconnector.run())
        try:
            yield client
        except Exception as error:  # raised again below, without the group around it
            failure = error
        finally:
            await reconnector.close()
    if failure is not None:
        raise failure
