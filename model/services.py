"""What routers and presences do about one pair's frames, step by step, and what their crashes leave. Pure."""

from collections.abc import Iterable, Iterator
from itertools import product

from model.numbering import Numbering
from model.side import (
    UNREAD,
    Ask,
    Move,
    Side,
    Task,
    answered,
    fates,
    replaced,
    subsets,
    with_one,
    with_strays,
    with_tasks,
    without,
)


class Services:
    """What routers and presences can do about one pair."""

    def __init__(self, numbering: Numbering) -> None:
        self._numbering = numbering
        self._blind = numbering.design.writes == "blind holds"
        self._pushes = numbering.design.pushed_by == "publisher"
        self._at_once = numbering.design.publishes == "all at once"
        self._tells_again = numbering.design.tells == "again when retried"
        self._acks_early = numbering.design.acks == "when judged"
        self._remembers = numbering.design.remembers
        self._spoils = numbering.design.spoils_questions

    def asked(self, side: Side, frame: int) -> Side:
        """Let a gateway's request reach a router, and the router's question a presence."""
        return with_tasks(side, (*side.tasks, Task(frame)))

    def is_awaited(self, side: Side, frame: int) -> bool:
        """Whether an attempt is under way that the gateway will hear of."""
        return any(task.is_awaited and task.frame == frame for task in side.tasks)

    def abandoned(self, side: Side, sender: int) -> Side:
        """Let nobody wait any more for a sender's frames."""
        return with_tasks(
            side,
            tuple(
                task._replace(is_awaited=False)
                if self._numbering.frames[task.frame].sender == sender
                else task
                for task in side.tasks
            ),
        )

    def moves(self, side: Side) -> list[Move]:
        """List what routers and presences can do next, without impatience."""
        found: list[Move] = []
        for index, task in enumerate(side.tasks):
            if side.tasks.index(task) == index:  # what it does, its twin would do, too
                found.extend(self._task_moves(side, index))
        for index, stray in enumerate(side.strays):
            if side.strays.index(stray) == index:
                found.extend(self._stray_moves(side, index))
        return [move._replace(after=self._settled(move.after)) for move in found]

    def _settled(self, side: Side) -> Side:
        """Do at once what can make no difference later.

        A presence whose pair was written by another one since it read it loses the race for sure, and reads
        again. One that is asked about a remembered frame, and whose answer nobody awaits, does nothing.
        """
        if self._blind:
            return side
        asks = {ask for task in side.tasks for ask in task.asks} | {ask for _, ask in side.strays}
        if all(ask.is_written or ask.pair in (UNREAD, side.pair) for ask in asks) and not side.strays:
            return side

        def again(ask: Ask) -> Ask:
            return ask if ask.is_written or ask.pair == side.pair else Ask()

        tasks = (task._replace(asks=tuple(sorted(map(again, task.asks)))) for task in side.tasks)
        strays = (
            (frame, again(ask))
            for frame, ask in side.strays
            if ask.is_written or not self._numbering.remembers(side.pair, frame)
        )
        return side._replace(tasks=tuple(sorted(tasks)), strays=tuple(sorted(strays)))

    def impatience(self, side: Side) -> list[Move]:
        """List the retries of routers whose question is still under way."""
        return [
            Move(
                f"a router asks about {self._name(task.frame)} again, too early",
                replaced(side, index, task._replace(asks=tuple(sorted((*task.asks, Ask()))))),
            )
            for index, task in enumerate(side.tasks)
            if task.asks
        ]

    def _task_moves(self, side: Side, index: int) -> Iterator[Move]:
        task = side.tasks[index]
        name = self._name(task.frame)
        if not task.is_judged:
            yield from self._on_grant(side, index)
            for ask in dict.fromkeys(task.asks):
                yield from self._ask_moves(side, index, ask)
            if not task.asks:
                again = task._replace(asks=(Ask(),))
                yield Move(f"a router asks about {name} again", replaced(side, index, again))
            return
        for place in range(len(task.todo) if self._at_once else min(1, len(task.todo))):
            yield self._publishing(side, index, place)
        if task.is_awaited and (not task.todo or self._acks_early):
            label = f"the sender of {name} gets its ack"
            parts = self._numbering.frames[task.frame].parts
            told = self._numbering.together[parts[:1]] if task.is_short else task.frame
            yield Move(label, answered(side, task.frame), "answer", told)
        elif task.is_awaited:
            yield from self._partly(side, task)

    def _partly(self, side: Side, task: Task) -> Iterator[Move]:
        """Let a router answer to the first frames of a series, which it has published, and not to the others.

        What it was publishing may still arrive.
        """
        parts = self._numbering.frames[task.frame].parts
        for count in range(1, len(parts)):
            if task.todo[0] not in parts[count:] or self._pushes:
                continue  # what precedes the series is not all published, or one of these is not
            first = self._numbering.together[parts[:count]]
            label = f"the sender of {self._name(task.frame)} gets {count} of its acks"
            yield Move(label, answered(side, task.frame), "answer", first)

    def _publishing(self, side: Side, index: int, place: int) -> Move:
        """Let a router publish one of the frames that it has to."""
        task = side.tasks[index]
        frame = task.todo[place]
        label = f"the router of {self._name(task.frame)} publishes"
        if self._pushes:
            after = task._replace(todo=task.todo[:place] + task.todo[place + 1 :])
            changed = self._with_grants(side, with_one(side.tasks, index, after))
            if frame < 0:
                return Move(f"{label} {self._name(~frame)} past the stream", changed, "push", ~frame)
            return Move(f"{label} {self._name(frame)}", changed, "store", frame)
        # Another router that has the same to publish finds it stored: that changes nothing, and may be now.
        tasks = (one._replace(todo=tuple(todo for todo in one.todo if todo != frame)) for one in side.tasks)
        changed = self._with_grants(side._replace(stored=tuple(sorted((*side.stored, frame)))), tasks)
        return Move(f"{label} {self._name(frame)}", changed, "store", frame)

    def _to_publish(self, side: Side, frames: tuple[int, ...]) -> tuple[int, ...]:
        """List what a router has yet to do for a verdict."""
        if self._pushes:
            return tuple(one for frame in frames for one in (~frame, frame))
        return tuple(frame for frame in frames if frame not in side.stored)

    def _on_grant(self, side: Side, index: int) -> Iterator[Move]:
        """Let a router relay unasked; it has published before what its grant came with."""
        task = side.tasks[index]
        frame = self._numbering.frames[task.frame]
        if not frame.is_candidate or task.asks != (Ask(),):
            return
        for grant in side.grants:
            if grant.sender == frame.sender:
                todo = self._to_publish(side, tuple(part for part in frame.parts if part not in grant.held))
                after = task._replace(asks=(), is_judged=True, todo=todo, is_spoiled=False)
                yield Move(f"a router takes {frame.name} on its grant", replaced(side, index, after))

    def _with_grants(self, side: Side, tasks: Iterable[Task]) -> Side:
        """Set the tasks, and note the grants of those that have published all that came with them."""
        waiting, grants = [], set(side.grants)
        for task in tasks:
            if task.grants and not set(task.todo).difference(self._numbering.frames[task.frame].behind):
                grants.update(task.grants)
                task = task._replace(grants=())
            waiting.append(task)
        return with_tasks(side._replace(grants=tuple(sorted(grants))), waiting)

    def telling(self, side: Side) -> Move | None:
        """Find a verdict on its way to a router that has asked once, if that is all that it does."""
        for index, task in enumerate(side.tasks):
            ends = self._numbering.frames[task.frame].ends
            if len(task.asks) == 1 and task.asks[0].is_written and not ends:
                (move,) = self._ask_moves(side, index, task.asks[0])
                return move
        return None

    def _ask_moves(self, side: Side, index: int, ask: Ask) -> Iterator[Move]:
        task = side.tasks[index]
        name = self._name(task.frame)
        others = without(task.asks, ask)
        if ask.is_written:
            label = f"the verdict on {name} reaches its router"
            yield self._told(self._after_change(side, task.frame), index, others, ask.pair, label)
            return
        if ask.pair == UNREAD:
            yield from self._judging(side, index, others, side.pair, f"a presence reads the pair for {name}")
            for past in side.past:
                verdict = self._numbering.judge(past, task.frame)
                believed = "also for refusals" if verdict.refused else "also for deliveries"
                if verdict.writes < 0 and self._remembers == believed:
                    label = f"a presence remembers the pair for {name}"
                    yield from self._judging(side, index, others, past, label)
            return
        label, written = self._write(side, task.frame, ask)
        outcome = Ask(ask.pair, is_written=True) if written is not side else Ask()
        asks = tuple(sorted((*others, outcome)))
        yield Move(label, replaced(written, index, task._replace(asks=asks)))

    def _judging(
        self, side: Side, index: int, others: tuple[Ask, ...], pair: int, label: str
    ) -> Iterator[Move]:
        """Let a presence judge by a pair that it has read, or remembers."""
        task = side.tasks[index]
        verdict = self._numbering.judge(pair, task.frame)
        if verdict.refused:
            yield self._refused(side, index, others, f"{label}, and refuses it")
        elif verdict.writes < 0:
            before = self._after_change(side, task.frame) if self._tells_again else side
            yield self._told(before, index, others, pair, f"{label}, and says how to deliver it")
        else:
            asks = tuple(sorted((*others, Ask(pair))))
            yield Move(label, replaced(side, index, task._replace(asks=asks)))

    def _refused(self, side: Side, index: int, others: tuple[Ask, ...], label: str) -> Move:
        """Let the sender learn that its frame is refused, if it still wants to know.

        Of what presence remembers nothing the router asks the mailbox: what that has was not refused before.
        """
        task = side.tasks[index]
        frame = self._numbering.frames[task.frame]
        after = with_tasks(side, side.tasks[:index] + side.tasks[index + 1 :])
        after = with_strays(after, self._going_on(task.frame, others))
        if not task.is_awaited:
            return Move(label, after)
        if not frame.is_remembered and all(part in side.stored for part in frame.parts):
            return Move(f"{label}, but the mailbox has it", answered(after, task.frame), "answer", task.frame)
        fault = f"{frame.name} is refused" if frame.outcome == "arrives" else ""
        return Move(label, answered(after, task.frame), "refuse", task.frame, fault=fault)

    def _write(self, side: Side, frame: int, ask: Ask) -> tuple[str, Side]:
        """Commit what was judged; the side itself if somebody else has written since the pair was read."""
        verdict, name = self._numbering.judge(ask.pair, frame), self._name(frame)
        is_hold = not verdict.frames
        if ask.pair != side.pair and not (self._blind and is_hold):
            return f"the presence of {name} loses the race", side
        what = "holds" if is_hold else "commits"
        past = () if self._remembers == "for writes" else tuple(sorted({*side.past, side.pair}))
        return f"the presence of {name} {what} it", side._replace(pair=verdict.writes, past=past)

    def _after_change(self, side: Side, frame: int) -> Side:
        """After a hangup, let routers drop their grants, also those that are only about to be noted.

        On one broker, what presence tells them comes before the verdict that it sends next.
        """
        if not self._numbering.frames[frame].ends:
            return side
        tasks = (
            task._replace(
                grants=(), is_spoiled=not task.is_judged and self._numbering.frames[task.frame].may_grant
            )
            for task in side.tasks
        )
        return side._replace(grants=(), tasks=tuple(sorted(tasks)))

    def _told(self, side: Side, index: int, others: tuple[Ask, ...], judged_by: int, label: str) -> Move:
        """Let a verdict reach its router; further questions it asked are strays from now on."""
        task = side.tasks[index]
        verdict = self._numbering.judge(judged_by, task.frame)
        grants = () if task.is_spoiled and self._spoils else verdict.grants
        behind = self._numbering.frames[task.frame].behind
        held = {held for grant in grants for held in grant.held}
        passed = tuple(part for part in behind if part not in held) if grants else ()
        todo = self._to_publish(side, (*verdict.frames, *passed))
        is_short = bool(behind) and not grants
        told = task._replace(
            asks=(), is_judged=True, todo=todo, grants=grants, is_spoiled=False, is_short=is_short
        )
        after = self._with_grants(side, with_one(side.tasks, index, told))
        return Move(label, with_strays(after, self._going_on(task.frame, others)))

    def _going_on(self, frame: int, asks: Iterable[Ask]) -> list[tuple[int, Ask]]:
        """List the questions that still do something when nobody waits for their answer."""
        ends = self._numbering.frames[frame].ends
        return [(frame, ask) for ask in asks if ends or not ask.is_written]

    def _stray_moves(self, side: Side, index: int) -> Iterator[Move]:
        frame, ask = side.strays[index]
        rest = side._replace(strays=side.strays[:index] + side.strays[index + 1 :])
        if ask.is_written:
            label = f"the presence of {self._name(frame)} tells the routers"
            yield Move(label, self._after_change(rest, frame))
            return
        if ask.pair == UNREAD:
            verdict = self._numbering.judge(side.pair, frame)
            label = f"a presence reads the pair for {self._name(frame)}, for nobody"
            if verdict.writes < 0:
                yield Move(label, rest)
            else:
                yield Move(label, with_strays(rest, [(frame, Ask(side.pair))]))
            return
        label, written = self._write(rest, frame, ask)
        if written is rest:
            written = with_strays(rest, [(frame, Ask())])
        elif self._numbering.frames[frame].ends:
            written = with_strays(written, [(frame, Ask(ask.pair, is_written=True))])
        yield Move(f"{label}, for nobody", written)

    def router_crashes(self, side: Side) -> list[Side]:
        """List what may be left after a router crashed: the first is everything."""
        left = []
        for chosen in product(*(list(fates(task)) for task in side.tasks)):
            tasks = tuple(task for task, _ in chosen if task is not None)
            strays = [
                stray
                for (_, asks), task in zip(chosen, side.tasks, strict=True)
                for stray in self._going_on(task.frame, asks)
            ]
            left.append(self._settled(with_strays(with_tasks(side, tasks), strays)))
        return list(dict.fromkeys(left))

    def presence_crashes(self, side: Side) -> list[Side]:
        """List what may be left after a presence crashed: the first is everything."""
        left = []
        for strays in subsets(side.strays):
            for asks in product(*(subsets(task.asks) for task in side.tasks)):
                tasks = (task._replace(asks=kept) for task, kept in zip(side.tasks, asks, strict=True))
                left.append(with_tasks(side, tasks)._replace(strays=strays))
        return list(dict.fromkeys(left))

    def _name(self, frame: int) -> str:
        return self._numbering.frames[frame].name
