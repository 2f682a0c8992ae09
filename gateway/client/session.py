"""What a client's frame means, and what the answer of a router or of presence means to the client. Pure.

The session knows whose client it is and what the token grants; it decides what to say at once, what to ask,
and what to say when the answer comes (`actions`). `inbound` carries that out. What its client is told unasked
is made in `events`.
"""

from collections.abc import Callable
from typing import Final, get_args

from gateway.client.actions import Action, AskKeys, AskPresence, AskRouter, HangUp, RoomListing, Say
from gateway.client.numbering import Numbering
from gateway.client.order import Order
from gateway.client.pages import FIRST, PAGE, Page, read_cursor, wrong_argument
from gateway.client.terms import Terms
from gateway.limits import prices
from gateway.limits.rates import NO_LIMITS
from gateway.limits.user_budget import UserBudget
from tieline.verification.tokens import BadToken, Claims, UnknownKey
from tieline.wire import envelope, replies
from tieline.wire.codes import CloseCode, ErrorCode
from tieline.wire.envelope import (
    ClientMessage,
    Join,
    Leave,
    Malformed,
    Members,
    MembersBody,
    Ping,
    RefreshToken,
    Status,
)
from tieline.wire.ids import (
    NO_CALL,
    NO_TOKEN,
    AdmissionToken,
    CallId,
    ConnectionId,
    GatewayId,
    ResumeToken,
    RoomId,
    SecretHash,
    SessionId,
    UserId,
)
from tieline.wire.internal.answers import Done, Refused, SessionGone
from tieline.wire.internal.directions import PresenceReply, RouterReply
from tieline.wire.internal.rooms import JoinRoom, LeaveRoom, ListMembers, RoomMembers
from tieline.wire.internal.sessions import EndSession, Opened, OpenSession, Register, Regrant
from tieline.wire.internal.signals import Accepted, Signal
from tieline.wire.replies import CallFate, RoomOnly, Roster, RosterPage, StatusSet, TokenRefreshed
from tieline.wire.resume_tokens import asked_of, secret_hash

_CANDIDATE: Final = envelope.COMMAND_OF[envelope.Candidate]

UNKNOWN: Final = "unknown"
"""What an unreadable or unknown command is called in the metrics: clients must not invent labels."""

NO_CLOSE_FRAME: Final = 1006
"""What RFC 6455 calls a connection that ended without a close frame."""

FINAL_CLOSES: Final = frozenset(
    (CloseCode.NORMAL, CloseCode.KICKED, CloseCode.FLOODING, CloseCode.PROTOCOL_VIOLATION)
)
"""Ends after which the session does not wait to be resumed: the client closed it, or has to stay away."""

FATES: Final = frozenset(get_args(CallFate))
"""What a client is told of a call; another word is that of a newer presence."""

STATUSES: Final = frozenset(("online", "away"))
"""What it is told of whom it calls; the same."""

HEAVY_S: Final = 0.75
"""Of its user's budget: more than who comes into a room has used up, or who says what it could not say for
seconds. Whoever owes more than that lets others go first."""

LEAST_SPENT_S: Final = 1.0
"""Of its user's budget: what a connection has used up is told to presence if it is as much as this."""


class Session:
    """One client, from WELCOME to the end."""

    __slots__ = (
        "_ahead",
        "_at",
        "acks",
        "asked",
        "batches",
        "budget",
        "calls",
        "claims",
        "connection",
        "in_call",
        "is_resumed",
        "numbering",
        "offer_timeout_s",
        "on_hung_up",
        "order",
        "places",
        "rooms",
        "secret",
        "session",
        "terms",
        "token",
    )

    def __init__(
        self,
        session: SessionId,
        connection: ConnectionId,
        claims: Claims,
        secret: SecretHash,
        acks: bool,
        terms: Terms,
        budget: UserBudget | None = None,
        *,
        batches: bool = False,
        calls: bool = False,
        places: bool = False,
        token: AdmissionToken = NO_TOKEN,
    ) -> None:
        """Take also what the user may still ask for, None: anything; and the token that says so."""
        self.token = token
        """For a presence that looks at it."""
        self.terms = terms
        self.budget = budget or UserBudget(claims.user, NO_LIMITS)
        self._at = 0.0
        self._ahead: tuple[bytes, ClientMessage | Malformed] | None = None
        """A frame that is decoded and not acted on yet."""
        self.batches = batches
        """The client takes the changes of rooms together, and lists in pages."""
        self.calls = calls
        """The client says and hears which call a message is about, and how it is at the other end."""
        self.offer_timeout_s = 0.0
        """How long presence lets an offer wait; 0: it does not say."""
        self.places = places
        """The client is told the place of each message that it is sent."""
        self.in_call = False
        """It wants to be seen to be in a call: to be told to a presence that has forgotten it."""
        self.on_hung_up: Callable[[CallId], object] = nobody
        """Is told of each call that the client has ended."""
        self.is_resumed = False
        self.numbering = Numbering()
        self.asked = 0
        """As of which revision its beginning was asked (`OpenSession.asked`)."""
        self.order = Order()
        self.session = session
        self.connection = connection
        self.claims = claims
        self.secret = secret
        self.acks = acks
        self.rooms: dict[RoomId, int] = {}
        """Its rooms, with when they were joined: to be told to a presence that has forgotten them."""

    @property
    def user(self) -> UserId:
        """The user that the token names."""
        return self.claims.user

    @property
    def is_heavy(self) -> bool:
        """Whether so much was done for the user of late that others go first."""
        return self.budget.owes_s(self._at) > HEAVY_S

    def receive(self, frame: bytes, now: float, at: float = 0.0) -> Action:
        """Decide at `now` (Unix seconds) about one frame of valid UTF-8 within the size limit.

        What is done for it beside reading it is charged to its user, also when the answer comes. `at` is the
        time for that, in seconds of a monotonic clock.
        """
        self._at = at
        message = envelope.decode(frame) if self._ahead is None else self._decoded(frame)
        self._ahead = None
        if isinstance(message, envelope.Signal):
            return self._to_user(message, frame)
        match message:
            case Malformed(refusal=refusal, request_id=request_id, cmd=cmd):
                argument = wrong_argument(frame) if cmd == "MEMBERS" else ""
                return _refuse(request_id, cmd, refusal, argument=argument)
            case Ping(request_id=request_id, data=data):
                return Say(replies.success(request_id, "PONG", data), request_id, "PING", "ok")
            case envelope.IceServers(request_id=request_id):
                servers = self.terms.ice_servers.listed(self.user, now)
                reply = replies.success(request_id, "ICE_SERVERS", servers)
                return Say(reply, request_id, "ICE_SERVERS", "ok")
            case RefreshToken(request_id=request_id, data=body):
                if not self.budget.may_refresh(at):
                    return _refuse(request_id, "REFRESH_TOKEN", ErrorCode.RATE_LIMITED)
                self._charge(prices.REFRESH)
                return self._refresh(request_id, body.token, now)
            case Status(request_id=request_id, data=body):
                self._charge(prices.STATUS + prices.STATUS_ROOM * len(self.rooms))
                return self._show(request_id, body.in_call)
            case Join() | Leave() | Members():  # pragma: no branch  # there is no other
                return self._about_room(message)

    def follows(self, ask: AskRouter, frame: bytes) -> AskRouter | None:
        """Decide about the next frame now, if it is a candidate that goes together with what is asked about.

        None: it is decided when that one is answered. Nothing of a heavy user goes together.
        """
        message = self._decoded(frame)
        self._ahead = frame, message
        signal = ask.signal
        if not isinstance(message, envelope.Candidate) or self.is_heavy:
            return None
        body = message.data
        call = envelope.named_call(body) if self.calls else NO_CALL
        if (body.sender, body.to, call) != (signal.user, signal.to, signal.call):
            return None
        self._ahead = None
        return self._carried(message, _CANDIDATE, frame, signal.call)

    def _decoded(self, frame: bytes) -> ClientMessage | Malformed:
        """Decode a frame, unless it was looked at already."""
        if self._ahead is not None and self._ahead[0] is frame:
            return self._ahead[1]
        return envelope.decode(frame)

    def over_limit(self, frame: bytes) -> Say:
        """Refuse a frame because there are too many; it is not carried out."""
        message = envelope.decode(frame)
        cmd = message.cmd if isinstance(message, Malformed) else envelope.command_of(message)
        return _refuse(message.request_id, cmd, ErrorCode.RATE_LIMITED)

    def _to_user(self, message: envelope.Signal, frame: bytes) -> Action:
        body, cmd = message.data, envelope.command_of(message)
        if body.sender != self.claims.sub:
            return _refuse(message.request_id, cmd, ErrorCode.SENDER_MISMATCH)
        if body.to == body.sender:
            return _refuse(message.request_id, cmd, ErrorCode.BAD_MESSAGE)
        call = envelope.named_call(body) if self.calls else NO_CALL
        if call is None:
            return _refuse(message.request_id, cmd, ErrorCode.BAD_MESSAGE)
        to = body.to
        if not self.order.lets_pass(to, frame, self._at):
            return _refuse(message.request_id, cmd, ErrorCode.INTERNAL)
        if cmd == "WEBRTC_OFFER" and not self.budget.may_offer(to, self._at):
            return _refuse(message.request_id, cmd, ErrorCode.RATE_LIMITED)
        return self._carried(message, cmd, frame, call)

    def _carried(self, message: envelope.Signal, cmd: str, frame: bytes, call: CallId) -> AskRouter:
        """Have a signal carried, and charge for it."""
        body = message.data
        to = body.to
        self.budget.carry(to, len(frame), self._at)
        price = prices.SIGNALS.get(cmd)
        if price is not None:
            if cmd == "WEBRTC_ANSWER" and self.budget.answers_again(to, frame):
                price = prices.ANSWER_AGAIN
            self._charge(price)
        connection, at = self.connection, self.terms.broker_time.ms_at(self._at)
        signal = Signal(body.sender, self.session, to, frame, self.acks, call, connection=connection, at=at)
        return AskRouter(message.request_id, cmd, signal)

    def _charge(self, price: float) -> None:
        self.budget.charge(price, self._at)

    def _refresh(self, request_id: str, token: str, now: float) -> Say | AskPresence | AskKeys:
        try:
            claims = self.terms.tokens.verify(token, now)
        except UnknownKey:
            return AskKeys(request_id, "REFRESH_TOKEN", token)
        except BadToken as problem:
            return _refuse(request_id, "REFRESH_TOKEN", ErrorCode.BAD_TOKEN, str(problem))
        if claims.sub != self.claims.sub:
            return _refuse(request_id, "REFRESH_TOKEN", ErrorCode.SENDER_MISMATCH)
        rooms = tuple(self.rooms)
        newer = AdmissionToken(token)
        regrant = Regrant(self.user, self.session, claims.voice, claims.granted, rooms, token=newer)
        return AskPresence(request_id, "REFRESH_TOKEN", RoomId(""), regrant, claims, token=newer)

    def _show(self, request_id: str, in_call: bool) -> AskPresence:
        """Have the members of its rooms see whether it is in a call, under the token that it has."""
        claims, rooms = self.claims, tuple(self.rooms)
        regrant = Regrant(
            self.user,
            self.session,
            claims.voice,
            claims.granted,
            rooms,
            token=self.token,
            in_call=in_call,
        )
        return AskPresence(request_id, "STATUS", RoomId(""), regrant)

    def keys_answered(self, ask: AskKeys, is_fresh: bool, now: float) -> Say | AskPresence:
        """Decide on a newer token with the keys as they are now; not `is_fresh`: they could not be had."""
        action = self._refresh(ask.request_id, ask.token, now)
        if isinstance(action, AskKeys):
            refusal = ErrorCode.BAD_TOKEN if is_fresh else ErrorCode.INTERNAL
            return _refuse(ask.request_id, ask.cmd, refusal, "of a key that is not known")
        return action

    def _about_room(self, message: Join | Leave | Members) -> Action:
        request_id, room = message.request_id, RoomId(message.data.room)
        match message:
            case Join() if not self.claims.may_join(room) and room not in self.rooms:
                return _refuse(request_id, "JOIN", ErrorCode.ROOM_FORBIDDEN)
            case Join() if room not in self.rooms and not self.budget.may_join(len(self.rooms)):
                return _refuse(request_id, "JOIN", ErrorCode.TOO_MANY_ROOMS)
            case Join():
                self._charge(prices.LIST if room in self.rooms else prices.JOIN)
                is_given = not self.claims.may_join(room)  # by its backend, as long as presence says so
                join = JoinRoom(self.user, self.session, room, knows_too_many_rooms=True, is_ordered=is_given)
                return AskPresence(request_id, "JOIN", room, join, page=FIRST if self.batches else None)
            case Leave():
                self._charge(prices.LEAVE)
                return AskPresence(request_id, "LEAVE", room, LeaveRoom(self.user, self.session, room))
            case Members(data=body):  # pragma: no branch  # there is no other
                return self._list(request_id, room, body)

    def _list(self, request_id: str, room: RoomId, body: MembersBody) -> Say | AskPresence:
        after = read_cursor(body.after) if body.after else None
        if body.after and after is None:
            return _refuse(request_id, "MEMBERS", ErrorCode.BAD_MESSAGE, argument="after")
        self._charge(prices.LIST)
        is_paged = self.batches or after is not None or body.limit
        page = Page(after, body.limit or PAGE) if is_paged else None
        request = ListMembers(self.user, self.session, room, connection=self.connection)
        return AskPresence(request_id, "MEMBERS", room, request, page=page)

    def router_answered(self, ask: AskRouter, reply: RouterReply | None) -> Say | HangUp:
        """Say what the router's reply means; None: there was none."""
        match reply:
            case Accepted(ack=ack, call=call):
                if ack == "held":
                    self._charge(prices.KEPT if ask.cmd == "WEBRTC_OFFER" else prices.HELD)
                if ask.cmd == "WEBRTC_HANGUP" and call:
                    self.on_hung_up(call)
                status = reply.target if reply.target in STATUSES else ""
                told = (call, status) if self.calls else ("", "")
                frame = b""
                if self.acks:
                    kept_s = reply.kept_s if self.calls else 0.0
                    frame = replies.ack(ask.request_id, ask.cmd, ack, *told, tells=reply.tells, kept_s=kept_s)
                return Say(frame, ask.request_id, ask.cmd, ack, call=call or ask.signal.call)
            case None | Refused(refusal=ErrorCode.INTERNAL) if self.acks:
                self.order.interrupt(ask.signal.to, ask.signal.frame)
                return self._refused(ask.request_id, ask.cmd, reply, ask.signal.call)
            case _:
                return self._refused(ask.request_id, ask.cmd, reply, ask.signal.call)

    def presence_answered(self, ask: AskPresence, reply: PresenceReply | RoomListing | None) -> Say | HangUp:
        """Say what presence's reply means, or what is known of a room; None: there was no reply."""
        match reply:
            case RoomListing(page=page, joined_at=joined_at, listed=listed, members=count):
                self._charge_for_list(ask, listed, count)
                if joined_at is not None:
                    self.rooms[ask.room] = joined_at
                data: RosterPage | Roster | RoomOnly | TokenRefreshed | StatusSet = page
            case RoomMembers(members=members):
                self._charge_for_list(ask, len(members), len(members))
                data = Roster(ask.room, members, count=len(members) if self.batches else None)
                self.rooms.update((ask.room, one.joined_at) for one in members if one.user_id == self.user)
            case Done(also_in=also_in) if ask.claims is not None:
                assert isinstance(ask.request, Regrant)
                # Beside what its backend gives, which may have put it into other rooms meanwhile.
                beyond = {room for room in ask.request.rooms if not ask.claims.may_join(room)}
                lost = beyond.difference(also_in)
                self.claims, self.token = ask.claims, ask.token
                self.rooms = {room: at for room, at in self.rooms.items() if room not in lost}
                data = TokenRefreshed(self.claims.expires_at_ms)
            case Done() if isinstance(ask.request, Regrant):
                self.in_call = ask.request.in_call is True
                data = StatusSet(self.in_call)
            case Done():
                data = RoomOnly(ask.room)
                self.rooms.pop(ask.room, None)
            case Refused() | SessionGone() | None:
                return self._refused(ask.request_id, ask.cmd, reply)
            case _:
                raise TypeError(f"presence answered {ask.cmd} with {type(reply).__name__}")
        return Say(replies.success(ask.request_id, ask.cmd, data), ask.request_id, ask.cmd, "ok")

    def _charge_for_list(self, ask: AskPresence, listed: int, members: int) -> None:
        """Charge for what a list holds; a new member is charged for all who are told of it."""
        is_new = ask.cmd == "JOIN" and ask.room not in self.rooms
        self._charge(members * prices.JOIN_MEMBER if is_new else listed * prices.LIST_MEMBER)

    def _refused(
        self, request_id: str, cmd: str, reply: Refused | SessionGone | None, named: CallId = NO_CALL
    ) -> Say | HangUp:
        match reply:
            case Refused(fate=fate, call=call):
                self._charge(prices.REFUSED)
                known = fate if fate in FATES else ""
                told = {"fate": known, "call": call} if self.calls else {}
                frame = replies.error(request_id, cmd, reply.refusal, **told)
                return Say(frame, request_id, cmd, reply.refusal.reason, call=named or call)
            case SessionGone(replaced=replaced):
                return HangUp(CloseCode.REPLACED if replaced else CloseCode.BROKER_LOST)
            case None:  # pragma: no branch  # there is no other
                return _refuse(request_id, cmd, ErrorCode.INTERNAL)

    def opening(self, gateway: GatewayId, resume: ResumeToken | None) -> OpenSession:
        """Ask presence to begin this session, or to resume the one with that secret instead."""
        claims = self.claims
        join = tuple(RoomId(room) for room in claims.join)
        return OpenSession(
            self.user,
            self.session,
            gateway,
            self.connection,
            claims.voice,
            join,
            self.secret,
            secret_hash(resume) if resume else SecretHash(b""),
            claims.granted,
            hears=True,
            names_connection=True,
            asked=self.asked,
            resume_asked=asked_of(resume) if resume else 0,
            token=self.token,
            tells=self.calls,
        )

    def opened(self, reply: Opened, secret: SecretHash) -> None:
        """Become the session that presence says it is."""
        self.session = reply.session
        self.secret = secret
        self.rooms = dict(reply.rooms)
        self.is_resumed = reply.resumed
        self.in_call = reply.in_call
        self.offer_timeout_s = reply.offer_timeout_s

    def registration(self, gateway: GatewayId, asked: int = 0, number: int = 0) -> Register:
        """Tell presence again what it may have forgotten. See `OpenSession` and `JoinRoom` for the order."""
        return Register(
            self.user,
            self.session,
            gateway,
            self.connection,
            self.claims.voice,
            self.rooms,
            self.secret,
            hears=True,
            names_connection=True,
            asked=asked,
            number=number,
            token=self.token,
            tells=self.calls,
            in_call=self.in_call,
        )

    def ending(self, close_code: int, at: float = 0.0) -> EndSession:
        """Tell presence that the connection has ended, with this close code, and what it has used up.

        `at` is the time for that, in seconds of a monotonic clock.
        """
        resumable = bool(self.secret) and close_code not in FINAL_CLOSES
        self.budget.rooms = tuple(self.rooms)
        account = self.budget.account(at)
        if account.spent_s < LEAST_SPENT_S:
            return EndSession(self.user, self.connection, resumable, asked=self.asked)
        return EndSession(
            self.user, self.connection, resumable, account.spent_s, account.owed_s, asked=self.asked
        )


def nobody(_call: CallId) -> None:
    """Tell nobody."""


def _refuse(request_id: str, cmd: str, refusal: ErrorCode, why: str = "", *, argument: str = "") -> Say:
    return Say(
        replies.error(request_id, cmd, refusal, argument),
        request_id,
        cmd if cmd in envelope.COMMANDS else UNKNOWN,
        refusal.reason,
        why,
    )
