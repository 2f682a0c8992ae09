"""What one client sends, a message at a time: the next one is acted on when the one before it is answered.

Candidates that wait for their turn behind one another, of one call for one user, are a series: they are asked
about together, and answered one by one (docs/decisions/0096-candidates-that-wait-go-together.md). So are
those that come with an offer or an answer (docs/decisions/0150-candidates-go-with-their-offer.md).
"""

import logging
import time
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from gateway.client.actions import AskKeys, AskPresence, AskRouter, HangUp, RoomListing, Say
from gateway.client.host import Host
from gateway.client.reader import AT_ONCE_BYTES, AT_ONCE_FRAMES
from gateway.client.session import Session
from gateway.client.waiting import Held
from tieline import metrics
from tieline.runtime.compiling import mypyc_attr
from tieline.runtime.guard import Guard
from tieline.wire.codes import CloseCode
from tieline.wire.envelope import COMMAND_OF, Answer, Candidate, Offer
from tieline.wire.internal.directions import PresenceReply, RouterReply
from tieline.wire.internal.signals import Accepted, Answers

MAX_UNREAD: Final = 32
"""Messages of one client that may wait before its socket is not read any further."""

MAX_TOGETHER: Final = 16
"""Messages of a series: more than a browser gathers for one call, and some 0.2 ms of reading."""

MAX_TOGETHER_BYTES: Final = 8 * 1024
"""The same in bytes: what is looked at as it arrives, and what presence keeps in one record."""

MAX_UNREAD_BYTES: Final = 32 * 1024
"""The same in bytes. With the longest message on top of it, and what one read brings, some 128 KiB."""

_BEGINS_SERIES: Final = tuple(COMMAND_OF[each] for each in (Offer, Answer, Candidate))
"""What candidates may follow in the same question."""

_SAYS_SO: Final = tuple(b'"%b"' % cmd.encode() for cmd in _BEGINS_SERIES)
"""In a frame that is most likely such a one: it is not read only to know how much there is to be read."""

_log = logging.getLogger(__name__)


class Client(Protocol):
    """What the messages of a client need of its connection."""

    def say(self, frame: bytes) -> bool:
        """Send the client a frame; False: the connection is closing, and it is not sent."""
        ...

    def close(self, code: CloseCode) -> None:
        """Close the connection; nothing once it is closing."""
        ...

    @property
    def has_more(self) -> bool:
        """Whether what has come is looked at, or is about to be; `go_together` is called behind that."""
        ...

    def pause(self) -> None:
        """Take nothing more until all is answered: enough messages wait."""
        ...

    def on_answered(self) -> None:
        """Go on with what waits, or be gone: nothing is under way."""
        ...


@mypyc_attr(native_class=False)  # mypyc derives no class from a built-in one
class Unread(list[bytes]):
    """The messages that wait, few: an empty list takes a tenth of the memory of a deque."""

    __slots__ = ()

    def popleft(self) -> bytes:
        """Take the first one."""
        return self.pop(0)


class Inbound:
    """The messages of one session, from WELCOME to the end. `now` is for measuring, in seconds."""

    __slots__ = (
        "_asked_at",
        "_client",
        "_first",
        "_held",
        "_host",
        "_now",
        "_on_newer_token",
        "_ping",
        "_session",
        "_unread",
        "_unread_bytes",
        "is_busy",
    )

    def __init__(
        self,
        client: Client,
        session: Session,
        host: Host,
        on_newer_token: Callable[[], None],
        held: Held,
        now: Callable[[], float],
        ping: Callable[[bytes], None],
    ) -> None:
        self._client = client
        self._session = session
        self._host = host
        self._on_newer_token = on_newer_token
        self._now = now
        self._ping = ping
        self._held = held
        self._asked_at = 0.0
        self._first: AskRouter | None = None
        """What is asked when all that has come is looked at: candidates may have come with it."""
        self._unread = Unread()
        self._unread_bytes = 0
        self.is_busy = False
        """Whether a message waits for the answer of a router, of presence or of the key server."""

    @property
    def is_done(self) -> bool:
        """Whether everything that was received is answered."""
        return not self.is_busy and not self._unread

    @property
    def has_next(self) -> bool:
        """Whether the first message that waits may be acted on now."""
        return bool(self._unread) and not self.is_busy

    @property
    def next_bytes(self) -> int:
        """How long the first message is that waits; 0: none does."""
        return len(self._unread[0]) if self._unread else 0

    def receive(self, message: bytes) -> None:
        """Act on the next message, at once or when those before it are answered."""
        if not self.is_busy and not self._unread:
            self._act_on(message)
            return
        self._unread.append(message)
        self._count(len(message))
        if len(self._unread) > MAX_UNREAD or self._unread_bytes > MAX_UNREAD_BYTES or self._held.is_high:
            self._client.pause()

    def act_on_next(self) -> None:
        """Act on the first message that waits."""
        message = self._unread.popleft()
        self._count(-len(message))
        self._act_on(message)
        if not self.is_busy:
            self._client.on_answered()

    def refuse_flood(self, message: bytes) -> None:
        """Refuse a message of a client that goes on and on over its limit."""
        self._asked_at = self._now()
        self._finish(self._session.over_limit(message), len(message), "")

    def drop_unread(self) -> None:
        """Forget the messages that are not acted on yet."""
        self._unread.clear()
        self._count(-self._unread_bytes)

    def _count(self, by: int) -> None:
        """Count a message that waits, or waits no more; nearly always none does."""
        self._unread_bytes += by
        self._held.change(by)

    def _act_on(self, frame: bytes) -> None:
        """Act on one message. What is asked of others is answered later."""
        self._asked_at = self._now()
        action = self._session.receive(frame, time.time(), self._asked_at)
        match action:
            case AskRouter():
                self.is_busy = True
                if action.cmd in _BEGINS_SERIES:
                    if self._client.has_more:
                        self._first = action
                        return
                    if self._unread:
                        action = self._with_those_behind(action)
                self._host.ask_router(self._session, action, self._router_answered)
            case Say():
                self._finish(action, len(frame), "")
            case AskPresence():
                self.is_busy = True
                self._host.ask_presence(self._session, action, self._presence_answered)
            case AskKeys():
                self.is_busy = True
                self._host.ask_keys(action, self._keys_answered)

    def go_together(self) -> None:
        """Ask about what waits for candidates that may have come with it, if anything does."""
        first, self._first = self._first, None
        if first is not None:
            self._host.ask_router(self._session, self._with_those_behind(first), self._router_answered)

    def _with_those_behind(self, ask: AskRouter) -> AskRouter:
        """Have the candidates that wait behind a message go together with it."""
        then: list[AskRouter] = []
        room = MAX_TOGETHER_BYTES - len(ask.signal.frame)
        while self._unread and len(then) < MAX_TOGETHER - 1:
            frame = self._unread[0]
            room -= len(frame)
            if room < 0 or (behind := self._session.follows(ask, frame)) is None:
                break
            self._unread.popleft()
            self._count(-len(frame))
            then.append(behind)
        return msgspec.structs.replace(ask, then=tuple(then)) if then else ask

    def _router_answered(self, ask: AskRouter, reply: RouterReply | Answers | None) -> None:
        try:
            if ask.then or isinstance(reply, Answers):
                self._several_answered(ask, reply)
                return
            metrics.RELAY_SECONDS.observe(self._now() - self._asked_at)
            self._answered(self._session.router_answered(ask, reply), len(ask.signal.frame), ask.signal.to)
            if not isinstance(reply, Accepted):
                self._ping_if_interrupted()
        except Exception as error:  # without a guard around it, which would cost each signal
            self._fail(error)

    def _several_answered(self, ask: AskRouter, reply: RouterReply | Answers | None) -> None:
        """Tell what came of a series, frame by frame; what has no answer is asked again."""
        session, to = self._session, ask.signal.to
        asks = [msgspec.structs.replace(ask, then=()), *ask.then]
        if isinstance(reply, Answers):
            replies: tuple[RouterReply | None, ...] = reply.answers
        else:
            replies = (reply,) if reply is not None else (None,) * len(asks)
        for one in replies[: len(asks)]:
            self._tell(session.router_answered(asks[0], one), asks.pop(0))
            if not self.is_busy:
                return
        while asks and session.order.is_interrupted(to):
            self._tell(session.router_answered(asks[0], None), asks.pop(0))
        if asks:
            first = asks.pop(0)
            self._host.ask_router(
                session, msgspec.structs.replace(first, then=tuple(asks)), self._router_answered
            )
        else:
            self._go_on()
        self._ping_if_interrupted()

    def _tell(self, answer: Say | HangUp, ask: AskRouter) -> None:
        """Tell the client what came of one of several messages."""
        metrics.RELAY_SECONDS.observe(self._now() - self._asked_at)
        if isinstance(answer, HangUp):
            self._answered(answer, 0, "")
        else:
            self._finish(answer, len(ask.signal.frame), ask.signal.to)

    def _ping_if_interrupted(self) -> None:
        """Send a ping behind an answer by which the client does not know what came of its message."""
        if ping := self._session.order.take_ping():
            self._ping(ping)

    def on_pong(self, payload: bytes) -> None:
        """Take note of a pong of the client."""
        self._session.order.on_pong(payload, self._now())

    def _presence_answered(self, ask: AskPresence, reply: PresenceReply | RoomListing | None) -> None:
        with Guard(self._fail):
            claims = self._session.claims
            answer = self._session.presence_answered(ask, reply)
            if self._session.claims is not claims:
                self._on_newer_token()
            self._answered(answer, 0, "")

    def _keys_answered(self, ask: AskKeys, is_fresh: bool) -> None:
        with Guard(self._fail):
            action = self._session.keys_answered(ask, is_fresh, time.time())
            if isinstance(action, AskPresence):
                self._host.ask_presence(self._session, action, self._presence_answered)
            else:
                self._answered(action, 0, "")

    def _fail(self, error: Exception) -> None:
        """Close after a bug that an answer has met: else the client waits for it for ever."""
        _log.error("answer not told: a bug", exc_info=error, extra={"user": self._session.user})
        self.is_busy = False
        self.drop_unread()
        self._client.close(CloseCode.INTERNAL_ERROR)
        self._client.on_answered()

    def _answered(self, answer: Say | HangUp, size: int, to: str) -> None:
        """Tell the client what came of its message, and go on to the next one."""
        match answer:
            case Say():
                self._finish(answer, size, to)
            case HangUp(code=code):
                self._client.close(code)
                self.drop_unread()
        self._go_on()

    def _go_on(self) -> None:
        """Go on to the next message, with those that go together with it."""
        self.is_busy = False
        if self._unread and self._is_next_short(self._unread[0]):
            self.act_on_next()  # only one: the others may all be answered at once, and wait for their turn
        else:  # also for a long one: hundreds of clients may be answered together
            self._client.on_answered()

    def _is_next_short(self, frame: bytes) -> bool:
        """Whether the next message, or all that it begins if it begins a series, is soon acted on."""
        is_one = len(self._unread) <= AT_ONCE_FRAMES or not any(says in frame for says in _SAYS_SO)
        return is_one and len(frame) <= AT_ONCE_BYTES

    def _finish(self, say: Say, size: int, to: str) -> None:
        if say.frame:
            self._client.say(say.frame)
        metrics.signal_answered(say.cmd, say.outcome)
        if say.why:  # a user may refresh so many times a minute, so these are few
            _log.info("newer token refused", extra={"user": self._session.user, "why": say.why})
        if _log.isEnabledFor(logging.DEBUG):
            fields = {
                "requestId": say.request_id,
                "cmd": say.cmd,
                "from": self._session.user,
                "to": to,
                "outcome": say.outcome,
                "ms": round((self._now() - self._asked_at) * 1000, 3),
                "bytes": size,
                "call": say.call,
            }
            _log.debug("signal", extra=fields)
