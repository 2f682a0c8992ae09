"""One user's sessions, when any request may arrive arbitrarily late: every state that can follow. Pure.

A user's clients connect, reload, join and leave, on two gateways that ask presence. What was sent again, or
given up, may be carried out at any later step, once more or for the first time: it is never taken out of the
network. Presence's decisions are its own code (`presence.rules`), with the record and its revision; what the
gateways do is written down here again: as of which revision they ask, which number they give, when they ask
anew, and that they tell of the end of what they have given up.
"""

import functools
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

import msgspec

from model.explore import Found, visit
from presence.rules import room, session
from presence.rules.change import Change, Facts, ListRoom, Prepare, Rule
from presence.rules.user import User, stamped
from tieline.wire.ids import ConnectionId, GatewayId, RoomId, SecretHash, SessionId, UserId
from tieline.wire.internal import codec
from tieline.wire.internal.answers import Done, Outdated, SessionGone
from tieline.wire.internal.rooms import JoinRoom, LeaveRoom
from tieline.wire.internal.sessions import EndSession, Opened, OpenSession, Register
from tieline.wire.subjects import Keys

NOW: Final = 1_000_000
USER: Final = UserId("ruth")
ROOM: Final = RoomId("hall")
WINDOW_S: Final = 30.0
SECRET: Final = SecretHash(b"secret")
NONE: Final = SecretHash(b"")

Kind = Literal["open", "resume", "register", "join", "leave", "close", "lose"]
Ask = OpenSession | EndSession | Register | JoinRoom | LeaveRoom

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(User).decode


class Does(NamedTuple):
    """What the user's gateways are made to ask next."""

    kind: Kind
    connection: str
    gateway: str = "g1"


class Fence(NamedTuple):
    """What the requests say of their order; without one of these something must break."""

    openings: bool = True
    """As of which revision they were asked."""
    numbers: bool = True
    """Their connection, and their number."""
    ends: bool = True
    """That they are to be remembered."""


class Call(NamedTuple):
    """One request in the network."""

    step: int
    """Of the program."""
    payload: bytes
    is_awaited: bool = True
    is_repeated: bool = False
    """It was sent again: then it stays in the network when it is answered."""

    @property
    def ask(self) -> Ask:
        """What is asked."""
        request = codec.decode_presence_request(self.payload)
        assert isinstance(request, Ask)
        return request


class State(NamedTuple):
    """All there is."""

    at: int = 0
    """Steps of the program that have begun."""
    record: bytes = b""
    revision: int = 10
    known: int = 10
    """The revision that the gateways know of."""
    number: int = 0
    network: tuple[Call, ...] = ()
    copies: int = 0
    """How often something was carried out for which nobody waited."""
    here: str = ""
    """The newest connection that has its session, as far as its client knows; "": none."""
    in_room: bool | None = None
    """What the newest connection was told last; None: nothing that could be held to."""


class Late(NamedTuple):
    """A program, and how often what was asked may arrive unawaited."""

    program: tuple[Does, ...]
    fence: Fence = Fence()
    copies: int = 3
    breaks: str = ""
    """Words of the promise that must break; "": none may."""

    def explore(self) -> Found:
        """Visit every state, nearest first, or all up to the first in which a promise breaks."""
        return visit(State(), self._steps, self._fault, self.breaks)

    def _steps(self, state: State) -> Iterator[tuple[str, State]]:
        awaited = [call for call in state.network if call.is_awaited]
        if not awaited and state.at < len(self.program):
            does = self.program[state.at]
            yield f"{does.kind} of {does.connection} is asked", self._asked(state, state.at, does)
        for call in state.network:
            if call.is_awaited or state.copies < self.copies:
                yield self._carried_out(state, call)
            if call.is_awaited:
                yield f"{_name(call.ask)} is given up", self._given_up(state, call)
            if call.is_awaited and not call.is_repeated:
                yield f"{_name(call.ask)} is sent again", _with(state, call, call._replace(is_repeated=True))

    def _asked(self, state: State, step: int, does: Does) -> State:
        """Let a gateway ask for a step of the program."""
        state = state._replace(at=max(state.at, step + 1))
        number = state.number
        asked = state.known if self.fence.openings else 0
        connection = ConnectionId(does.connection)
        mine = connection if self.fence.numbers else ConnectionId("")
        where = GatewayId(does.gateway)
        session_id = SessionId(f"of-{does.connection}") if does.kind == "open" else _session_of(state)
        match does.kind:
            case "open" | "resume":
                resume = SECRET if does.kind == "resume" else NONE
                ask: Ask = OpenSession(
                    USER,
                    SessionId(f"of-{connection}"),
                    where,
                    connection,
                    True,
                    (),
                    SECRET,
                    resume,
                    None,
                    asked=asked,
                )
                state = state._replace(number=0, here="", in_room=None)
            case "register":
                ask = Register(
                    USER, session_id, where, connection, True, {}, SECRET, asked=asked, number=number
                )
            case "join":
                ask = JoinRoom(USER, session_id, ROOM, connection=mine, number=number if mine else 0)
            case "leave":
                ask = LeaveRoom(USER, session_id, ROOM, connection=mine, number=number if mine else 0)
            case "close" | "lose":
                told = state.known if self.fence.ends else 0
                ask = EndSession(USER, connection, does.kind == "lose", asked=told)
                state = state._replace(here="", in_room=None)
        if does.kind in ("join", "leave"):
            state = state._replace(in_room=None)
        return state._replace(network=(*state.network, Call(step, codec.encode(ask))))

    def _given_up(self, state: State, call: Call) -> State:
        """Let a gateway wait no more. Of what it has not heard to have begun it tells the end."""
        if isinstance(call.ask, EndSession):  # it is told for as long as it takes
            return state
        after = _with(state, call, call._replace(is_awaited=False))._replace(number=state.number + 1)
        if isinstance(call.ask, OpenSession):
            end = Does("lose" if call.ask.resume else "close", call.ask.connection)
            return self._asked(after, call.step, end)
        return after

    def _carried_out(self, state: State, call: Call) -> tuple[str, State]:
        record = _decode(state.record) if state.record else None
        reply, changed, revision = _decide(call.ask, record, state.revision)
        after = state._replace(record=b"" if changed is None else _encode(changed), revision=revision)
        label = f"{_name(call.ask)} is carried out: {type(reply).__name__}"
        if not call.is_awaited:
            return f"{label}, for nobody", after._replace(copies=state.copies + 1)
        if call.is_repeated:
            after = _with(after, call, call._replace(is_awaited=False))._replace(number=after.number + 1)
        else:
            after = _with(after, call)
        match reply:
            case Outdated():
                again = after._replace(known=revision, number=after.number + 1)
                does = self.program[call.step]
                if isinstance(call.ask, EndSession):
                    does = Does("close", call.ask.connection)
                return f"{label}, and it is asked anew", self._asked(again, call.step, does)
            case Opened() if isinstance(call.ask, OpenSession):
                return label, after._replace(known=revision, here=call.ask.connection)
            case SessionGone():
                return label, after._replace(here="", in_room=None)
            case _ if isinstance(call.ask, JoinRoom | LeaveRoom):
                return label, after._replace(in_room=isinstance(call.ask, JoinRoom))
            case _:
                return label, after

    def _fault(self, state: State) -> str:
        """Say which promise is broken."""
        record = _decode(state.record) if state.record else None
        if any(call.is_awaited for call in state.network):
            return ""
        if state.here:
            if record is None or record.session.status != "online" or record.session.connection != state.here:
                return f"{state.here} is the newest connection, and has lost its session"
            if state.in_room is not None and (ROOM in record.rooms) != state.in_room:
                return f"the user was told that it {'is' if state.in_room else 'is not'} in the room"
        elif record is not None and record.session.status == "online":
            return f"{record.session.connection} is a ghost: online, and gone"
        return ""


def _decide(ask: Ask, record: User | None, revision: int) -> tuple[object, User | None, int]:
    """Let presence carry out a request; returns the reply, the record after it, and its revision."""
    rule: Rule[User] = _rule_of(ask)
    leases = {Keys.lease_timer(GatewayId(gateway)): (b"run", 1) for gateway in ("g1", "g2")}
    while True:
        facts = Facts(NOW, revision=revision, read=leases)
        step = rule(record, {}, facts)
        if isinstance(step, Prepare):
            revision += 1
            entries = dict.fromkeys(step.rooms, revision)
            step = rule(record, {}, facts._replace(prepared=step, note=revision, entries=entries))
        assert isinstance(step, Change)
        if step.record is not None:
            revision += 1
            record = stamped(msgspec.structs.replace(step.record, pending=()), revision)
        if step.then is None:
            return Done() if isinstance(step.reply, ListRoom) else step.reply, record, revision
        rule = step.then


def _rule_of(ask: Ask) -> Rule[User]:
    match ask:
        case OpenSession():
            return functools.partial(session.open_session, ask)
        case EndSession():
            return functools.partial(session.lose_connection, ask, WINDOW_S)
        case Register():
            return functools.partial(session.register, ask)
        case JoinRoom():
            return functools.partial(room.join, ask)
        case LeaveRoom():
            return functools.partial(room.leave, ask)


def _with(state: State, call: Call, *instead: Call) -> State:
    """Replace a request in the network, or take it out."""
    others = (each for each in state.network if each is not call)
    return state._replace(network=tuple(dict.fromkeys((*others, *instead))))


def _session_of(state: State) -> SessionId:
    known = _decode(state.record).session.id if state.record else SessionId("")
    return known or SessionId("none")


def _name(ask: Ask) -> str:
    who = getattr(ask, "connection", "") or "the client"
    return f"{type(ask).__name__} of {who}"


RELOADS: Final = (
    Does("open", "c1"),
    Does("close", "c1"),
    Does("open", "c2", "g2"),
    Does("close", "c2", "g2"),
)
RESUMES: Final = (
    Does("open", "c1"),
    Does("lose", "c1"),
    Does("resume", "c2", "g2"),
    Does("lose", "c2"),
    Does("open", "c3"),
)
ROOMS: Final = (Does("open", "c1"), Does("join", "c1"), Does("leave", "c1"), Does("join", "c1"))
REGISTERS: Final = (
    Does("open", "c1"),
    Does("register", "c1"),
    Does("lose", "c1"),
    Does("resume", "c2", "g2"),
)

LATE_PROOFS: Final = {
    "late: a page that is reloaded": Late(RELOADS),
    "late: a session that is resumed, and replaced": Late(RESUMES, copies=2),
    "late: a room that is joined and left": Late(ROOMS),
    "late: a session that is registered again": Late(REGISTERS),
}
"""No promise breaks, whatever arrives how late."""

LATE_PLANTED: Final = {
    "openings-without-an-order": Late(RELOADS, Fence(openings=False), breaks="ghost"),
    "the-newest-replaced": Late(RELOADS, Fence(openings=False), breaks="lost its session"),
    "requests-without-a-number": Late(ROOMS, Fence(numbers=False), breaks="in the room"),
    "ends-that-are-forgotten": Late(REGISTERS[:3], Fence(ends=False), breaks="ghost"),
}
"""One thing left out each. Each must be found."""
