"""What is asked on behalf of one session: routers, presence, and the key server. A connection's `Host`.

When the answer is that the session is not known, although no other connection has its user, presence has
forgotten it: the session is registered again, and what was asked is asked once more.
"""

import asyncio
import functools
import itertools
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import msgspec

from gateway.client.actions import AskKeys, AskPresence, AskRouter, RoomListing
from gateway.client.host import KeysAnswered, PresenceAnswered, RouterAnswered
from gateway.client.session import Session
from gateway.rooms.memberships import NOT_THERE
from gateway.sessions.heavy_lane import HeavyLane
from gateway.sessions.notices import Notices
from gateway.sessions.presence import Presence
from gateway.sessions.registrations import Registrations
from gateway.sessions.signals import Answered
from tieline.runtime.guard import bug_guard
from tieline.runtime.patience import PATIENCE_S
from tieline.runtime.requests import NoAnswer
from tieline.wire.internal.answers import Outdated, Refused, SessionGone
from tieline.wire.internal.directions import PresenceReply, RouterReply
from tieline.wire.internal.rooms import JoinRoom, LeaveRoom, ListMembers
from tieline.wire.internal.sessions import Regrant
from tieline.wire.internal.signals import Answers, Signal

AboutSession = JoinRoom | LeaveRoom | ListMembers | Regrant

AnswerAboutRoom = Callable[
    [Session, AskPresence, Callable[[Session, AboutSession], Awaitable[PresenceReply | None]]],
    Awaitable[PresenceReply | RoomListing | None],
]
"""Answers a client's JOIN, LEAVE or MEMBERS; what is given last asks presence for a session."""

AnswerT = TypeVar("AnswerT")

AskSignal = Callable[[str, Signal, Answered], None]
"""Asks a router to carry a signal of a command."""

MOST_TIMES: Final = 3
"""That the same is asked in another order. A connection asks one thing at a time, and seldom to be registered
beside it."""

_log = logging.getLogger(__name__)


class Attempts:
    """Counts how often a request was sent: it is asked before each time whether it is wanted."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> bool:
        """Count one more time."""
        self.count += 1
        return True


class Questions:
    """The questions of one gateway's sessions. Tasks belong to the given group."""

    def __init__(
        self,
        *,
        ask_signal: AskSignal,
        presence: Presence,
        refresh_keys: Callable[[], Awaitable[bool]],
        registrations: Registrations,
        notices: Notices,
        answer_about_room: AnswerAboutRoom,
        tasks: asyncio.TaskGroup,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """`patience_s`: how long who has asked waits for an answer of presence."""
        self._ask_signal = ask_signal
        self._presence = presence
        self._refresh_keys = refresh_keys
        self._registrations = registrations
        self._notices = notices
        self._answer_about_room = answer_about_room
        self._tasks = tasks
        self._patience_s = patience_s
        self._lane = HeavyLane()

    def ask_router(self, session: Session, ask: AskRouter, answered: RouterAnswered) -> None:
        """Ask a router to carry a signal of a session; `answered` is called once."""
        if session.is_heavy:
            self._lane.pass_on(functools.partial(self._ask_router, session, ask), answered)
        else:
            self._ask_router(session, ask, answered)

    def _ask_router(self, session: Session, ask: AskRouter, answered: RouterAnswered) -> None:
        replied = functools.partial(self._router_replied, session, ask, answered)
        self._ask_signal(ask.cmd, _signal_of(ask), replied)

    def _router_replied(
        self, session: Session, ask: AskRouter, answered: RouterAnswered, reply: RouterReply | Answers | None
    ) -> None:
        if not _is_forgotten(reply):
            answered(ask, _up_to_forgotten(reply) if ask.then else reply)
            return

        def on_registered(gone: SessionGone | None) -> None:
            if gone is not None:
                answered(ask, gone)
            else:
                self._ask_signal(ask.cmd, _signal_of(ask), functools.partial(answered, ask))

        self._begin(self._registrations.register(session), on_registered, None)

    def ask_presence(self, session: Session, ask: AskPresence, answered: PresenceAnswered) -> None:
        """Ask presence about a room or a newer token of a session; `answered` is called once."""
        if session.is_heavy:
            self._lane.pass_on(functools.partial(self._ask_presence, session, ask), answered)
        else:
            self._ask_presence(session, ask, answered)

    def _ask_presence(self, session: Session, ask: AskPresence, answered: PresenceAnswered) -> None:
        self._begin(self._presence_answer(session, ask), functools.partial(answered, ask), None)

    async def _presence_answer(
        self, session: Session, ask: AskPresence
    ) -> PresenceReply | RoomListing | None:
        if isinstance(ask.request, Regrant):
            return await self.ask_presence_for(session, ask.request)
        return await self._answer_about_room(session, ask, self.ask_presence_for)

    async def ask_presence_for(self, session: Session, request: AboutSession) -> PresenceReply | None:
        """Ask presence for a session, and wait; None: there was no reply in time, or none that counts."""
        until = asyncio.get_running_loop().time() + self._patience_s
        try:
            reply = await self._asked_in_order(session, request, until)
            if isinstance(reply, SessionGone) and not reply.replaced:
                gone = await self._registrations.register(session, _left_s(until))
                return await self._asked_in_order(session, request, until) if gone is None else gone
        except NoAnswer:
            return None
        return reply

    async def _asked_in_order(self, session: Session, request: AboutSession, until: float) -> PresenceReply:
        """Ask in the order of the connection; anew, if something has come in between that was asked later.

        So is what was sent twice and is refused: of its copies one may yet be carried out. `until`, on the
        clock of the loop, is when who has asked waits no more.

        Raises:
            NoAnswer: there was no reply by then, or none but that.
        """
        if isinstance(request, ListMembers):  # which changes nothing
            return await self._presence.ask(request, _left_s(until))
        asked = self._presence.revision_of(session.user)
        for _ in range(MOST_TIMES):
            attempts = Attempts()
            number = session.numbering.next()
            in_order = msgspec.structs.replace(request, connection=session.connection, number=number)
            if isinstance(in_order, JoinRoom):
                in_order = msgspec.structs.replace(in_order, asked=asked)
            reply = await self._presence.ask(in_order, _left_s(until), attempts)
            session.numbering.answered(number, attempts.count)
            if isinstance(reply, Refused) and attempts.count > 1:
                continue  # another copy may be carried out later: it is overtaken by what is asked anew
            if not isinstance(reply, Outdated):
                return reply
            is_clients = isinstance(request, JoinRoom) and not request.is_ordered
            if is_clients and reply.revision and attempts.count > 1:
                return NOT_THERE  # the first copy may have been carried out before its user was put out
            asked = max(asked, reply.revision)
        raise NoAnswer("what was asked is outdated, again and again")

    def ask_keys(self, ask: AskKeys, answered: KeysAnswered) -> None:
        """Have the keys that verify tokens fetched anew; `answered` is called once."""
        self._begin(self._refresh_keys(), functools.partial(answered, ask), False)

    def tell(self, session: Session, event: bytes) -> None:
        """Send a session an event the way that those from others come."""
        self._notices.send(session, event)

    def _begin(
        self, asking: Awaitable[AnswerT], answered: Callable[[AnswerT], None], failed: AnswerT
    ) -> None:
        """Ask in a task of its own, and call `answered` with the answer; with `failed` if a bug is met.

        Who has asked waits for an answer, and is not read until there is one.
        """

        async def guarded() -> None:
            answer = failed
            with bug_guard(_log, "question unanswered: a bug"):
                answer = await asking
            with bug_guard(_log, "answer not told: a bug"):
                answered(answer)

        self._tasks.create_task(guarded())


def _left_s(until: float) -> float:
    """Say for how long somebody waits yet, in seconds.

    Raises:
        NoAnswer: not at all.
    """
    left_s = until - asyncio.get_running_loop().time()
    if left_s <= 0:
        raise NoAnswer("what was asked has taken too long")
    return left_s


def _signal_of(ask: AskRouter) -> Signal:
    """Return what a router is asked: one signal, with the frames of those that follow it."""
    if not ask.then:
        return ask.signal
    return msgspec.structs.replace(ask.signal, then=tuple(behind.signal.frame for behind in ask.then))


def _is_forgotten(reply: RouterReply | Answers | None) -> bool:
    """Whether presence has forgotten the session of the first signal that was asked about."""
    first = reply.answers[0] if isinstance(reply, Answers) else reply
    return isinstance(first, SessionGone) and not first.replaced


def _up_to_forgotten(reply: RouterReply | Answers | None) -> RouterReply | Answers | None:
    """Leave out what comes after presence has forgotten the session: that is asked again."""
    if not isinstance(reply, Answers):
        return reply
    return Answers(tuple(itertools.takewhile(lambda one: not _is_forgotten(one), reply.answers)))
