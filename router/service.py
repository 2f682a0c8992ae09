"""Route signals: ask presence, deliver what it says, answer the gateway.

A signal that cannot be judged now stays unanswered: the gateway sends it again, and any router may get it.
How presence is asked is in `checking`, how a frame is published in `relay`; the permissions cached between
questions are in `grants`.
"""

import asyncio
import functools
import logging
import time
from typing import Final

from router.answering import UNANSWERED, Answer, PackAnswers, tell
from router.checking import Checking
from router.grants import Grant, Grants
from router.parcels import RELAYED, Outcome, Parcel, Telling, parcels_of
from router.relay import NotStored, Relaying
from router.stored import SENT_S, Release
from tieline import metrics
from tieline.runtime.broker import Broker, Subscription
from tieline.runtime.guard import Guard, bug_guard
from tieline.runtime.message import Message
from tieline.runtime.pool import Pool, PoolSize
from tieline.runtime.requests import NoAnswer, Requests
from tieline.runtime.tally import Tally
from tieline.runtime.unreadable import Unreadable
from tieline.wire import envelope
from tieline.wire.checks import UNREADABLE
from tieline.wire.digests import digest
from tieline.wire.envelope import COMMAND_OF, Candidate, Info
from tieline.wire.heads import is_from
from tieline.wire.ids import UserId
from tieline.wire.internal import codec
from tieline.wire.internal.answers import Refused
from tieline.wire.internal.directions import RouterReply
from tieline.wire.internal.signals import Accepted, Answers, Relay, Signal, Verdict
from tieline.wire.subjects import Subjects, identifier

SIZE: Final = PoolSize(under_way=1024, of_one=16)
"""What presence is asked about at once: a router only waits for it, and for the mailbox. The gateway handles
the messages of a client one after the other, so a user needs more only after a change of connections."""

JUDGED_AT_ONCE: Final = PoolSize(under_way=64, of_one=16)
"""Of the signals that write (offers, answers, hang-ups): more than presence processes have under way, and not
so many that the candidates of calls wait while hundreds of them have their turn of the event loop."""

WAIT_S: Final = 2.0
"""After so long in the queue a signal is dropped: its gateway has asked again twice, and what is left of its
5 s is needed for the verdict."""

_CANDIDATE: Final = COMMAND_OF[Candidate]
_ANSWER: Final = COMMAND_OF[envelope.Answer]
_UNREMEMBERED: Final = (_CANDIDATE, COMMAND_OF[Info])
_HELD: Final = Accepted("held")
_UNREADABLE: Final = "signals refused: of another version, or none"

_log = logging.getLogger(__name__)


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
        self._checking = Checking(requests, subjects)
        self._subjects = subjects
        self._tasks = tasks
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
        answers = PackAnswers(self._broker, message.reply, self._tally)
        guard = _guard(cmd)
        for place, signal in enumerate(pack):
            if signal is None:
                continue
            if not is_from(signal.frame, cmd, signal.user, signal.to) or (
                signal.then and not _is_followed_well(signal)
            ):
                self._unreadable.note("signal", "its frame says something else", _UNREADABLE)
                continue
            answer = functools.partial(answers.give, place)
            grant = self._grant(signal) if cmd == _CANDIDATE else None
            if (grant is None or signal.then) and not codec.is_meant(signal):
                self._unreadable.note("signal", "an id that no gateway sends", _UNREADABLE)
                continue
            if grant is None:
                judge = functools.partial(self._judge, signal, cmd, answer)
                name = f"{message.reply} {place}"
                pool = self._pool if cmd == _CANDIDATE else self._judging
                size = len(signal.frame) + sum(map(len, signal.then))
                pool.submit(signal.user, name, judge, size, WAIT_S)
            elif signal.then:
                self._tasks.create_task(self._relay_series(signal, grant, answer))
            else:
                with guard:
                    self._relay_granted(signal, grant, answer)

    def _grant(self, signal: Signal) -> Grant | None:
        """Find what lets a candidate pass now."""
        now = time.monotonic()
        grant = self._grants.find(signal.user, signal.session, signal.to, now, signal.call)
        return None if grant is None or grant.connection != signal.connection else grant

    def _relay_granted(self, signal: Signal, grant: Grant, answer: Answer) -> None:
        metrics.LEASED_SIGNALS.inc()
        if grant.held and digest(signal.frame) in grant.held:
            answer(_HELD)
            return
        relaying, to, session, frame = self._relaying, signal.to, grant.target_session, signal.frame
        if signal.stored:
            relaying.store(to, session, frame, functools.partial(tell, answer), grant.call)
        elif relaying.publish_at_once(to, session, frame, grant.call):
            answer(RELAYED)
        else:
            relaying.publish(to, session, frame, functools.partial(tell, answer), grant.call)

    async def _relay_series(self, signal: Signal, grant: Grant, answer: Answer) -> None:
        """Relay a candidate and those that follow it, for as long as the grant lets them pass.

        Of those that are left nothing is said, and they are asked next.
        """
        with _guard(_CANDIDATE):
            try:
                told = await self._pass_on((signal.frame, *signal.then), signal, grant)
                self._answer(signal, _CANDIDATE, told, answer)
            except (NoAnswer, NotStored) as error:
                self._tally.note(logging.WARNING, UNANSWERED, _CANDIDATE, "", error=repr(error))

    async def _pass_on(self, frames: tuple[bytes, ...], signal: Signal, grant: Grant) -> list[RouterReply]:
        """Relay candidates on a grant; returns what is told of them, as far as that is known."""
        telling = Telling()
        for frame in frames:
            metrics.LEASED_SIGNALS.inc()
            if grant.held and digest(frame) in grant.held:
                telling.add(_HELD)
            else:
                own = Parcel(signal.to, grant.target_session, frame, grant.call, is_own=True)
                telling.add(RELAYED, (own,))
        carried = await self._relaying.carry(
            telling.parcels, stored=signal.stored, goes_on=lambda: self._grant(signal) is grant
        )
        return telling.after(carried)

    async def _judge(self, signal: Signal, cmd: str, answer: Answer) -> None:
        with _guard(cmd):
            try:
                told = await self._judged(signal, cmd)
                if signal.then and cmd == _ANSWER and told and isinstance(told[0], Accepted):
                    grant = self._grant(signal)
                    if grant is not None:  # else the candidates behind the answer are asked about next
                        told += await self._pass_on(signal.then, signal, grant)
                self._answer(signal, cmd, told, answer)
            except (NoAnswer, NotStored) as error:
                self._tally.note(logging.WARNING, UNANSWERED, cmd, "", cmd=cmd, error=repr(error))

    async def _judged(self, signal: Signal, cmd: str) -> list[RouterReply]:
        """Carry out what presence says; returns what the gateway is told, as far as that is known."""
        ticket = self._grants.ask(signal.user, signal.to)
        grant = back = None
        try:
            carried = self._relaying.carried(signal.user, signal.to)
            verdicts = await self._checking.verdicts(signal, cmd, carried)
            now = time.monotonic()
            told, is_all = await self._carry_out(signal, cmd, verdicts, carried)
            if is_all:
                # When all of it is published, or a candidate that the grant lets pass would overtake it.
                grant = _granted(signal, verdicts[-1], now)
                back = _granted_back(signal, verdicts[-1], now)
            return told
        finally:
            self._grants.answered(ticket, grant, back)

    def _answer(self, signal: Signal, cmd: str, answers: list[RouterReply], answer: Answer) -> None:
        """Say what became of a signal and of those that follow it, as far as that is known."""
        if not answers:
            self._tally.note(logging.WARNING, UNANSWERED, cmd, "", cmd=cmd, error="not stored")
        elif signal.then:
            answer(Answers(tuple(answers)))
        else:
            answer(answers[0])

    async def _carry_out(
        self, signal: Signal, cmd: str, verdicts: tuple[Verdict, ...], carried: tuple[Release, ...]
    ) -> tuple[list[RouterReply], bool]:
        """Deliver what is to be delivered; returns what the gateway is told, and whether that is all."""
        telling = Telling()
        releases: list[Release] = []
        for frame, verdict in zip((signal.frame, *signal.then), verdicts, strict=False):
            if isinstance(verdict, Relay):
                accepted = Accepted(
                    verdict.ack,
                    call=verdict.call,
                    target=verdict.target,
                    tells=verdict.tells,
                    kept_s=verdict.kept_s,
                )
                telling.add(accepted, parcels_of(verdict, frame))
                releases += verdict.releases
            elif isinstance(verdict, Refused) and await self._is_retry(signal, frame, cmd):
                telling.add(RELAYED)
            else:
                telling.add(verdict)
        relaying, stored = self._relaying, signal.stored
        done = await relaying.carry(telling.parcels, stored=stored, is_repeated=bool(carried))
        is_all = done.outcome is Outcome.STORED
        if is_all:
            relaying.note_releases(signal.user, signal.to, tuple(releases), stored=stored)
        return telling.after(done), is_all

    async def _is_retry(self, signal: Signal, frame: bytes, cmd: str) -> bool:
        """Whether what is refused was relayed before its call ended: then it is a retry, answered as one.

        Presence remembers the signals that change a negotiation; a candidate of an established one, and what
        an end of a call says of itself, changes nothing, and only the mailbox has had it.
        """
        is_remembered = frame is signal.frame and cmd not in _UNREMEMBERED
        return not is_remembered and await self._relaying.was_stored(signal.to, frame)


def _guard(cmd: str) -> Guard:
    """Keep a bug that one signal meets from the others of its pack, and from the process."""
    return bug_guard(_log, "signal unanswered: a bug", cmd=cmd)


def _is_followed_well(signal: Signal) -> bool:
    """Whether what follows a signal are candidates of the same user for the same one."""
    return all(is_from(frame, _CANDIDATE, signal.user, signal.to) for frame in signal.then)


def _granted(signal: Signal, verdict: Verdict, now: float) -> Grant | None:
    if not isinstance(verdict, Relay) or not verdict.grant_seconds:
        return None
    target = next((each.session for each in verdict.deliveries if each.user == signal.to), None)
    if target is None:
        return None
    until, held = now + verdict.grant_seconds, frozenset(verdict.grant_held)
    return Grant(signal.session, target, until, held, verdict.call, connection=signal.connection)


def _granted_back(signal: Signal, verdict: Verdict, now: float) -> Grant | None:
    """Find what lets the target's candidates pass, while what must come before them is known to be stored."""
    if not isinstance(verdict, Relay) or verdict.grant_back is None:
        return None
    back, seconds = verdict.grant_back, verdict.grant_seconds
    until = now + (seconds if signal.stored else min(seconds, SENT_S))
    held = frozenset(back.held)
    return Grant(back.session, signal.session, until, held, verdict.call, connection=back.connection)
