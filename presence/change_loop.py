"""The loop in which a record is changed: read, decide, compare and set, tell others.

What is decided is a rule's business (`presence.rules`), which records a rule sees `presence.changes`'; what
others are told is carried out by `presence.effects`. A process may die anywhere in between: what it has
committed and not told is pending in the record, and the next change of that record tells it first. What it
has not committed has not happened, and is asked for again.
"""

from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple, Protocol

import msgspec

from presence.effects import NOTHING_TOLD, Case, Effects, Told
from presence.preparations import NoteWaiting, Preparations
from presence.records import Records
from presence.rosters import Rosters
from presence.rules.change import (
    Change,
    Entered,
    Facts,
    ListRoom,
    LookAgain,
    RecordT,
    Reply,
    Rule,
    Step,
)
from presence.rules.effects import Effect, RemoveNote, is_cheap
from presence.rules.facts import keeping
from presence.rules.negotiated import Negotiation, dropping
from presence.rules.user import User
from presence.settling import Settling
from presence.side_by_side import side_by_side
from presence.store import ABSENT, MAX_TRIES, Conflict, StoreUnavailable, lost_rounds
from presence.targets import Clock, Found, Target
from tieline import metrics
from tieline.wire.ids import RoomId

STOOD_STILL_MS: Final = 30_000
"""Whoever has read or written a record so long ago has been stopped since. What others are told again is
recognized for more than twice as long (`presence.mailbox.MIN_KEEP_S`)."""

ALONE_AFTER_MS: Final = 60_000
"""For so long after it has found what another process did not settle yet, a process settles at once: to carry
out once more costs more than the write."""

MAX_CARRIED_OUT: Final = 65_536
"""Records of which a process remembers that it told others: as many users as change theirs within minutes."""


class Outbox(Protocol):
    """What tells the stream of events; `presence.events.Events` is one."""

    def told_until(
        self, at: int, key: str, record: User | Negotiation | None, revision: int, now: int
    ) -> int:
        """Say until when the facts of a record in a partition are told, in Unix milliseconds."""
        ...

    def tell(self, key: str, record: User | Negotiation, revision: int, since: int) -> None:
        """Tell later, and as far as it can be, what a record keeps; it was written at `since`, or later."""
        ...


class Finished(NamedTuple):
    """How a change ended."""

    reply: Reply
    told: Told
    """What was found out when others were told of the change."""
    record: User | Negotiation | None
    revision: int
    look_again: LookAgain | None = None


class Loaded(NamedTuple):
    """What a rule decides on."""

    found: Found
    is_remembered: bool = False
    """It was not read, but is what this process knew already: what writes nothing is not decided on it."""
    has_roster: bool = False
    """The roster that is to be listed is among what was read."""


class ChangeLoop:
    """Changes records by rules. Raises what `Store` and `Publisher` raise; repeating is always safe."""

    def __init__(
        self,
        records: Records,
        rosters: Rosters,
        effects: Effects,
        clock: Clock,
        outbox: Outbox | None = None,
        note_waiting: NoteWaiting | None = None,
        settling: Settling | None = None,
    ) -> None:
        """Take also what tells the stream of events; None: there is none, and records keep no facts.

        `note_waiting` notes who waits for whom; None: nobody is waited for here. `settling` settles records
        later; None: each at once.
        """
        self._settling = settling
        self._alone_from = 0
        self._outbox = outbox
        self._preparations = Preparations(records, rosters, clock, note_waiting)
        self._records = records
        self._effects = effects
        self.clock = clock
        self._carried_out: dict[str, tuple[int, tuple[Effect, ...]]] = {}
        """By key: the revision of a record, and its pending effects, which this process need not repeat.

        A broker that comes back empty counts its revisions anew, so a revision alone says too little.
        """

    async def change(
        self,
        target: Target[RecordT],
        rule: Rule[RecordT],
        load: Callable[[bool], Awaitable[Loaded]],
        others: tuple[str, ...],
        *,
        confirmed: bool = False,
        doubts: Callable[[Change[RecordT]], tuple[str, ...]],
        until_ms: int | None = None,
    ) -> Finished:
        """Ask a rule until its change is stored. `others` are the keys that it looks at beside the record.

        `doubts` names the keys of which a rule must have seen what the leader says, to decide so.
        """
        told, at = NOTHING_TOLD, self._records.place_of(target.key)
        for _ in range(MAX_TRIES):
            now = self.clock()
            found, is_remembered, has_roster = await load(confirmed)
            record, revision = target.find(found)
            told = Told({}, told.numbers)
            if (
                record is not None
                and _owes(record)
                and not self._has_carried_out(target.key, record, revision)
            ):
                # The process that wrote it has died, or is still at it, or settles it later.
                self._alone_from = now + ALONE_AFTER_MS
                told = await self._carry_out(target, record, revision, now, Case(is_again=True))
                if not told.left:
                    await target.settle(record, revision, forget=False)
                    self._note_carried_out(target.key, record, revision)
                if others and not all(map(is_cheap, record.pending)):  # it may have changed what was read
                    found = {**found, **await self._records.store.read(*others, confirmed=True)}
            # What an earlier round has prepared may have been replaced or removed since.
            facts = Facts(now, revision=revision, read=found, at=at)
            while True:
                seen = record  # what is left of its effects, it is for the rule to say what becomes of
                if record is not None and record.pending:
                    seen = msgspec.structs.replace(record, pending=told.left)
                step: Step[RecordT] = rule(seen, self._records.users_in(found, target.beside), facts)
                if not isinstance(step, Change):
                    try:
                        found, facts = await self._preparations.make(step, target.owner, others, found, facts)
                    except Conflict:
                        metrics.CAS_CONFLICTS.inc()
                        confirmed = True
                        break
                    continue
                if not confirmed and (doubted := doubts(step)):
                    confirmed = True
                    if await self._has_changed(doubted, found):
                        break
                elif is_remembered and not confirmed and step.record is None and step.then is None:
                    break
                if until_ms is not None and self.clock() > until_ms:
                    raise StoreUnavailable("asked too long ago")
                try:
                    stored = await self._commit(target, record, step, revision, told.notes, now)
                except Conflict:
                    metrics.CAS_CONFLICTS.inc()
                    break
                if stored is not None:
                    record, revision = stored
                    if self._settling is not None:
                        self._settling.drop(target.key)
                    if _owes(record):
                        listed = None if has_roster else _listed_by(step.reply)
                        entered = self._preparations.entered(target.key, target.owner, facts)
                        case = Case(listed, entered)
                        told = await self._carry_out(target, record, revision, now, case)
                        if not told.left:
                            self._note_carried_out(target.key, record, revision)
                for said in step.said:
                    self._effects.say(said)
                if step.then is None:
                    if record is not None and not told.left and not all(map(is_cheap, record.pending)):
                        await self._settle(target, record, revision)
                    return Finished(step.reply, told, record, revision, step.look_again)
                rule, confirmed = step.then, True
                if others:
                    found = {**found, **await self._records.store.read(*others, confirmed=True)}
                facts = Facts(now, revision=revision, read=found, at=at)
        raise lost_rounds(repr(target.owner))

    async def _carry_out(
        self,
        target: Target[RecordT],
        record: RecordT,
        revision: int,
        since: int,
        case: Case,
    ) -> Told:
        """Tell others what is pending in a record, which was read or written after a moment.

        Raises:
            StoreUnavailable: this process has stood still since. Another one has told it by now, and more may
                have followed that: told once more, it would no longer be recognized.
        """
        if self.clock() - since > STOOD_STILL_MS:
            raise StoreUnavailable("stood still before others were told")
        return await target.carry_out(record, revision, case)

    async def _settle(self, target: Target[RecordT], record: RecordT, revision: int) -> None:
        """Have a record forget what is carried out, now or, if that may wait, later."""
        is_alone = self.clock() >= self._alone_from
        if self._settling is None or not is_alone or not target.may_settle_later(record):
            await target.settle(record, revision, forget=True)
            return

        async def settle() -> None:
            known = self._records.memory.known_users((target.key,)).get(target.key)
            if known is None or known.revision == revision:
                await target.settle(record, revision, forget=True)

        self._settling.put(target.key, revision, settle)

    async def _has_changed(self, keys: tuple[str, ...], found: Found) -> bool:
        """Whether the leader says something else of these keys than what was read of them."""
        leader = await self._records.store.read(*keys, confirmed=True, known=found)
        return any(leader.get(key, ABSENT) != found.get(key, ABSENT) for key in keys)

    def forget_carried_out(self) -> None:
        """Carry out again what is still pending: what was sent when the broker went away may be lost."""
        self._carried_out.clear()
        if self._settling is not None:
            self._settling.forget()

    def _has_carried_out(self, key: str, record: User | Negotiation, revision: int) -> bool:
        """Whether this very process has carried out what is pending in a record."""
        return self._carried_out.get(key) == (revision, record.pending)

    def _note_carried_out(self, key: str, record: User | Negotiation, revision: int) -> None:
        """Remember that this process has carried out what is pending in a record, the newest for each key."""
        self._carried_out.pop(key, None)
        self._carried_out[key] = revision, record.pending
        if len(self._carried_out) > MAX_CARRIED_OUT:
            del self._carried_out[next(iter(self._carried_out))]

    async def _commit(
        self,
        target: Target[RecordT],
        before: RecordT | None,
        change: Change[RecordT],
        revision: int,
        notes: tuple[RemoveNote, ...],
        now: int,
    ) -> tuple[RecordT, int] | None:
        """Set the timer and write the record, in one round trip; returns the record as it is stored now.

        The record is also to remove the `notes` that the one before it could not.

        The timer is sent first, so that nothing is ever stored without one; if the record is not stored, the
        timer fires for something that does not wait, and is ignored. So is a frame that lies apart: if it
        alone is not stored, the signal is not answered, and its retry stores or delivers it.
        """
        writes: list[Awaitable[int]] = []
        if change.timer is not None:
            timer = change.timer
            writes.append(self._records.store.put(timer.key, b"", timer.seconds))
        if change.apart is not None:
            frame = change.apart
            writes.append(self._records.store.put(frame.key, frame.value, frame.seconds, leaves_marker=False))
        if change.record is None:
            await side_by_side(*writes)
            return None
        after = _dropping(
            before, change, msgspec.structs.replace(change.record, pending=(*change.effects, *notes))
        )
        if self._outbox is not None:
            at = self._records.place_of(target.key)
            told_until = self._outbox.told_until(at, target.key, before, revision, now)
            after = keeping(before, change, after, now, told_until)
        *_, written = await side_by_side(*writes, target.write(before, change, after, revision))
        if self._outbox is not None:
            self._outbox.tell(target.key, after, written, now)
        return after, written


def _owes(record: User | Negotiation) -> bool:
    """Whether something is to be carried out for a record."""
    return bool(record.pending) or (isinstance(record, Negotiation) and bool(record.dropped))


def _dropping(before: RecordT | None, change: Change[RecordT], after: RecordT) -> RecordT:
    """Have a negotiation say which frames lie apart no more."""
    if not isinstance(after, Negotiation):
        return after
    steps = (before, *change.passed)
    return dropping((step for step in steps if isinstance(step, Negotiation)), after)


def _listed_by(reply: Reply) -> RoomId | None:
    """Return the room whose roster a reply has."""
    match reply:
        case ListRoom(room=room) | Entered(room=room, lists=True):
            return room
        case _:
            return None
