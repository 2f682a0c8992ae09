"""Visit every state that can be reached, nearest first, until a promise breaks. Pure."""

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import NamedTuple, TypeVar

from model.design import Design
from model.numbering import Numbering
from model.scenario import Scenario
from model.system import Ills, State, System

StateT = TypeVar("StateT", bound=Hashable)


class Found(NamedTuple):
    """What the exploration found."""

    states: int
    steps: int
    ends: int
    """States in which all is said."""
    fault: str
    """The promise that broke first, after the fewest steps; "" if all are kept."""
    trace: tuple[str, ...]
    """What led to it."""


def explore(scenario: Scenario, design: Design, ills: Ills, seeking: str = "") -> Found:
    """Visit every state of a scenario; what follows a fault without the words `seeking` is left out."""
    system = System(Numbering(scenario, design), ills)
    first = system.first()
    came_from: dict[State, tuple[State, str] | None] = {first: None}
    waiting = deque([first])
    steps = ends = 0
    while waiting:
        state = waiting.popleft()
        own = system.steps(state)
        if not own:
            ends += 1
            missing = system.why_not_done(state)
            if missing and seeking in missing:
                return Found(len(came_from), steps, ends, missing, trace(came_from, state))
        for label, after, fault in (*own, *system.ills(state)):
            steps += 1
            if fault and seeking not in fault:
                continue
            if fault:
                return Found(len(came_from), steps, ends, fault, (*trace(came_from, state), label))
            if after not in came_from:
                came_from[after] = (state, label)
                waiting.append(after)
    return Found(len(came_from), steps, ends, "", ())


def visit(
    first: StateT,
    steps: Callable[[StateT], Iterable[tuple[str, StateT]]],
    fault_in: Callable[[StateT], str],
    seeking: str = "",
) -> Found:
    """Visit every state that these steps lead to, nearest first; see `explore`."""
    came_from: dict[StateT, tuple[StateT, str] | None] = {first: None}
    waiting = deque([first])
    count = ends = 0
    while waiting:
        state = waiting.popleft()
        following = list(steps(state))
        ends += not following
        for label, after in following:
            count += 1
            if after in came_from:
                continue
            came_from[after] = state, label
            fault = fault_in(after)
            if not fault:
                waiting.append(after)
            elif seeking in fault:
                return Found(len(came_from), count, ends, fault, trace(came_from, after))
    return Found(len(came_from), count, ends, "", ())


def trace(came_from: Mapping[StateT, tuple[StateT, str] | None], state: StateT) -> tuple[str, ...]:
    """List what led to a state, from the beginning."""
    labels = []
    back = came_from[state]
    while back is not None:
        state, label = back
        labels.append(label)
        back = came_from[state]
    return tuple(reversed(labels))
