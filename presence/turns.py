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
    """One signal."""

    __slots__ = ("guess", "has_turn", "is_alone", "outcome", "rule", "until_ms")

    def __init__(self, rule: Rule[Negotiation], until_ms: int | None, guess: Guess) -> None:
        self.rule = rule
        self.guess = guess
        self.until_ms = until_ms
        self.outcome: asyncio.Future[Judged | None] = asyncio.get_running_loop().create_future()
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
        self._under_way: dict[Hashable, asyncio.Future[Judged]] = {}
        """By name: the verdict on a signal that waits, or is being judged."""

    def __len__(self) -> int:
        """Count the pairs of which something is being judged."""
        return len(self._waiting)

    async def judge(
        self,
        one: UserId,
        other: UserId,
        rule: Rule[Negotiation],
        until_ms: int | None = None,
        *,
        guess: Guess = "changes",
        name: Hashable = None,
    ) -> Judged:
        """Judge a signal when it is its turn. After `until_ms` it changes nothing any more.

        `name` is the same for copies of one signal, which come when it is not answered in time: while one of
        them waits, or is being judged, the others share its verdict. Judged later, one whose signal was
        refused might be let in by what has happened since.

        The `guess` says what it does to the negotiation, as far as can be told by itself.

        Raises:
            StoreUnavailable: not judged, or not known whether it is. So do those that were judged with it.
            BrokerAway: others could not be told.
        """
        if name is None:
            return await self._in_turn(one, other, _Asked(rule, until_ms, guess))
        under_way = self._under_way.get(name)
        if under_way is not None:
            return (await asyncio.shield(under_way))._replace(offered=None)
        verdict = self._under_way[name] = asyncio.get_running_loop().create_future()
        try:
            judged = await self._in_turn(one, other, _Asked(rule, until_ms, guess))
        except BaseException:
            verdict.set_exception(StoreUnavailable("not judged, as its copy was not"))
            verdict.exception()  # there may be no copy to look at it
            raise
        else:
            verdict.set_result(judged)
            return judged
        finally:
            del self._under_way[name]

    async def _in_turn(self, one: UserId, other: UserId, mine: _Asked) -> Judged:
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

    async def _turn_of(self, mine: _Asked, key: str) -> Judged | None:
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

    async def _judge_with_others(self, one: UserId, other: UserId, mine: _Asked, key: str) -> Judged:
        waiting = self._waiting[key]
        others = [] if mine.is_alone else [each for each in waiting[: TOGETHER - 1] if not each.is_alone]
        together = [mine, *others]
        waiting[:] = [each for each in waiting if each not in others]
        limits = [each.until_ms for each in together if each.until_ms is not None]
        rules, until_ms = [each.rule for each in together], min(limits, default=None)
        try:
            judged = await self._judge(one, other, rules, until_ms, guess=mine.guess)
        except (StoreUnavailable, BrokerAway) as error:
            for each in others:
                _set(each, error)
            raise
        except BaseException:
            for each in others:
                each.is_alone = True
            waiting[:0] = others
            raise
        for each, outcome in zip(others, judged[1:], strict=False):
            _set(each, outcome)
        waiting[:0] = others[len(judged) - 1 :]
        return judged[0]

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


def _set(asked: _Asked, outcome: Judged | Exception) -> None:
    if asked.outcome.done():  # who asked was cancelled
        return
    if isinstance(outcome, Exception):
        asked.outcome.set_exception(outcome)
    else:
        asked.outcome.set_result(outcome)
