"""Every change of a record of presence: which records a rule sees, and what is answered.

What is decided is a rule's business (`presence.rules`); how it is stored, and others are told, that of the
loop (`presence.change_loop`).
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from presence.announce import Announcer
from presence.call_endings import ENDED_AT_ONCE
from presence.change_loop import ChangeLoop, Finished, Loaded, Outbox
from presence.effects import AllHear, Effects
from presence.frames_apart import completed
from presence.kept_offers import KeptOffers
from presence.old_calls import OldCalls
from presence.record_codec import rosters_in, user_in
from presence.records import Guess, Records
from presence.room_log import RoomLog
from presence.rosters import Rosters
from presence.rules.change import (
    Change,
    Entered,
    Gathered,
    ListRoom,
    Reply,
    Rule,
)
from presence.rules.doubts import changes_nothing, doubted
from presence.rules.gathered import gathered
from presence.rules.negotiated import Negotiation
from presence.rules.room import StoredEntry
from presence.rules.session import calls_are_ended
from presence.rules.user import RosterEntry, User
from presence.rules.waking import done, settle
from presence.second_look import Offered
from presence.settling import Settling
from presence.store import Record
from presence.targets import Clock, Found, NegotiationRecord, UserRecord
from tieline.wire.ids import RoomId, UserId
from tieline.wire.internal.directions import PresenceReply
from tieline.wire.internal.rooms import RoomJoined, RoomMembers
from tieline.wire.internal.sessions import Opened
from tieline.wire.subjects import Keys


def entering(user: UserId, rooms: Iterable[RoomId]) -> tuple[str, ...]:
    """Name what is read of rooms that a user may enter: its entry, and whether the room is being closed."""
    return tuple(key for room in rooms for key in (Keys.room(room, user), Keys.closing(room)))


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
        outbox: Outbox | None = None,
        kept: KeptOffers | None = None,
        settling: Settling | None = None,
    ) -> None:
        """Take also for how many calls of an older session one who connects anew waits.

        `outbox` tells the stream of events what records keep; None: there is no such stream, and records keep
        no facts. `kept` has the offers that are kept for who is not there; `settling` has the records that
        are settled later.
        """
        self._kept = kept
        self._records = records
        self._old_calls = old_calls
        self._rosters = rosters
        self.clock = clock
        self._effects = Effects(
            records,
            rosters,
            announcer,
            clock,
            self._end_negotiation,
            log,
            all_hear,
            most_waited_for,
            kept,
            self.settle_kept,
        )
        note_waiting = None if kept is None else kept.note
        self._loop = ChangeLoop(records, rosters, self._effects, clock, outbox, note_waiting, settling)
        self.forget_carried_out = self._loop.forget_carried_out

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
        until_ms: int | None = None,
        lists: RoomId | None = None,
    ) -> PresenceReply:
        """Change a user's record by a rule, which may want to enter `rooms`, and looks at the keys `also`.

        Whether those rooms are being closed it sees, too.

        With `confirmed` the rule decides on what the leader says. Else what it looks at may lag a moment
        behind. A write finds that out; where nothing is written, the leader is asked, and the rule again.
        `found` may hold the record as it was read just now, together with those of others. Else, if it looks
        at no keys `also`, it is decided on the record that this process remembers, if it writes what it
        decides: an entry of a room is then taken not to be there, which its write finds out, too.
        The keys `also` are read with the record: a replica that lags may lack what was written to them before
        a record that is remembered. With `leaves_calls` the calls of an older session end later
        (`presence.old_calls`), if they are many. After `until_ms` nothing is changed, as in `negotiations`.
        Of the room that it `lists` the roster is read with the record, if it is short: its log, which whoever
        lists it so hears already, has what comes later.
        """
        target = UserRecord(user, self._records, self._effects, leaves_calls=leaves_calls)
        # In this order `also` is read as of the same moment as the record, however many rooms there are.
        entries = (*also, *entering(user, rooms))
        first = [] if found is None else [Loaded(found)]
        if found is None and not also and (recalled := self._records.memory.users((target.key,))) is not None:
            first.append(Loaded(recalled, is_remembered=True))

        seen: dict[RoomId, list[StoredEntry]] = {}

        async def load(leader: bool) -> Loaded:
            if first and not leader:
                return first.pop()
            seen.clear()
            if lists is not None and not leader:
                found = await self._rosters.read_beside(lists, target.key, entries, self.clock())
                if found is not None:
                    seen.update(rosters_in(found, [lists]))
                    return Loaded(found, has_roster=True)
            return Loaded(await self._records.read_user(target.key, *entries, confirmed=leader))

        looked_at = (target.key, *entries)

        def doubts(change: Change[User]) -> tuple[str, ...]:
            return looked_at if changes_nothing(change) else ()

        finished = await self._loop.change(
            target, rule, load, entries, confirmed=confirmed, doubts=doubts, until_ms=until_ms
        )
        if isinstance(finished.record, User) and finished.record.ending is not None:
            self._old_calls.note(user)
        match finished.reply:
            case ListRoom(room=room, revisions=revisions):
                return await self._list(user, room, finished, {}, revisions=revisions)
            case Entered(room=room, lists=is_listed):
                number = finished.told.numbers.get(room, 0)
                if not is_listed:
                    return RoomJoined(number)
                return RoomJoined(number, await self._list(user, room, finished, seen, revisions=True))
            case Opened(asked=asked) as opened if asked:
                return msgspec.structs.replace(opened, revision=finished.revision)
            case reply:
                assert not isinstance(reply, Gathered)  # that is for signals
                return reply

    async def _list(
        self,
        user: UserId,
        room: RoomId,
        finished: Finished,
        seen: Mapping[RoomId, list[StoredEntry]],
        *,
        revisions: bool,
    ) -> RoomMembers:
        """List a room as it is after the change that has finished, or was `seen` before it, with the user."""
        assert isinstance(finished.record, User)  # nobody else is told who is in a room
        roster = finished.told.rosters.get(room)
        if roster is None and room in seen:
            member = finished.record.rooms[room]
            entry = RosterEntry(finished.record.session.id, member.since)
            others = (stored for stored in seen[room] if stored.user != user)
            roster = [*others, StoredEntry(user, entry, member.entry)]
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
            return doubted(change.reply, users, target.key)

        rule = gathered(rules)
        finished = await self._loop.change(target, rule, load, users, doubts=doubts, until_ms=until_ms)
        written = {target.key: finished.revision}
        replies: tuple[Reply, ...] = (finished.reply,)
        looks = 0
        if isinstance(finished.reply, Gathered):
            replies, looks = finished.reply
        judged = [Judged(reply) for reply in await completed(replies, one, other, written, self._records)]
        if finished.look_again is not None:
            offered = Offered(one, other, finished.look_again, finished.revision)
            judged[looks] = judged[looks]._replace(offered=offered)
        return judged

    async def end_offered(
        self, one: UserId, other: UserId, rule: Rule[Negotiation], until_ms: int | None = None
    ) -> Reply:
        """Change, or end, what two users negotiate by a rule, which decides on what the leader says.

        After `until_ms` nothing is changed, as in `negotiations`.
        """
        target = NegotiationRecord(one, other, self._records, self._effects, self.clock)
        users = (Keys.user(one), Keys.user(other))

        async def load(_leader: bool) -> Loaded:
            return Loaded(await self._records.read_negotiation(users, target.key, confirmed=True))

        changed = await self._loop.change(
            target, rule, load, users, confirmed=True, doubts=lambda _: (), until_ms=until_ms
        )
        return changed.reply

    async def settle_kept(self, caller: UserId, callee: UserId) -> None:
        """Decide what becomes of an offer that is kept, if one is, as things are now."""
        if self._kept is not None:
            rule = functools.partial(settle, caller, callee, self._kept.offer_timeout_s, done)
            await self.end_offered(caller, callee, rule)

    async def settle_all_kept_for(self, user: UserId) -> None:
        """Decide so about all offers that are kept for a user: it may be waited for no more."""
        if self._kept is not None and self._kept.is_on:
            for caller in await self._kept.callers(user):
                await self.settle_kept(caller, user)

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

        await self._loop.change(target, rule, load, users, confirmed=True, doubts=lambda _: ())
