"""What a backend orders about one member, when any copy of any order may stand still anywhere. Pure.

A backend orders that a user be added to a room, or removed, asks again under the same name, and gives up and
orders something else. What has begun goes on at any later step, or dies. What is decided is presence's own
code (`presence.rules`), on a standing, a user's record and what stands under each order's name, each written
by compare-and-set; in which order they are read and written is written down here again
(`presence.moderation`, `presence.standings`, `presence.once`). The user is away, so that presence puts it in
by itself. Meanwhile the room is full, or has room again.
"""

import functools
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple, TypeVar

import msgspec

from model.explore import Found, visit
from presence.record_codec import encode
from presence.rules import moderation
from presence.rules import standing as standings
from presence.rules.change import Change, Facts, Prepare, Rule
from presence.rules.giving import given, taken_back
from presence.rules.orders import (
    OVERTAKEN,
    Named,
    Place,
    answer_in,
    encode_named,
    in_place,
    of_room,
    read_named,
)
from presence.rules.standing import Standing, in_turn, take
from presence.rules.user import Session, User
from tieline.wire.ids import ConnectionId, GatewayId, RoomId, SecretHash, SessionId, UserId
from tieline.wire.internal import codec
from tieline.wire.internal.answers import Refused
from tieline.wire.internal.backend import Affected
from tieline.wire.subjects import Keys

NOW: Final = 1_000_000
USER: Final = UserId("ruth")
ROOM: Final = RoomId("hall")
MOST: Final = 9
"""Rooms that a user is given."""

CLAIMS: Final = 2
"""As `presence.once.CLAIMS`."""

AWAY: Final = encode(
    User((Session(SessionId("s"), GatewayId("g"), ConnectionId("c"), SecretHash(b"x"), "away"),), True, {})
)

Kind = Literal["add", "remove"]
Stage = Literal[
    "claim", "read standing", "look", "write standing", "read record", "decide", "write record",
    "read gift", "take back", "read refused", "write refused", "keep",
]  # fmt: skip
Answer = Affected | Refused

_read_user = msgspec.msgpack.Decoder(User).decode


class Stored(NamedTuple):
    """A record, and its revision."""

    value: bytes = b""
    revision: int = 0


class Marks(NamedTuple):
    """By what orders, and copies of one, are told apart; without one of these something must break."""

    numbers: bool = True
    """A later order has a higher one."""
    claims: bool = True
    """A copy looks whether it is the last that has begun."""
    gifts: bool = True
    """A standing says which copy has given."""
    touches: bool = True
    """A record is written also where nothing of it changes."""
    kept: bool = True
    """All are answered what is kept."""


class Copy(NamedTuple):
    """One process that carries out an order, and what it has read."""

    order: int
    stage: Stage = "claim"
    claims: int = 0
    claim: int = 0
    found: Stored = Stored()
    """Of what it is about to write."""
    after: bytes | None = None
    """What it is about to write; None: nothing."""
    reply: Answer = OVERTAKEN
    refused: Refused = OVERTAKEN
    """Why the user was not put in, before that is looked at once more."""


class State(NamedTuple):
    """All there is."""

    standing: Stored = Stored()
    record: Stored = Stored(AWAY, 1)
    names: tuple[Stored, ...] = ()
    """What stands under the name of each order that has begun."""
    answers: tuple[tuple[Answer, ...], ...] = ()
    """What the backend was told of each."""
    asked_again: int = 0
    """How often it has asked again for the newest."""
    is_full: bool = False
    turns: int = 0
    deaths: int = 0
    copies: tuple[Copy, ...] = ()


class Orders(NamedTuple):
    """What the backend orders, one after the other, and what may happen meanwhile."""

    program: tuple[Kind, ...]
    marks: Marks = Marks()
    is_full: bool = False
    turns: int = 1
    deaths: int = 0
    asks_again: bool = True
    breaks: str = ""
    """Words of the promise that must break; "": none may."""

    def explore(self) -> Found:
        """Visit every state, nearest first, or all up to the first in which a promise breaks."""
        return visit(State(is_full=self.is_full), self._steps, self._fault, self.breaks)

    def _steps(self, state: State) -> Iterator[tuple[str, State]]:
        newest = len(state.names)
        if newest < len(self.program):
            begun = state._replace(
                names=(*state.names, Stored()), answers=(*state.answers, ()), asked_again=0
            )
            yield f"the backend orders {self._name(newest)}", _with(begun, None, Copy(newest))
        if self.asks_again and newest and not state.asked_again and not state.answers[-1]:
            again = _with(state._replace(asked_again=1), None, Copy(newest - 1))
            yield f"the backend asks again for {self._name(newest - 1)}", again
        if state.turns < self.turns:
            label = "has room again" if state.is_full else "is full"
            yield f"the room {label}", state._replace(is_full=not state.is_full, turns=state.turns + 1)
        for copy in dict.fromkeys(state.copies):
            label = f"a copy of {self._name(copy.order)}"
            if state.deaths < self.deaths:
                yield f"{label} dies", _with(state._replace(deaths=state.deaths + 1), copy)
            yield f"{label}: {copy.stage}", self._step(state, copy)

    def _name(self, order: int) -> str:
        return f"{self.program[order]} {order + 1}"

    def _place(self, copy: Copy) -> Place:
        number = NOW * 1000 + (copy.order if self.marks.numbers else 0)
        claim = copy.claim if self.marks.claims else 0
        return Place(USER, of_room(ROOM), number, _once(copy.order), claim, ROOM)

    def _step(self, state: State, copy: Copy) -> State:
        match copy.stage:
            case "claim":
                return self._claim(state, copy)
            case "read standing":
                return _with(state, copy, copy._replace(stage="look", found=state.standing))
            case "look":
                is_over = answer_in(*state.names[copy.order], self._place(copy).claim) is not None
                return _with(state, copy, copy._replace(stage="keep" if is_over else "write standing"))
            case "write standing":
                return self._write_standing(state, copy)
            case "read record":
                return _with(state, copy, copy._replace(stage="decide", found=state.record))
            case "decide":
                return self._decide(state, copy)
            case "write record" | "write refused":
                return self._write_record(state, copy)
            case "read gift":
                return _with(state, copy, copy._replace(stage="take back", found=state.standing))
            case "take back":
                return self._take_back(state, copy)
            case "read refused":
                return self._refuse(state, copy)
            case "keep":
                return self._keep(state, copy)

    def _claim(self, state: State, copy: Copy) -> State:
        """Claim the name: whatever claim there is may have run out."""
        named = read_named(state.names[copy.order].value)
        if named is not None and named.answer:
            return self._told(state, copy, _answer(named))
        if copy.claims == CLAIMS:
            return _with(state, copy)
        claimed = Stored(encode_named(Named(b"", b"")), state.names[copy.order].revision + 1)
        state = state._replace(names=_at(state.names, copy.order, claimed))
        claims, claim = copy.claims + 1, claimed.revision
        return _with(state, copy, Copy(copy.order, "read standing", claims, claim))

    def _write_standing(self, state: State, copy: Copy) -> State:
        before, place = _standing(copy.found), self._place(copy)
        if self.program[copy.order] == "add":
            gift = place if self.marks.gifts else place._replace(claim=0)
            after = given(before, ROOM, gift, MOST, NOW)
        else:
            numbered = in_turn(before, place.what, place.number, NOW)
            after = OVERTAKEN if numbered is None else take(numbered, ROOM, 0, NOW)
        if isinstance(after, Refused):
            return _with(state, copy, copy._replace(stage="keep", reply=after, found=Stored()))
        if after != before and copy.found != state.standing:
            return _with(state, copy, copy._replace(stage="read standing", found=Stored()))
        if after != before:
            state = state._replace(standing=Stored(encode(after), state.standing.revision + 1))
        return _with(state, copy, copy._replace(stage="read record", found=Stored()))

    def _decide(self, state: State, copy: Copy) -> State:
        """Decide about the record that was read, by what stands beside it now."""
        does = moderation.put_in if self.program[copy.order] == "add" else moderation.put_out
        rule: Rule[User] = in_place(self._place(copy), functools.partial(does, ROOM))
        read = {
            Keys.standing(USER): state.standing,
            Keys.once(_once(copy.order)): state.names[copy.order],
            Keys.closing(ROOM): Stored(),
        }
        facts, user = Facts(NOW, revision=copy.found.revision, read=read), _read_user(copy.found.value)
        step = rule(user, {}, facts)
        if isinstance(step, Prepare):
            entries = {} if state.is_full else {ROOM: 1}
            step = rule(user, {}, facts._replace(prepared=step, entries=entries))
        assert isinstance(step, Change)
        return _with(state, copy, self._about_to_write(copy, step, "write record"))

    def _about_to_write(self, copy: Copy, step: Change[User], stage: Stage) -> Copy:
        assert isinstance(step.reply, Affected | Refused)
        after = None if step.record is None else encode(msgspec.structs.replace(step.record, pending=()))
        if after == copy.found.value and not self.marks.touches:
            after = None
        return copy._replace(stage=stage, after=after, reply=step.reply)

    def _write_record(self, state: State, copy: Copy) -> State:
        is_refused = copy.stage == "write refused"
        if copy.after is not None and copy.found != state.record:
            again: Stage = "read refused" if is_refused else "read record"
            return _with(state, copy, copy._replace(stage=again, after=None, found=Stored()))
        if copy.after is not None:
            state = state._replace(record=Stored(copy.after, state.record.revision + 1))
        after = copy._replace(stage="keep", after=None, found=Stored())
        if isinstance(copy.reply, Refused) and not is_refused and self.program[copy.order] == "add":
            after = after._replace(stage="read gift", refused=copy.reply)
        elif is_refused and isinstance(copy.reply, Affected):  # another copy has put it in meanwhile
            after = after._replace(stage="read standing")
        return _with(state, copy, after)

    def _take_back(self, state: State, copy: Copy) -> State:
        place = self._place(copy)
        gift = place if self.marks.gifts else place._replace(claim=0)
        after = taken_back(_standing(copy.found), ROOM, gift, NOW)
        if after is not None and copy.found != state.standing:
            return _with(state, copy, copy._replace(stage="read gift", found=Stored()))
        if after is not None:
            state = state._replace(standing=Stored(encode(after), state.standing.revision + 1))
        return _with(state, copy, copy._replace(stage="read refused", found=Stored()))

    def _refuse(self, state: State, copy: Copy) -> State:
        reads = copy._replace(found=state.record)
        step = moderation.not_put_in(ROOM, copy.refused, _read_user(state.record.value), {}, Facts(NOW))
        assert isinstance(step, Change)
        return _with(state, copy, self._about_to_write(reads, step, "write refused"))

    def _keep(self, state: State, copy: Copy) -> State:
        name = state.names[copy.order]
        if name.revision == copy.claim:
            kept = Stored(encode_named(Named(b"", codec.encode(copy.reply))), name.revision + 1)
            return self._told(state._replace(names=_at(state.names, copy.order, kept)), copy, copy.reply)
        if not self.marks.kept:
            return self._told(state, copy, copy.reply)
        return _with(state, copy, Copy(copy.order, claims=copy.claims))

    def _told(self, state: State, copy: Copy, answer: Answer) -> State:
        told = tuple(dict.fromkeys((*state.answers[copy.order], answer)))
        return _with(state._replace(answers=_at(state.answers, copy.order, told)), copy)

    def _fault(self, state: State) -> str:
        """Say which promise is broken, when nothing is under way."""
        if state.copies:
            return ""
        for order, answers in enumerate(state.answers):
            if len(answers) > 1:
                return f"{self._name(order)} has two answers"
        is_given = ROOM in _standing(state.standing).given
        is_in = ROOM in _read_user(state.record.value).rooms
        for order in reversed(range(len(state.answers))):
            if not state.answers[order]:  # it may have been carried out, or not
                return ""
            if isinstance(state.answers[order][0], Affected):
                is_wanted = self.program[order] == "add"
                return _differing(f"{self._name(order)} is answered, and", is_wanted, is_given, is_in)
        return _differing("nothing was done, and", False, is_given, is_in)


def _differing(why: str, is_wanted: bool, is_given: bool, is_in: bool) -> str:
    if is_given is not is_wanted:
        return f"{why} the user is {'' if is_given else 'not '}given the room"
    if is_in is not is_wanted:
        return f"{why} the user is {'' if is_in else 'not '}in the room"
    return ""


ItemT = TypeVar("ItemT")


def _at(items: tuple[ItemT, ...], place: int, item: ItemT) -> tuple[ItemT, ...]:
    return (*items[:place], item, *items[place + 1 :])


def _with(state: State, copy: Copy | None, *after: Copy) -> State:
    """Replace a copy, take it out, or add one."""
    copies = list(state.copies)
    if copy is not None:
        copies.remove(copy)
    return state._replace(copies=tuple(sorted((*copies, *after), key=repr)))


def _standing(stored: Stored) -> Standing:
    return standings.read(stored.value) if stored.value else standings.NONE


def _answer(named: Named) -> Answer:
    answer = codec.decode_presence_reply(named.answer)
    assert isinstance(answer, Affected | Refused)
    return answer


def _once(order: int) -> str:
    return f"{order:02x}"


ORDER_PROOFS: Final = {
    "orders: added to a room that becomes full": Orders(("add",), deaths=1),
    "orders: added to a full room": Orders(("add",), is_full=True, deaths=1),
    "orders: added, then removed": Orders(("add", "remove"), deaths=1, asks_again=False),
    "orders: removed, then added": Orders(("remove", "add"), deaths=1, asks_again=False),
    "orders: added twice": Orders(("add", "add"), asks_again=False),
}
"""No promise breaks, whichever copy stands still where."""

ORDER_PLANTED: Final = {
    "orders-without-numbers": Orders(
        ("add", "remove"), Marks(numbers=False), turns=0, asks_again=False, breaks="remove 2"
    ),
    "copies-that-do-not-look": Orders(
        ("add",), Marks(claims=False, gifts=False), is_full=True, breaks="add 1"
    ),
    "gifts-without-a-mark": Orders(("add",), Marks(gifts=False), is_full=True, breaks="not given"),
    "records-left-alone": Orders(("add",), Marks(touches=False), breaks="nothing was done"),
    "answers-that-are-not-kept": Orders(("add",), Marks(kept=False), breaks="two answers"),
}
"""One thing left out each. Each must be found."""
