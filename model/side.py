"""One pair's record and what is under way about its frames: one half of a state. What happens is `services`.

Routers and presences have no names here. A crash of one of them takes any subset of what is under way, for
any subset may have been with it; and a grant that one router was given may be used for any later frame,
for any frame may come to that router. Pure.
"""

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Final, Literal, NamedTuple, TypeVar

UNREAD: Final = -1

T = TypeVar("T")


class Grant(NamedTuple):
    """A router may relay somebody's candidates unasked."""

    sender: int
    held: tuple[int, ...]
    """These of the sender's frames it answers as held."""


class Ask(NamedTuple):
    """One question to a presence: not looked at yet; or the pair is read; or the write is done."""

    pair: int = UNREAD
    """What was read. A pair never becomes again what it was before, so this is its revision, too."""
    is_written: bool = False


class Task(NamedTuple):
    """One attempt of a router at one frame."""

    frame: int
    is_awaited: bool = True
    """A gateway still wants to know what comes of it."""
    asks: tuple[Ask, ...] = (Ask(),)
    """Questions to presence that are under way, while there is no verdict."""
    is_judged: bool = False
    """The verdict is here: what is left is to publish and to answer."""
    todo: tuple[int, ...] = ()
    """Frames to publish. Where their publisher pushes them itself, each stands there twice: as `~frame`, to
    be pushed, then to be stored."""
    grants: tuple[Grant, ...] = ()
    """Those that came with the verdict."""
    is_spoiled: bool = False
    """A call has ended while presence was asked: what comes with the verdict is not used."""
    is_short: bool = False
    """What follows the answer is not let pass: the answer alone is published, and answered."""


class Side(NamedTuple):
    """A pair and what is under way about it."""

    pair: int
    tasks: tuple[Task, ...] = ()
    strays: tuple[tuple[int, Ask], ...] = ()
    """Frames, and questions about them whose router is gone or has its verdict."""
    stored: tuple[int, ...] = ()
    """Frames that are in a mailbox: to publish them again changes nothing."""
    grants: tuple[Grant, ...] = ()
    """Those that some router has."""
    past: tuple[int, ...] = ()
    """What the pair was before, where a presence may judge by that. Where it may not, nothing is noted here:
    what would be written loses the race, and what would not is read."""


class Move(NamedTuple):
    """One step of routers and presences. What it does to a client is named, not done."""

    label: str
    after: Side
    kind: Literal["inside", "store", "push", "answer", "refuse"] = "inside"
    frame: int = -1
    """What is stored or pushed, or answered."""
    fault: str = ""


def fates(task: Task) -> Iterator[tuple[Task | None, tuple[Ask, ...]]]:
    """Spare a task, or end it: what it wrote to the broker before still goes on its way.

    Those are its questions, and of what it was publishing any first part. Nobody uses the grant
    that came with its verdict: the router that has it is gone.
    """
    yield task, ()
    if task.is_judged:
        for length in range(len(task.todo) + 1):
            yield task._replace(is_awaited=False, todo=task.todo[:length], grants=()), ()
        return
    yield None, task.asks
    if Ask() in task.asks:
        yield None, without(task.asks, Ask())


def subsets(items: tuple[T, ...]) -> list[tuple[T, ...]]:
    """List every way to lose some of the items: first the one that loses none."""
    return [
        tuple(item for item, is_kept in zip(items, kept, strict=True) if is_kept)
        for kept in product((True, False), repeat=len(items))
    ]


def answered(side: Side, frame: int) -> Side:
    """Let nobody wait any more for what comes of a frame."""
    tasks = (task._replace(is_awaited=False) if task.frame == frame else task for task in side.tasks)
    return with_tasks(side, tasks)


def without(asks: tuple[Ask, ...], ask: Ask) -> tuple[Ask, ...]:
    """Leave out one question."""
    index = asks.index(ask)
    return asks[:index] + asks[index + 1 :]


def with_tasks(side: Side, tasks: Iterable[Task]) -> Side:
    """Set the tasks, but for those that have nothing left to do."""
    left = (task for task in tasks if task.is_awaited or task.todo or not task.is_judged)
    return side._replace(tasks=tuple(sorted(left)))


def with_one(tasks: tuple[Task, ...], index: int, task: Task) -> tuple[Task, ...]:
    """Set one of several tasks."""
    return (*tasks[:index], task, *tasks[index + 1 :])


def replaced(side: Side, index: int, task: Task) -> Side:
    """Set one task."""
    return with_tasks(side, with_one(side.tasks, index, task))


def with_strays(side: Side, strays: Iterable[tuple[int, Ask]]) -> Side:
    """Add strays."""
    return side._replace(strays=tuple(sorted((*side.strays, *strays))))
