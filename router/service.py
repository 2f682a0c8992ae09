"""Route signals: ask presence, deliver what it says, answer the gateway.

A signal that cannot be judged now stays unanswered: the gateway sends it again, and any router may get it.
How a frame is published is in `relay`; the permissions cached between questions are in `grants`.
"""

import asyncio
import functools
import logging
import time
from collections.abc import Callable
from typing import Final

from router.grants import Grant, Grants
from router.relay import NoRoom, NotStored, Outcome, Relaying
from router.stored import Release
from tieline import metrics
from tieline.runtime.answers import Asking
from tieline.runtime.broker import Broker, BrokerAway, Subscription
from tieline.runtime.guard import Guard, bug_guard
from tieline.runtime.message import Message
from tieline.runtime.pool import Pool, PoolSize
from tieline.runtime.requests import NoAnswer, Requests
from tieline.runtime.tally import Tally
from tieline.runtime.unreadable import Unreadable
from tieline.wire.checks import UNREADABLE
from tieline.wire.codes import ErrorCode
from tieline.wire.digests import digest
from tieline.wire.envelope import COMMAND_OF, Candidate
from tieline.wire.heads import is_from
from tieline.wire.ids import UserId
from tieline.wire.internal import codec
from tieline.wire.internal.answers import Refused, SessionGone
from tieline.wire.internal.directions import OPERATIONS, RouterReply
from tieline.wire.internal.signals import Accepted, Check, Relay, Signal, Verdict
from tieline.wire.subjects import Subjects, identifier

CHECK_PATIENCE_S: Final = 3.0
"""For presence's verdict: less than the 5 s for which the gateway asks, so that its next attempt, and not
this one, is the one that is answered late."""

SIZE: Final = PoolSize(under_way=1024, of_one=16)
"""What presence is asked about at once: a router only waits for it, and for the mailbox. The gateway handles
the messages of a client one after the other, so a user needs more only after a change of connections."""

JUDGED_AT_ONCE: Final = PoolSize(under_way=64, of_one=16)
"""Of the signals that write (offers, answers, hang-ups): more than presence processes have under way, and not
so many that the candidates of calls wait while hundreds of them have their turn of the event loop."""

WAIT_S: Final = 2.0
"""After so long in the queue a signal is dropped: its gateway has asked again twice, and what is left of its
5 s is needed for the verdict."""

Answer = Callable[[RouterReply], None]
"""How one signal is answered."""

_CANDIDATE: Final = COMMAND_OF[Candidate]
_RELAYED: Final = Accepted("relayed")
_HELD: Final = Accepted("held")
_NO_ROOM: Final = Refused(ErrorCode.INTERNAL.reason)

_UNANSWERED: Final = "signals unanswered"
_UNREADABLE: Final = "signals refused: of another version, or none"

_log = logging.getLogger(__name__)

_unsent: Final = bug_guard(_log, "answers not sent: a bug")


class _Answers:
    """The answers to one pack of signals: those of one turn of the event loop leave together."""

    __slots__ = ("_broker", "_ready", "_reply", "_tally")

    def __init__(self, broker: Broker, reply: str, tally: Tally) -> None:
        self._broker = broker
        self._reply = reply
        self._tally = tally
        self._ready: list[tuple[int, RouterReply]] = []

    def give(self, place: int, answer: RouterReply) -> None:
        """Answer the signal in that place, after everything that has been published for it."""
        if not self._ready:
            self._broker.on_flush(self._send)
        self._ready.append((place, answer))

    def _send(self) -> None:
        ready, self._ready = self._ready, []
        with _unsent:
            try:
                self._broker.send(self._reply, codec.encode(ready))
            except BrokerAway:
                self._tally.note(
                    logging.WARNING, _UNANSWERED, "", "", error="broker away", signals=len(ready)
                )


class RouterService:
    """What one router does with signals. Tasks belong to the given group."""

    def __init__(
        self,
        broker: Broker,
        requests: Requests,
        subjects: Subjects,
        grants: Grants,
        tasks: asyncio.TaskGroup,
        size: PoolSize = SIZE,
        judged_at_once: PoolSize = JUDGED_AT_ONCE,
    ) -> None:
        self._broker = broker
        self._asking = Asking(requests)
        self._subjects = subjects
        self._is_gateways = subjects.reply_to("gateway")
        self._pool = Pool(tasks, size)
        self._judging = Pool(tasks, judged_at_once)
        self._tally = Tally(_log)
        self._unreadable = Unreadable(_log, self._tally)
        self._relaying = Relaying(broker, requests, subjects)
        self._grants = grants
        self.has_room = self._relaying.has_room
        """Whether the mailbox stores what it is given now."""
        broker.when_away(grants.drop_all)

    async def start(self) -> Subscription:
        """Listen; returns the subscription to signals, to be drained at the end."""
        await self._broker.subscribe(self._subjects.changes(), self._on_change)
        return await self._broker.subscribe(self._subjects.signals(), self._on_signals, queue="router")

    def _on_change(self, message: Message) -> None:
        try:
            user = UserId(identifier(message.subject.rpartition(".")[2]))
        except ValueError as error:
            self._unreadable.note("changed", error)
        else:
            self._grants.drop(user)

    def _on_signals(self, message: Message) -> None:
        cmd = message.subject.rpartition(".")[2]
        try:
            pack = codec.decode_signals(message.data)
        except UNREADABLE as error:
            self._unreadable.note("signal", error, _UNREADABLE)
            return
        if not self._is_gateways(message.reply):
            self._unreadable.note("signal", f"to be answered on {message.reply!r}", _UNREADABLE)
            return
        answers = _Answers(self._broker, message.reply, self._tally)
        now = time.monotonic()
        guard = _guard(cmd)
        for place, signal in enumerate(pack):
            if signal is None:
                continue
            if not is_from(signal.frame, cmd, signal.user, signal.to):
                self._unreadable.note("signal", "its frame says something else", _UNREADABLE)
                continue
            answer = functools.partial(answers.give, place)
            grant = None
            if cmd == _CANDIDATE:
                grant = self._grants.find(signal.user, signal.session, signal.to, now, signal.call)
                if grant is not None and grant.connection != signal.connection:
                    grant = None
            if grant is None and not codec.is_meant(signal):
                self._unreadable.note("signal", "an id that no gateway sends", _UNREADABLE)
                continue
            if grant is None:
                judge = functools.partial(self._judge, signal, cmd, answer)
                name = f"{message.reply} {place}"
                pool = self._pool if cmd == _CANDIDATE else self._judging
                pool.submit(signal.user, name, judge, len(signal.frame), WAIT_S)
                continue
            with guard:
                self._relay_granted(signal, grant, answer)

    def _relay_granted(self, signal: Signal, grant: Grant, answer: Answer) -> None:
        metrics.LEASED_SIGNALS.inc()
        if grant.held and digest(signal.frame) in grant.held:
            answer(_HELD)
            return
        relaying, to, session, frame = self._relaying, signal.to, grant.target_session, signal.frame
        if signal.stored:
            relaying.store(to, session, frame, functools.partial(_tell, answer), grant.call)
        elif relaying.publish_at_once(to, session, frame, grant.call):
            answer(_RELAYED)
        else:
            relaying.publish(to, session, frame, functools.partial(_tell, answer), grant.call)

    async def _judge(self, signal: Signal, cmd: str, answer: Answer) -> None:
        ticket = self._grants.ask(signal.user, signal.to)
        grant = None
        with _guard(cmd):
            try:
                carried = self._relaying.carried(signal.user, signal.to)
                verdict = await self._ask_presence(signal, cmd, carried)
                now = time.monotonic()
                reply = await self._carry_out(signal, cmd, verdict, carried)
                # Only when all of it is published, or a candidate that the grant lets pass would overtake it.
                grant = _granted(signal, verdict, now)
                answer(reply)
            except NoRoom:
                answer(_NO_ROOM)
            except (NoAnswer, NotStored) as error:
                self._tally.note(logging.WARNING, _UNANSWERED, cmd, "", cmd=cmd, error=repr(error))
            finally:
                self._grants.answered(ticket, grant)

    async def _ask_presence(self, signal: Signal, cmd: str, carried: tuple[Release, ...]) -> Verdict:
        check = Check(
            signal.user,
            signal.session,
            signal.to,
            cmd,
            digest(signal.frame),
            signal.frame if cmd == _CANDIDATE else b"",
            signal.call,
            connection=signal.connection,
            carried=carried,
            at=signal.at,
        )
        with metrics.CHECK_SECONDS.time():
            verdict = await self._asking.ask(
                self._subjects.presence(OPERATIONS[Check]),
                codec.encode(check),
                functools.partial(codec.read_answer, check),
                CHECK_PATIENCE_S,
            )
        assert isinstance(verdict, Relay | Refused | SessionGone)  # nothing else answers a check
        return verdict

    async def _carry_out(
        self, signal: Signal, cmd: str, verdict: Verdict, carried: tuple[Release, ...]
    ) -> RouterReply:
        """Deliver what is to be delivered; returns what the gateway is told."""
        if isinstance(verdict, Refused) and await self._is_retry(signal, cmd):
            return _RELAYED
        if not isinstance(verdict, Relay):
            return verdict
        relaying, stored = self._relaying, signal.stored
        others = await relaying.carry(
            verdict.deliveries, signal.frame, stored=stored, carried=carried, call=verdict.call
        )
        relaying.note_releases(signal.user, signal.to, verdict.releases, stored=stored)
        return Accepted(verdict.ack, others, verdict.call)

    async def _is_retry(self, signal: Signal, cmd: str) -> bool:
        """Whether a refused candidate was relayed before its call ended: then it is a retry, answered as one.

        Presence remembers the signals that change a negotiation; a candidate of an established one changes
        nothing, and only the mailbox has had it.
        """
        return cmd == _CANDIDATE and await self._relaying.was_stored(signal.to, signal.frame)


def _guard(cmd: str) -> Guard:
    """Keep a bug that one signal meets from the others of its pack, and from the process."""
    return bug_guard(_log, "signal unanswered: a bug", cmd=cmd)


def _tell(answer: Answer, outcome: Outcome) -> None:
    """Answer a signal; one whose outcome is unknown is not answered, and sent again by its gateway."""
    if outcome is Outcome.STORED:
        answer(_RELAYED)
    elif outcome is Outcome.NO_ROOM:
        answer(_NO_ROOM)


def _granted(signal: Signal, verdict: Verdict, now: float) -> Grant | None:
    if not isinstance(verdict, Relay) or not verdict.grant_seconds:
        return None
    target = next((each.session for each in verdict.deliveries if each.user == signal.to), None)
    if target is None:
        return None
    until, held = now + verdict.grant_seconds, frozenset(verdict.grant_held)
    return Grant(signal.session, target, until, held, verdict.call, connection=signal.connection)
