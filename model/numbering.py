"""A scenario in numbers, and what presence says to it: its own code, asked once for each question.

Users, frames, pairs and verdicts are numbered, so that a state is a few small numbers. Pure.
"""

import functools
import itertools
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from model.design import Design
from model.scenario import FIRST, Message, Scenario
from model.side import Grant
from presence.rules import negotiation, series
from presence.rules.change import Change, Facts, Gathered
from presence.rules.gathered import gathered
from presence.rules.granting import GRANTED
from presence.rules.negotiated import NOTHING, Negotiation
from presence.rules.negotiation import Incoming
from presence.rules.signals import Terms, check
from presence.rules.user import Membership, Session, User
from tieline.wire import digests
from tieline.wire.ids import (
    NO_CALL,
    CallId,
    ConnectionId,
    FrameDigest,
    GatewayId,
    RoomId,
    SecretHash,
    SessionId,
    UserId,
)
from tieline.wire.internal.signals import Check, Relay
from tieline.wire.subjects import Keys

NOW: Final = 1_000_000
"""Unix milliseconds. The model's time stands still: all of it happens well within the shortest memory."""

TERMS: Final = Terms("hold", 60.0)

NOBODY: Final = SessionId("of nobody")
"""A session that never lives: what is remembered for it is delivered to nobody."""

COMMANDS: Final = {
    "offer": "WEBRTC_OFFER",
    "answer": "WEBRTC_ANSWER",
    "candidate": "WEBRTC_ICE_CANDIDATE",
    "hangup": "WEBRTC_HANGUP",
    "info": "WEBRTC_INFO",
}


class Frame(NamedTuple):
    """One frame, by the numbers of its users."""

    sender: int
    target: int
    name: str
    check: Check
    rank: int
    """Its place among its sender's frames for this target, as they must arrive."""
    once_heard: int
    """The number of a frame, or -1; so is the next."""
    exchange: int
    outcome: str
    names_call: bool
    """Once refused, it is refused for ever, so that its sender may go on."""
    parts: tuple[int, ...]
    """The frames that go together as this one; of one that goes alone itself."""

    @property
    def is_candidate(self) -> bool:
        """Whether routers may relay it on a grant."""
        return self.check.cmd == COMMANDS["candidate"]

    @property
    def may_grant(self) -> bool:
        """Whether what presence says of it may let routers relay others unasked."""
        return self.check.cmd in GRANTED or bool(self.check.then)

    @property
    def behind(self) -> tuple[int, ...]:
        """The candidates that an answer lets pass, which presence is not asked about."""
        return self.parts[1:] if self.check.cmd == COMMANDS["answer"] else ()

    @property
    def is_remembered(self) -> bool:
        """Whether presence knows a retry; of candidates that pass, and of INFOs, nothing is written."""
        return self.check.cmd not in (COMMANDS["candidate"], COMMANDS["info"])

    @property
    def ends(self) -> bool:
        """Whether it ends every grant."""
        return self.check.cmd == COMMANDS["hangup"]


class Verdict(NamedTuple):
    """What presence says about a frame, by numbers."""

    frames: tuple[int, ...]
    """To be delivered, in this order, each to its target."""
    writes: int = -1
    """The pair to commit first; -1: none."""
    grants: tuple[Grant, ...] = ()
    """For whom the router may go on unasked."""
    refused: str = ""


class Numbering:
    """A scenario in numbers, and what presence says to everything in it."""

    def __init__(self, scenario: Scenario, design: Design) -> None:
        self.scenario = scenario
        self.design = design
        names = dict.fromkeys(
            name for message in scenario.messages for name in (message.sender, message.target)
        )
        self.users: Final = tuple(names)
        alone = _frames(scenario, self.users, design.names_calls)
        self.programs: Final = tuple(
            tuple(number for number, frame in enumerate(alone) if frame.sender == user)
            for user in range(len(self.users))
        )
        self.frames: Final = (*alone, *_series(alone, self.programs, is_apart=scenario.is_apart))
        self.together: Final = {frame.parts: number for number, frame in enumerate(self.frames)}
        """By the frames that go together: the number that they have together."""
        self.gateways: Final = tuple(
            tuple(self.users.index(name) for name in names.split()) for names in scenario.gateways
        )
        self.may_lose: Final = self.users.index(scenario.may_lose)
        self._records = tuple(_online(name) for name in self.users)
        self._by_digest = {frame.check.digest: number for number, frame in enumerate(alone)}
        self._by_bytes = {frame.check.frame: number for number, frame in enumerate(alone)}
        self.pairs: Final[list[Negotiation]] = []
        self._numbers: dict[Negotiation, int] = {}
        self._judged: dict[tuple[int, int], Verdict] = {}
        keys = [self._key(frame) for frame in self.frames]
        self.sides: Final = tuple(dict.fromkeys(keys))
        self.side_of: Final = tuple(self.sides.index(key) for key in keys)

    def _key(self, frame: Frame) -> str:
        return Keys.pair(frame.check.user, frame.check.to)

    def first_pairs(self) -> tuple[int, ...]:
        """Number what is negotiated at the beginning, for each side."""
        pairs = dict.fromkeys(self.sides, NOTHING)
        for offerer, target in (*self.scenario.offered, *self.scenario.established):
            one, other = UserId(offerer), UserId(target)
            before = _before(one, other)
            pair = negotiation.offer(NOTHING, before).negotiation
            if (offerer, target) in self.scenario.established:
                answer = before._replace(sender=other, target=one, session=_session(offerer))
                step = negotiation.answer(pair, answer)
                assert isinstance(step, negotiation.Outcome)
                pair = step.negotiation
            pairs[Keys.pair(one, other)] = pair
        return tuple(self._number(pairs[key]) for key in self.sides)

    def _number(self, pair: Negotiation) -> int:
        number = self._numbers.get(pair)
        if number is None:
            number = self._numbers[pair] = len(self.pairs)
            self.pairs.append(pair)
        return number

    def judge(self, pair: int, number: int) -> Verdict:
        """Ask presence about a frame, given what it has read of the pair."""
        verdict = self._judged.get((pair, number))
        if verdict is None:
            verdict = self._judged[pair, number] = self._ask(pair, number)
        return verdict

    def remembers(self, pair: int, number: int) -> bool:
        """Whether a frame is accepted and remembered: then presence writes nothing for it any more."""
        checks = (self.frames[part].check for part in self.frames[number].parts)
        return all(self.pairs[pair].memory_of(check.user, check.digest, NOW) for check in checks)

    def _ask(self, pair: int, number: int) -> Verdict:
        frame = self.frames[number]
        before = self.pairs[pair]
        users = {frame.check.user: self._records[frame.sender], frame.check.to: self._records[frame.target]}
        rules = [functools.partial(check, one, TERMS) for one in series.one_by_one(frame.check)]
        judgement = gathered(rules)(before, users, Facts(NOW))
        assert isinstance(judgement, Change)
        reply = judgement.reply
        verdicts = series.answered(reply.replies if isinstance(reply, Gathered) else (reply,)).verdicts
        if not all(isinstance(verdict, Relay) for verdict in verdicts):
            return Verdict((), refused=repr(reply))
        frames = [
            part if delivery.frame is None else self._by_bytes[delivery.frame]
            for part, verdict in zip(frame.parts, verdicts, strict=not frame.behind)
            if isinstance(verdict, Relay)
            for delivery in verdict.deliveries
        ]
        verdict = verdicts[-1]
        assert isinstance(verdict, Relay)
        after = None if judgement.record is None else self._written(judgement.record)
        if not self.design.repeats_released and number in frames:
            frames = frames[frames.index(number) :]
        return Verdict(
            tuple(frames),
            -1 if after is None else self._number(after),
            tuple(self._grants(frame.check, verdict)),
        )

    def _grants(self, asked: Check, verdict: Relay) -> Iterator[Grant]:
        """List what comes with a verdict: a grant for the sender, and with an answer one for its target."""
        if not verdict.grant_seconds:
            return
        back = verdict.grant_back
        for user, held in ((asked.user, verdict.grant_held), (asked.to, None if back is None else back.held)):
            if held is not None:
                yield Grant(self.users.index(user), tuple(self._by_digest[digest] for digest in held))

    def _written(self, pair: Negotiation) -> Negotiation:
        """Plant a bug, if one is to be planted in what is kept beyond an answer, or beyond the end."""
        if self.design.keeps_released == "never" or (
            self.design.keeps_released == "while it lasts" and not pair.is_active
        ):
            waiting = tuple(held for held in pair.held if held.released_by is None)
            pair = msgspec.structs.replace(pair, held=waiting)
        if self.design.repeats == "while it lasts" and not pair.is_active:
            *before, newest = pair.remembered
            silent = (msgspec.structs.replace(known, session=NOBODY) for known in before)
            pair = msgspec.structs.replace(pair, remembered=(*silent, newest))
        return pair


def _series(
    alone: tuple[Frame, ...], programs: tuple[tuple[int, ...], ...], *, is_apart: bool
) -> list[Frame]:
    """List what may go together: candidates of one sender that follow each other, or its offer or answer."""
    found = []
    for program in programs:
        for start, end in itertools.combinations(range(len(program) + 1), 2):
            parts = program[start:end]
            frames = [alone[part] for part in parts]
            first = frames[0]
            is_one = len({(frame.target, frame.check.call, frame.once_heard) for frame in frames}) == 1
            others = () if is_apart else (COMMANDS["offer"], COMMANDS["answer"])
            begins = first.is_candidate or first.check.cmd in others
            follow = all(frame.is_candidate for frame in frames[1:])
            if len(parts) < 2 or not is_one or not begins or not follow:
                continue
            then = tuple(frame.check.frame for frame in frames[1:])
            name = f"{first.name} and {len(then)} more"
            check = msgspec.structs.replace(first.check, then=then)
            found.append(first._replace(name=name, check=check, parts=parts))
    return found


def _before(offerer: UserId, target: UserId) -> Incoming:
    """The offer with which a call began that there is at the beginning."""
    return Incoming(offerer, target, _session(target), FrameDigest(b"before"), NOW, sent_in=_session(offerer))


def _content(message: Message) -> bytes:
    return f"{message.name} for {message.target}".encode()


def _calls(scenario: Scenario) -> dict[str, CallId]:
    """Find the ids of the calls that messages may name, by what they call them."""
    offers = {}
    for one, other in (*scenario.offered, *scenario.established):
        offers[FIRST] = _before(UserId(one), UserId(other))
    for message in scenario.messages:
        one, to, digest = UserId(message.sender), UserId(message.target), digests.digest(_content(message))
        offers[message.name] = Incoming(one, to, _session(to), digest, NOW, sent_in=_session(one))
    return {name: negotiation.offer(NOTHING, incoming).call for name, incoming in offers.items()}


def _frames(scenario: Scenario, users: tuple[str, ...], names_calls: bool) -> tuple[Frame, ...]:
    calls = _calls(scenario) if names_calls else {}
    names = [message.name for message in scenario.messages]
    ranks = {name: rank for order in scenario.order for rank, name in enumerate(order)}
    frames: list[Frame] = []
    for message in scenario.messages:
        content = _content(message)
        cmd = COMMANDS[message.what.rstrip("0123456789")]
        check = Check(
            UserId(message.sender),
            _session(message.sender),
            UserId(message.target),
            cmd,
            digests.digest(content),
            content if cmd == COMMANDS["candidate"] else b"",
            calls.get(message.call, NO_CALL),
        )
        frames.append(
            Frame(
                users.index(message.sender),
                users.index(message.target),
                message.name,
                check,
                ranks[message.name],
                names.index(message.once_heard) if message.once_heard else -1,
                names.index(message.exchange) if message.exchange else -1,
                message.outcome,
                bool(message.call),
                (len(frames),),
            )
        )
    return tuple(frames)


def _session(name: str) -> SessionId:
    return SessionId(f"session of {name}")


def _online(name: str) -> User:
    connected = GatewayId("gateway"), ConnectionId("connection")
    session = Session(_session(name), *connected, SecretHash(b"secret"), "online", tells=True, is_named=True)
    return User((session,), voice=True, rooms={RoomId("room"): Membership(NOW, 1)})
