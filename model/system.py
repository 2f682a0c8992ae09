"""The whole system: every step that can follow a state, and what must hold when none does.

A state is a tuple of numbers: one for each client, one for each side, one for what may still go wrong. What
a number stands for, and what can follow it, is worked out once. Pure.
"""

from collections.abc import Callable, Hashable, Iterator
from functools import cache
from itertools import product
from typing import Generic, NamedTuple, TypeVar

from model.client import Client, Clients
from model.numbering import Numbering
from model.services import Services
from model.side import Side

T = TypeVar("T", bound=Hashable)

State = tuple[int, ...]


class Ills(NamedTuple):
    """What may still go wrong."""

    crashes: int = 1
    """Of one gateway, one router or one presence."""
    losses: int = 1
    """Of the receiver's connection, whose gateway lives."""
    hastes: int = 1
    """Retries of a request whose answer is only late."""


Step = tuple[str, State, str]
"""What happens, the state after it, and which promise it breaks, if it does."""


class Numbered(Generic[T]):
    """Things by number, each once."""

    def __init__(self) -> None:
        self._numbers: dict[T, int] = {}
        self._things: list[T] = []

    def __getitem__(self, number: int) -> T:
        return self._things[number]

    def number(self, thing: T) -> int:
        """Find the number of a thing, giving it one if it has none."""
        number = self._numbers.setdefault(thing, len(self._things))
        if number == len(self._things):
            self._things.append(thing)
        return number


class System:
    """Every step of a scenario that has been numbered."""

    def __init__(self, numbering: Numbering, ills: Ills) -> None:
        self._numbering = numbering
        self._ills = ills
        self._clients = Clients(numbering)
        self._services = Services(numbering)
        self._many = len(numbering.users)
        self._client: Numbered[Client] = Numbered()
        self._side: Numbered[Side] = Numbered()
        self._ill: Numbered[Ills] = Numbered()
        self._of_client = cache(self._client_steps)
        self._of_side = cache(self._side_steps)
        self._delivery = cache(self._delivery_step)
        self._telling = cache(self._telling_step)
        self._next = cache(self._next_frames)
        self._awaits = cache(self._awaited_frame)
        self._is_awaited = cache(lambda side, frame: self._services.is_awaited(self._side[side], frame))
        self._asked = cache(self._with_request)
        self._stored = cache(self._with_stored)
        self._pushed = cache(self._with_pushed)
        self._acknowledged = cache(self._with_ack)
        self._refused = cache(self._with_refusal)
        self._sent = cache(self._with_sent)
        self._impatience = cache(self._side_impatience)
        self._disconnected = cache(self._with_no_link)
        self._abandoned = cache(self._with_nobody_waiting)
        self._router_crashes = cache(self._after_router_crashes)
        self._presence_crashes = cache(self._after_presence_crashes)

    def first(self) -> State:
        """Where everything begins."""
        return (
            *(self._client.number(Client()) for _ in self._numbering.users),
            *(self._side.number(Side(pair)) for pair in self._numbering.first_pairs()),
            self._ill.number(self._ills),
        )

    def steps(self, state: State) -> list[Step]:
        """List what the system and its clients do by themselves. If it is nothing, all is said."""
        certain = self._certain(state)
        if certain is not None:
            return [certain]
        found: list[Step] = []
        for who in range(self._many):
            client = state[who]
            for label, after, fault in self._of_client(who, client):
                found.append((label, _put(state, who, after), fault))
            for frame in self._next(who, client):
                label = f"{self._numbering.users[who]} sends {self._name(frame)}"
                found.append((label, self._with_asked(state, who, self._sent(client, frame), frame), ""))
            frame = self._awaits(who, client)
            if frame >= 0 and not self._is_awaited(state[self._place(frame)], frame):
                label = f"a gateway sends {self._name(frame)} again"
                found.append((label, self._with_asked(state, who, client, frame), ""))
        for place in range(self._many, len(state) - 1):
            found.extend(self._steps_of_side(state, place))
        return found

    def _certain(self, state: State) -> Step | None:
        """Find a step that will come, whatever else does, and that changes nothing for anything else.

        Taking it at once leaves out only other orders of the same steps. It is a frame on its way to a
        client whose connection cannot be lost any more, when no other frame can overtake it; or a verdict
        on its way to a router, when none can crash and nobody asks twice.
        """
        ills = self._ill[state[-1]]
        if ills.crashes:
            return None
        for who in range(self._many):
            if not (ills.losses and who == self._numbering.may_lose):
                delivery = self._delivery(who, state[who])
                if delivery is not None:
                    label, after, fault = delivery
                    return label, _put(state, who, after), fault
        if not ills.hastes:
            for place in range(self._many, len(state) - 1):
                telling = self._telling(state[place])
                if telling is not None:
                    label, after = telling
                    return label, _put(state, place, after), ""
        return None

    def _steps_of_side(self, state: State, place: int) -> Iterator[Step]:
        for label, after, kind, number, fault in self._of_side(state[place]):
            if kind == "inside":
                yield label, _put(state, place, after), fault
                continue
            frame = self._numbering.frames[number]
            who = frame.target if kind in ("store", "push") else frame.sender
            match kind:
                case "store":
                    client = self._stored(state[who], number)
                case "push":
                    client = self._pushed(state[who], number)
                case "refuse":
                    client = self._refused(who, state[who])
                case _:
                    client = self._acknowledged(state[who], number)
            yield label, _put(_put(state, place, after), who, client), fault

    def _with_asked(self, state: State, who: int, client: int, frame: int) -> State:
        place = self._place(frame)
        return _put(_put(state, who, client), place, self._asked(state[place], frame))

    def _place(self, frame: int) -> int:
        return self._many + self._numbering.side_of[frame]

    def _name(self, frame: int) -> str:
        return self._numbering.frames[frame].name

    def why_not_done(self, state: State) -> str:
        """Say what is missing at the end; "" if nothing is."""
        clients = [self._client[state[who]] for who in range(self._many)]
        unanswered = ""
        for number, frame in enumerate(self._numbering.frames):
            if len(frame.parts) > 1:
                continue
            sender = clients[frame.sender]
            if number not in self._numbering.programs[frame.sender][: sender.at]:
                if not sender.refused:
                    unanswered = unanswered or f"{frame.name} is never acknowledged"
            elif (
                number not in clients[frame.target].got
                and number not in sender.refused
                and frame.outcome != "may be dropped"
            ):
                target = self._numbering.users[frame.target]
                return f"{frame.name} is acknowledged, and {target} never receives it"
        return unanswered

    def ills(self, state: State) -> Iterator[Step]:
        """List what may go wrong now."""
        ills = self._ill[state[-1]]
        if ills.hastes:
            yield from self._hastes(_put(state, -1, self._ill.number(ills._replace(hastes=ills.hastes - 1))))
        if ills.losses:
            after = _put(state, -1, self._ill.number(ills._replace(losses=ills.losses - 1)))
            yield from self._losses(after, (self._numbering.may_lose,), "the connection of {} is lost")
        if ills.crashes:
            after = _put(state, -1, self._ill.number(ills._replace(crashes=ills.crashes - 1)))
            for users in self._numbering.gateways:
                yield from self._losses(after, users, "the gateway of {} crashes")
            yield from self._crashes(after, self._router_crashes, "a router crashes")
            yield from self._crashes(after, self._presence_crashes, "a presence crashes")

    def _hastes(self, state: State) -> Iterator[Step]:
        for who in range(self._many):
            frame = self._awaits(who, state[who])
            if frame >= 0 and self._is_awaited(state[self._place(frame)], frame):
                label = f"a gateway sends {self._name(frame)} again, too early"
                yield label, self._with_asked(state, who, state[who], frame), ""
        for place in range(self._many, len(state) - 1):
            for label, after in self._impatience(state[place]):
                yield label, _put(state, place, after), ""

    def _losses(self, state: State, users: tuple[int, ...], label: str) -> Iterator[Step]:
        after = state
        for who in users:
            after = _put(after, who, self._disconnected(after[who]))
            for place in range(self._many, len(state) - 1):
                after = _put(after, place, self._abandoned(after[place], who))
        if after != state:
            names = " and ".join(self._numbering.users[who] for who in users)
            yield label.format(names), after, ""

    def _crashes(self, state: State, left: Callable[[int], tuple[int, ...]], label: str) -> Iterator[Step]:
        sides = state[self._many : -1]
        for after in product(*(left(side) for side in sides)):
            if after != sides:
                yield label, (*state[: self._many], *after, state[-1]), ""

    def _client_steps(self, who: int, client: int) -> list[tuple[str, int, str]]:
        moves = self._clients.moves(who, self._client[client])
        return [(move.label, self._client.number(move.after), move.fault) for move in moves]

    def _delivery_step(self, who: int, client: int) -> tuple[str, int, str] | None:
        if not self._clients.has_delivery(self._client[client]):
            return None
        (step,) = self._of_client(who, client)
        return step

    def _telling_step(self, side: int) -> tuple[str, int] | None:
        move = self._services.telling(self._side[side])
        return None if move is None else (move.label, self._side.number(move.after))

    def _next_frames(self, who: int, client: int) -> tuple[int, ...]:
        return self._clients.next_frames(who, self._client[client])

    def _awaited_frame(self, who: int, client: int) -> int:
        return self._clients.awaited(who, self._client[client])

    def _with_sent(self, client: int, frame: int) -> int:
        count = len(self._numbering.frames[frame].parts)
        return self._client.number(self._clients.sends(self._client[client], count))

    def _with_stored(self, client: int, frame: int) -> int:
        return self._client.number(self._clients.stored(self._client[client], frame))

    def _with_pushed(self, client: int, frame: int) -> int:
        return self._client.number(self._clients.pushed(self._client[client], frame))

    def _with_ack(self, client: int, frame: int) -> int:
        count = len(self._numbering.frames[frame].parts)
        return self._client.number(self._clients.acknowledged(self._client[client], count))

    def _with_refusal(self, who: int, client: int) -> int:
        return self._client.number(self._clients.refused(who, self._client[client]))

    def _with_no_link(self, client: int) -> int:
        return self._client.number(self._clients.disconnected(self._client[client]))

    def _side_steps(self, side: int) -> list[tuple[str, int, str, int, str]]:
        return [
            (label, self._side.number(after), kind, frame, fault)
            for label, after, kind, frame, fault in self._services.moves(self._side[side])
        ]

    def _side_impatience(self, side: int) -> list[tuple[str, int]]:
        moves = self._services.impatience(self._side[side])
        return [(move.label, self._side.number(move.after)) for move in moves]

    def _with_request(self, side: int, frame: int) -> int:
        return self._side.number(self._services.asked(self._side[side], frame))

    def _with_nobody_waiting(self, side: int, sender: int) -> int:
        return self._side.number(self._services.abandoned(self._side[side], sender))

    def _after_router_crashes(self, side: int) -> tuple[int, ...]:
        return tuple(self._side.number(left) for left in self._services.router_crashes(self._side[side]))

    def _after_presence_crashes(self, side: int) -> tuple[int, ...]:
        return tuple(self._side.number(left) for left in self._services.presence_crashes(self._side[side]))


def _put(state: State, place: int, number: int) -> State:
    place %= len(state)
    return (*state[:place], number, *state[place + 1 :])
