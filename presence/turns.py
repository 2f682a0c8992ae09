"""Give the signals of a pair their turns in this process: one change at a time, and what has gathered in one.

Two users who trickle at once would else have each other's compare-and-set refused. It stays for the case that
another process judges the same pair. What may be judged together is decided in `presence.rules.gathered`; who
judges is `presence.changes`. Nobody waits here who was not let in by a pool (`presence.service`).
"""

import asyncio
from collections.abc import Hashable, Sequence
from typing import Final, Protocol

from presence.changes import Judged
from presence.records import Guess
from presence.rules.change import Rule
from presence.rules.negotiated import Negotiation
from presence.store import StoreUnavailable
from presence.targets import Clock
from tieline.runtime.broker import BrokerAway
from tieline.wire.ids import UserId
from tieline.wire.subjects import Keys

TOGETHER: Final = 64
"""Signals that are judged in one change: as many as candidates are held, some 20 us of the loop each."""


class Judge(Protocol):
    """Judges: `presence.changes.Changes.negotiations` does."""

    async def __call__(
        self,
        one: UserId,
        other: UserId,
        rules: Sequence[Rule[Negotiation]],
        until_ms: int | None,
        *,
        guess: Guess,
    ) -> list[Judged]:
        """Judge the first so many of several signals of two users, one at least, until a time."""
        ...


class _Asked:
    """One signal, or several that came together."""

    __slots__ = ("guess", "has_turn", "is_alone", "outcome", "rules", "until_ms")

    def __init__(self, rules: Sequence[Rule[Negotiation]], until_ms: int | None, guess: Guess) -> None:
        self.rules = rules
        self.guess = guess
        self.until_ms = until_ms
        self.outcome: asyncio.Future[list[Judged] | None] = asyncio.get_running_loop().create_future()
        """How it was judged; None: it is its turn to judge."""
        self.has_turn = False
        self.is_alone = False
        """It was among several of which one met a bug, and is judged by itself."""


class Turns:
    """Judges the signals of each pair in turn."""

    def __init__(self, judge: Judge, clock: Clock) -> None:
        self._judge = judge
        self._clock = clock
        self._waiting: dict[str, list[_Asked]] = {}
        """By pair: who waits while another one judges."""
        self._under_way: dict[Hashable, asyncio.Future[list[Judged]]] = {}
        """By name: the verdicts on what waits, or is being judged."""

    def __len__(self) -> int:
        """Count the pairs of which something is being judged."""
        return len(self._waiting)

    async def judge(
        self,
        one: UserId,
        other: UserId,
        rules: Sequence[Rule[Negotiation]],
        until_ms: int | None = None,
        *,
        guess: Guess = "changes",
        name: Hashable = None,
    ) -> list[Judged]:
        """Judge signals that came together when it is their turn: the first so many, and one at least.

        After `until_ms` they change nothing any more. The `guess` says what the first of them does to the
        negotiation, as far as can be told by itself.

        `name` is the same for copies, which come when there is no answer in time: while one of them waits, or
        is being judged, the others share its verdicts. Judged later, one whose signal was refused might be
        let in by what has happened since.

        Raises:
            StoreUnavailable: not judged, or not known whether it is. So do those that were judged with it.
            BrokerAway: others could not be told.
        """
        if name is None:
            return await self._in_turn(one, other, _Asked(rules, until_ms, guess))
        under_way = self._under_way.get(name)
        if under_way is not None:
            return [each._replace(offered=None) for each in await asyncio.shield(under_way)]
        verdicts = self._under_way[name] = asyncio.get_running_loop().create_future()
        try:
            judged = await self._in_turn(one, other, _Asked(rules, until_ms, guess))
        except BaseException:  # a bug, a cancellation too: whatever ends this one, its copies wait for it
            verdicts.set_exception(StoreUnavailable("not judged, as its copy was not"))
            verdicts.exception()  # there may be no copy to look at it
            raise
        else:
            verdicts.set_result(judged)
            return judged
        finally:
            del self._under_way[name]

    async def _in_turn(self, one: UserId, other: UserId, mine: _Asked) -> list[Judged]:
        key = Keys.pair(one, other)
        waiting = self._waiting.get(key)
        if waiting is None:
            self._waiting[key] = []
        else:
            waiting.append(mine)
            judged = await self._turn_of(mine, key)
            if judged is not None:
                return judged
        try:
            return await self._judge_with_others(one, other, mine, key)
        finally:
            self._pass_on(key)

    async def _turn_of(self, mine: _Asked, key: str) -> list[Judged] | None:
        try:
            return await mine.outcome
        except asyncio.CancelledError:
            if (
                not mine.outcome.cancelled()
                and mine.outcome.exception() is None
                and not mine.outcome.result()
            ):
                self._pass_on(key)
            raise

    async def _judge_with_others(self, one: UserId, other: UserId, mine: _Asked, key: str) -> list[Judged]:
        waiting = self._waiting[key]
        others = [] if mine.is_alone else _first_of(waiting, TOGETHER - len(mine.rules))
        together = [mine, *others]
        waiting[:] = [each for each in waiting if each not in others]
        limits = [each.until_ms for each in together if each.until_ms is not None]
        rules, until_ms = [rule for each in together for rule in each.rules], min(limits, default=None)
        try:
            judged = await self._judge(one, other, rules, until_ms, guess=mine.guess)
        except (StoreUnavailable, BrokerAway) as error:
            for each in others:
                _set(each, error)
            raise
        except BaseException:  # a bug, or a cancellation of this one: the others wait on, and are judged
            for each in others:
                each.is_alone = True
            waiting[:0] = others
            raise
        own, judged = judged[: len(mine.rules)], judged[len(mine.rules) :]
        while judged:
            each = others.pop(0)
            _set(each, judged[: len(each.rules)])
            judged = judged[len(each.rules) :]
        waiting[:0] = others
        return own

    def _drop_late(self, waiting: list[_Asked]) -> None:
        """Leave out whoever has waited for too long, or is gone: the others may still be in time."""
        now = self._clock()
        for each in waiting:
            if each.until_ms is not None and now > each.until_ms:
                _set(each, StoreUnavailable("asked too long ago"))
        waiting[:] = [each for each in waiting if not each.outcome.done()]

    def _pass_on(self, key: str) -> None:
        waiting = self._waiting[key]
        self._drop_late(waiting)
        if not waiting:
            del self._waiting[key]
            return
        next_ = waiting.pop(0)
        next_.has_turn = True
        next_.outcome.set_result(None)


def _first_of(waiting: Sequence[_Asked], most: int) -> list[_Asked]:
    """List those that have no more than so many signals together, and need not be judged by themselves."""
    chosen: list[_Asked] = []
    for each in waiting:
        if each.is_alone:
            continue
        most -= len(each.rules)
        if most < 0:
            break
        chosen.append(each)
    return chosen


def _set(asked: _Asked, outcome: list[Judged] | Exception) -> None:
    if asked.outcome.done():  # who asked was cancelled
        return
    if isinstance(outcome, Exception):
        asked.outcome.set_exception(outcome)
    else:
        asked.outcome.set_result(outcome)
