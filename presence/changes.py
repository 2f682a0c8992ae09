"""The loop in which every record of presence is changed: read, decide, compare and set, tell others.

What is decided is a rule's business (`presence.rules`); what others are told is carried out by
`presence.effects`. A process may die anywhere in between: what it has committed and not told is pending in
the record, and the next change of that record tells it first. What it has not committed has not happened,
and is asked for again.
"""

import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from presence.announce import Announcer
from presence.call_endings import ENDED_AT_ONCE
from presence.effects import NOTHING_TOLD, AllHear, Effects, Told
from presence.old_calls import OldCalls
from presence.records import MAX_TRIES, Guess, Records, user_in
from presence.room_log import RoomLog
from presence.rosters import Rosters
from presence.rules.change import (
    Change,
    Entered,
    Facts,
    Gathered,
    ListRoom,
    LookAgain,
    Prepare,
    RecordT,
    Reply,
    Rule,
)
from presence.rules.effects import Effect, is_cheap
from presence.rules.facts import keeping
from presence.rules.gathered import gathered
from presence.rules.negotiated import Negotiation, apart, lies_apart
from presence.rules.session import calls_are_ended
from presence.rules.user import RosterEntry, User
from presence.second_look import Offered
from presence.side_by_side import both, side_by_side
from presence.store import ABSENT, Conflict, Record, StoreUnavailable
from presence.targets import Clock, Found, NegotiationRecord, Target, UserRecord
from tieline import metrics
from tieline.wire.codes import ErrorCode
from tieline.wire.ids import FrameDigest, RoomId, UserId
from tieline.wire.internal.answers import Refused, SessionGone
from tieline.wire.internal.directions import PresenceReply
from tieline.wire.internal.rooms import RoomJoined, RoomMembers
from tieline.wire.internal.sessions import Opened
from tieline.wire.internal.signals import Delivery, Relay
from tieline.wire.subjects import Keys

MAX_CARRIED_OUT: Final = 65_536
"""Records of which a process remembers that it told others: as many users as change theirs within minutes."""


ToldUntil = Callable[[int, int, int], int]
"""Takes the partition and the revision of a record, and now; returns until when its facts are told."""


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


class Judged(NamedTuple):
    """What a signal is answered, and what is still to be done when that has left."""

    reply: PresenceReply
    offered: Offered | None = None


class Changes:
    """Every change of a record. Raises what `Store` and `Publisher` raise; repeating is always safe."""

    def __init__(
        self,
        records: Records,
        rosters: Rosters,
        announcer: Announcer,
        clock: Clock,
        log: RoomLog,
        all_hear: AllHear,
        old_calls: OldCalls,
        most_waited_for: int = ENDED_AT_ONCE,
        told_until: ToldUntil | None = None,
    ) -> None:
        """Take also for how many calls of an older session one who connects anew waits.

        `told_until` says what the stream of events has of a record; None: there is no such stream, and
        records keep no facts.
        """
        self._told_until = told_until
        self._records = records
        self._old_calls = old_calls
        self._rosters = rosters
        self.clock = clock
        self._effects = Effects(
            records, rosters, announcer, clock, self._end_negotiation, log, all_hear, most_waited_for
        )
        self._carried_out: dict[str, tuple[int, tuple[Effect, ...]]] = {}
        """By key: the revision of a record, and its pending effects, which this process need not repeat.

        A broker that comes back empty counts its revisions anew, so a revision alone says too little.
        """

    async def user(
        self,
        user: UserId,
        rule: Rule[User],
        *,
        rooms: tuple[RoomId, ...] = (),
        also: tuple[str, ...] = (),
        confirmed: bool = False,
        found: Found | None = None,
        leaves_calls: bool = False,
    ) -> PresenceReply:
        """Change a user's record by a rule, which may want to enter `rooms`, and looks at the keys `also`.

        With `confirmed` the rule decides on what the leader says. Else what it looks at may lag a moment
        behind. A write finds that out; where nothing is written, the leader is asked, and the rule again.
        `found` may hold the record as it was read just now, together with those of others. Else it is decided
        on the record that this process remembers, if it looks at nothing but that and writes what it decides:
        an entry of a room is then taken not to be there, which its write finds out, too. With
        `leaves_calls` the calls of an older session end later (`presence.old_calls`), if they are many.
        """
        target = UserRecord(user, self._records, self._effects, leaves_calls=leaves_calls)
        entries = (*(Keys.room(room, user) for room in rooms), *also)
        first = [] if found is None else [Loaded(found)]
        if found is None and not also and (recalled := self._records.memory.users((target.key,))) is not None:
            first.append(Loaded(recalled, is_remembered=True))

        async def load(leader: bool) -> Loaded:
            if first and not leader:
                return first.pop()
            return Loaded(await self._records.read_user(target.key, *entries, confirmed=leader))

        looked_at = (target.key, *entries)

        def doubts(change: Change[User]) -> tuple[str, ...]:
            return looked_at if _changes_nothing(change) else ()

        finished = await self._change(target, rule, load, entries, confirmed=confirmed, doubts=doubts)
        if isinstance(finished.record, User) and finished.record.ending is not None:
            self._old_calls.note(user)
        match finished.reply:
            case ListRoom(room=room, revisions=revisions):
                return await self._list(user, room, finished, revisions=revisions)
            case Entered(room=room, lists=lists):
                roster = await self._list(user, room, finished, revisions=True) if lists else None
                return RoomJoined(finished.told.numbers.get(room, 0), roster)
            case Opened(asked=asked) as opened if asked:
                return msgspec.structs.replace(opened, revision=finished.revision)
            case reply:
                assert not isinstance(reply, Gathered)  # that is for signals
                return reply

    async def _list(self, user: UserId, room: RoomId, finished: Finished, *, revisions: bool) -> RoomMembers:
        """List a room as it is after the change that has finished."""
        assert isinstance(finished.record, User)  # nobody else is told who is in a room
        roster = finished.told.rosters.get(room)
        if roster is None:
            roster = await self._rosters.read(room, {Keys.user(user): finished.revision})
        known = {user: (finished.record, finished.revision)}
        return await self._rosters.members(room, roster, known, revisions=revisions)

    async def end_old_calls(self, user: UserId) -> None:
        """End what is left of the calls of an older session of a user, if any may be."""
        key = Keys.user(user)
        record, revision = user_in(await self._records.store.read(key, confirmed=True), key)
        if record is None or record.ending is None:
            return
        await self._effects.calls.end_old(user, record.ending, revision)
        await self.user(user, functools.partial(calls_are_ended, record.ending))

    async def negotiation(self, one: UserId, other: UserId, rule: Rule[Negotiation]) -> Judged:
        """Change what two users negotiate by a rule. See `negotiations`."""
        (judged,) = await self.negotiations(one, other, (rule,))
        return judged

    async def negotiations(
        self,
        one: UserId,
        other: UserId,
        rules: Sequence[Rule[Negotiation]],
        until_ms: int | None = None,
        *,
        guess: Guess = "changes",
    ) -> list[Judged]:
        """Change what two users negotiate by several rules, in order: the first so many, and one at least.

        They decide on what this process remembers, if what they decide is written: that finds out whether the
        negotiation is another one meanwhile. Else it is read. The `guess` is what the first of them does.

        A refusal is confirmed by the leader's records before it is believed: a replica that lags a moment
        behind must not refuse the answer to an offer that was just accepted. After `until_ms`, in Unix
        milliseconds, nothing is changed.
        """
        target = NegotiationRecord(one, other, self._records, self._effects, self.clock)
        users = (Keys.user(one), Keys.user(other))

        may_recall = True

        async def load(leader: bool) -> Loaded:
            nonlocal may_recall
            if may_recall and not leader:
                may_recall = False
                recalled = self._records.recall(users, target.key, guess)
                if recalled is not None:
                    return Loaded(recalled, is_remembered=True)
            return Loaded(await self._records.read_negotiation(users, target.key, confirmed=leader))

        def doubts(change: Change[Negotiation]) -> tuple[str, ...]:
            return _doubted(change.reply, users, target.key)

        rule = gathered(rules)
        finished = await self._change(target, rule, load, users, doubts=doubts, until_ms=until_ms)
        written = {target.key: finished.revision}
        replies: tuple[Reply, ...] = (finished.reply,)
        looks = 0
        if isinstance(finished.reply, Gathered):
            replies, looks = finished.reply
        judged = [Judged(reply) for reply in await self._completed(replies, one, other, written)]
        if finished.look_again is not None:
            offered = Offered(one, other, finished.look_again, finished.revision)
            judged[looks] = judged[looks]._replace(offered=offered)
        return judged

    async def end_offered(self, one: UserId, other: UserId, rule: Rule[Negotiation]) -> None:
        """End what two users negotiate by a rule, which decides on what the leader says."""
        target = NegotiationRecord(one, other, self._records, self._effects, self.clock)
        users = (Keys.user(one), Keys.user(other))

        async def load(_leader: bool) -> Loaded:
            return Loaded(await self._records.read_negotiation(users, target.key, confirmed=True))

        await self._change(target, rule, load, users, confirmed=True, doubts=lambda _: ())

    async def _completed(
        self, replies: Sequence[Reply], one: UserId, other: UserId, written: Mapping[str, int]
    ) -> list[PresenceReply]:
        """Put the frames that lie apart into replies. One that is there no more has waited for too long."""
        completed: list[PresenceReply] = []
        digests: set[FrameDigest] = set()
        for reply in replies:
            assert not isinstance(reply, ListRoom | Entered | Gathered)  # no rule of negotiations says that
            completed.append(reply)
            if isinstance(reply, Relay):
                digests.update(filter(None, (lies_apart(each.frame) for each in reply.deliveries)))
        if not digests:
            return completed
        keys = {Keys.held(one, other, digest): digest for digest in digests}
        found = await self._records.read_after(written, *written, *keys)
        frames = {apart(digest): found[key].value for key, digest in keys.items() if key in found}
        return [_with_frames(reply, frames) for reply in completed]

    async def _end_negotiation(
        self, user: UserId, peer: UserId, rule: Rule[Negotiation], found: Found
    ) -> None:
        """Change a negotiation that is among what was read, because of what has become of its users.

        The users are read after the negotiation, from the leader, unless they are among it, too: had one of
        them gone on since, the negotiation would have another revision.
        """
        target = NegotiationRecord(user, peer, self._records, self._effects, self.clock)
        users = (Keys.user(user), Keys.user(peer))
        first: list[dict[str, Record]] = [{target.key: found[target.key]}]

        async def load(_leader: bool) -> Loaded:
            if first and all(key in found for key in users):
                return Loaded(first.pop() | {key: found[key] for key in users})
            stored = first.pop() if first else await self._records.store.read(target.key, confirmed=True)
            return Loaded({**stored, **await self._records.store.read(*users, confirmed=True)})

        await self._change(target, rule, load, users, confirmed=True, doubts=lambda _: ())

    async def _change(
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
            found, is_remembered = await load(confirmed)
            record, revision = target.find(found)
            told = Told({}, told.numbers)
            if (
                record is not None
                and record.pending
                and not self._has_carried_out(target.key, record, revision)
            ):
                # The process that wrote it has died, or is still at it.
                told = await target.carry_out(record, revision)
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
                step = rule(seen, self._records.users_in(found, target.beside), facts)
                if isinstance(step, Prepare):
                    facts = await self._prepare(target.owner, step, found, facts)
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
                    stored = await self._commit(target, record, step, revision, now)
                except Conflict:
                    metrics.CAS_CONFLICTS.inc()
                    break
                if stored is not None:
                    record, revision = stored
                    if record.pending:
                        told = await target.carry_out(record, revision, _listed_by(step.reply))
                        if not told.left:
                            self._note_carried_out(target.key, record, revision)
                for said in step.said:
                    self._effects.say(said)
                if step.then is None:
                    if record is not None and record.pending and not told.left:
                        await target.settle(record, revision, forget=True)
                    return Finished(step.reply, told, record, revision, step.look_again)
                rule, confirmed = step.then, True
                if others:
                    found = {**found, **await self._records.store.read(*others, confirmed=True)}
                facts = Facts(now, revision=revision, read=found, at=at)
        raise StoreUnavailable(f"lost {MAX_TRIES} rounds for {target.owner!r}")

    async def _has_changed(self, keys: tuple[str, ...], found: Found) -> bool:
        """Whether the leader says something else of these keys than what was read of them."""
        leader = await self._records.store.read(*keys, confirmed=True, known=found)
        return any(leader.get(key, ABSENT) != found.get(key, ABSENT) for key in keys)

    def forget_carried_out(self) -> None:
        """Carry out again what is still pending: what was sent when the broker went away may be lost."""
        self._carried_out.clear()

    def _has_carried_out(self, key: str, record: User | Negotiation, revision: int) -> bool:
        """Whether this very process has carried out what is pending in a record."""
        return self._carried_out.get(key) == (revision, record.pending)

    def _note_carried_out(self, key: str, record: User | Negotiation, revision: int) -> None:
        """Remember that this process has carried out what is pending in a record, the newest for each key."""
        self._carried_out.pop(key, None)
        self._carried_out[key] = revision, record.pending
        if len(self._carried_out) > MAX_CARRIED_OUT:
            del self._carried_out[next(iter(self._carried_out))]

    async def _prepare(self, user: UserId, wanted: Prepare, found: Found, facts: Facts) -> Facts:
        """Store what must be there before the record says so."""
        entry = RosterEntry(wanted.session, facts.now, wanted.hears)
        entering = self._rosters.enter(user, entry, wanted.rooms, found)
        if wanted.note_of is None:
            return facts._replace(prepared=wanted, note=0, entries=await entering)
        noting = self._records.note(wanted.note_of, wanted.session, user, renews=wanted.renews_note)
        note, entries = await both(noting, entering)
        return facts._replace(prepared=wanted, note=note, entries=entries)

    async def _commit(
        self,
        target: Target[RecordT],
        before: RecordT | None,
        change: Change[RecordT],
        revision: int,
        now: int,
    ) -> tuple[RecordT, int] | None:
        """Set the timer and write the record, in one round trip; returns the record as it is stored now.

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
        after = msgspec.structs.replace(change.record, pending=change.effects)
        if self._told_until is not None:
            after = keeping(
                before,
                change,
                after,
                now,
                self._told_until(self._records.place_of(target.key), revision, now),
            )
        *_, written = await side_by_side(*writes, target.write(before, change, after, revision))
        return after, written


def _with_frames(reply: PresenceReply, frames: Mapping[bytes, bytes]) -> PresenceReply:
    """Put frames that lie apart into a reply; what is not among them it does not deliver."""
    if not isinstance(reply, Relay):
        return reply
    deliveries: list[Delivery] = []
    for each in reply.deliveries:
        if each.frame is None or lies_apart(each.frame) is None:
            deliveries.append(each)
        elif frame := frames.get(each.frame):
            deliveries.append(msgspec.structs.replace(each, frame=frame))
    return msgspec.structs.replace(reply, deliveries=tuple(deliveries))


def _listed_by(reply: Reply) -> RoomId | None:
    """Return the room whose roster a reply has."""
    match reply:
        case ListRoom(room=room) | Entered(room=room, lists=True):
            return room
        case _:
            return None


def _changes_nothing(change: Change[User]) -> bool:
    """Whether no write will find out that the record was another one; what lists a room reads on."""
    return change.record is None and not isinstance(change.reply, ListRoom)


_NEVER_DOUBTED: Final = ErrorCode.UNKNOWN_COMMAND.name
"""Whatever is stored, the same message is refused so."""

_OF_THE_PAIR: Final = ErrorCode.TOO_MANY_CANDIDATES.name
"""A refusal by what the two negotiate alone: what is known of the users could only refuse it otherwise."""


def _doubted(reply: Reply, users: tuple[str, ...], pair: str) -> tuple[str, ...]:
    """Name the keys of which a replica that lags behind could have caused this reply wrongly.

    Too many candidates are held no more once the answer has released them, so that refusal is doubted, too.
    """
    match reply:
        case Refused(reason) if reason == _NEVER_DOUBTED:
            return ()
        case Refused(reason) if reason == _OF_THE_PAIR:
            return (pair,)
        case Refused() | SessionGone():
            return (*users, pair)
        case Gathered(replies):
            named = (_doubted(each, users, pair) for each in replies)
            return tuple(dict.fromkeys(key for keys in named for key in keys))
        case _:
            return ()
