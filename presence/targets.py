"""What `presence.change_loop` changes: a user's record, or what two users negotiate.

How each is found among what was read, written, told of and settled. What becomes of it is decided by a rule
(`presence.rules`); when each of these is done is the loop's.
"""

import itertools
from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from presence.effects import NOTHING_TOLD, USUAL, Case, Effects, Told, last_notes
from presence.frames_apart import empty
from presence.record_codec import user_in
from presence.records import Records
from presence.rules import call_steps
from presence.rules.change import Change, RecordT
from presence.rules.effects import is_cheap
from presence.rules.negotiated import NOTHING, Negotiation, dropping
from presence.rules.user import User, stamped
from presence.store import Record
from tieline import metrics
from tieline.wire.ids import UserId
from tieline.wire.subjects import Keys

Clock = Callable[[], int]
"""Unix milliseconds."""

Found = Mapping[str, Record]


class Target(Protocol[RecordT]):
    """One record, and how it is read, written and told of."""

    key: str
    owner: UserId
    beside: tuple[UserId, ...]
    """The users whom the rule looks at beside the record."""

    def find(self, found: Found) -> tuple[RecordT | None, int]:
        """Find the record and its revision among what was read."""
        ...

    async def write(
        self, before: RecordT | None, change: Change[RecordT], after: RecordT, revision: int
    ) -> int:
        """Replace the record of that revision, and count what that means for operators. See `Store.write`."""
        ...

    async def carry_out(self, record: RecordT, revision: int, case: Case = USUAL) -> Told:
        """Carry out what is pending in the record; returns what was found out by it.

        The roster of the room that is listed is among that, unless it was changed by it.
        """
        ...

    def may_settle_later(self, record: RecordT) -> bool:
        """Whether it does no harm if the record is settled a moment later: nothing waits for that."""
        ...

    async def settle(self, record: RecordT, revision: int, *, forget: bool) -> None:
        """End what is carried out; with `forget` the record forgets it, which nobody waits for."""
        ...


class UserRecord:
    """A user's record. See `Target`."""

    def __init__(
        self, user: UserId, records: Records, effects: Effects, *, leaves_calls: bool = False
    ) -> None:
        """Take also whether the calls of a session that has ended may be left to be ended later."""
        self.owner = user
        self._leaves_calls = leaves_calls
        self.beside: tuple[UserId, ...] = ()
        self.key = Keys.user(user)
        self._records = records
        self._effects = effects

    def find(self, found: Found) -> tuple[User | None, int]:
        """Find the record and its revision among what was read."""
        record, revision = user_in(found, self.key)
        return record and stamped(record, revision), revision

    async def write(self, _before: User | None, _change: Change[User], after: User, revision: int) -> int:
        """Replace the record of that revision."""
        return await self._records.write_user(self.key, after, revision)

    async def carry_out(self, record: User, revision: int, case: Case = USUAL) -> Told:
        """Carry out what is pending in the record, but for what comes when it is settled."""
        leaves = self._leaves_calls
        return await self._effects.of_user(self.owner, record, revision, case, leaves_calls=leaves)

    def may_settle_later(self, record: User) -> bool:
        """Whether no note goes last of all."""
        return record.is_reachable and not last_notes(record)

    async def settle(self, record: User, revision: int, *, forget: bool) -> None:
        """Let the record forget what is carried out, then remove the note that goes last of all.

        That note, and what is cheap, the record forgets by its next write only.
        """
        kept = last_notes(record)
        if forget and not all(is_cheap(effect) or effect in kept for effect in record.pending):
            settled = stamped(msgspec.structs.replace(record, pending=kept), revision)
            await self._records.write_user(self.key, settled, revision, confirm=False)
        await self._effects.remove_last_notes(record)


class NegotiationRecord:
    """What two users negotiate. See `Target`."""

    def __init__(self, one: UserId, other: UserId, records: Records, effects: Effects, clock: Clock) -> None:
        self.owner = one
        self._other = other
        self.beside: tuple[UserId, ...] = (one, other)
        self.key = Keys.pair(one, other)
        self._records = records
        self._effects = effects
        self._clock = clock

    def find(self, found: Found) -> tuple[Negotiation | None, int]:
        """Find the record and its revision among what was read."""
        return self._records.negotiation_in(found, self.key)

    async def write(
        self,
        before: Negotiation | None,
        change: Change[Negotiation],
        after: Negotiation,
        revision: int,
    ) -> int:
        """Replace the record of that revision; count what became of call, offer and candidates."""
        written = await self._records.write_negotiation(self.key, after, revision)
        for earlier, later in itertools.pairwise((before or NOTHING, *change.passed, after)):
            self._count(earlier, later, timed_out=change.timed_out)
        return written

    def _count(self, before: Negotiation, after: Negotiation, *, timed_out: bool) -> None:
        step = call_steps.step(before, after, timed_out=timed_out)
        if step is not None:
            metrics.NEGOTIATIONS.labels(step).inc()
        keeping = call_steps.keeping(before, after)
        if keeping is not None:
            metrics.KEPT_OFFERS.labels(keeping).inc()
        for outcome, count in call_steps.candidates(before, after)._asdict().items():
            if count:
                metrics.HELD_CANDIDATES.labels(outcome).inc(count)
        answered_at = call_steps.answered_offer_at(before, after)
        if answered_at is not None:
            metrics.ANSWER_SECONDS.observe(max(0, self._clock() - answered_at) / 1000)

    async def carry_out(self, record: Negotiation, revision: int, _case: Case = USUAL) -> Told:
        """Carry out what is pending in the record, no room's business, and take out what it drops."""
        await self._effects.of_negotiation(record, {self.key: revision})
        await empty(record.dropped, self.owner, self._other, self._records.store)
        return NOTHING_TOLD

    def may_settle_later(self, _record: Negotiation) -> bool:
        """No: a pair that is over is kept for some time from its last write on."""
        return False

    async def settle(self, record: Negotiation, revision: int, *, forget: bool) -> None:
        """Let the record forget what is carried out."""
        if forget:
            settled = dropping((record,), msgspec.structs.replace(record, pending=()))
            await self._records.write_negotiation(self.key, settled, revision, confirm=False)
            await empty(settled.dropped, self.owner, self._other, self._records.store)
