"""Close rooms, however many are in them: at once for who comes, and one after the other for who is there.

To put a thousand out takes longer than anybody waits for an answer. So what is under way is a record of the
room: with it nobody comes in any more (`presence.rules.closing`). It is carried out in slices. The first one
is the request's own; a timer, which outlives every process, begins the next one. The answer to a request says
how many are left; the same request again is the next slice, and when nobody is left the answer is kept under
its name (`presence.once`), also where no request was waiting for it.
"""

import functools
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from presence.once import Once
from presence.records import Records
from presence.rosters import Rosters
from presence.rules import closing as rules
from presence.rules.closing import Closing
from presence.rules.orders import OVERTAKEN
from presence.rules.room import is_held
from presence.rules.standing import NUMBERS_KEPT_MS
from presence.side_by_side import some_at_once
from presence.standings import Standings
from presence.store import MAX_TRIES, Conflict, lost_rounds, read_one
from tieline import metrics
from tieline.wire.ids import RoomId, UserId
from tieline.wire.internal import codec
from tieline.wire.internal.backend import Affected, CloseRoom
from tieline.wire.internal.directions import PresenceReply
from tieline.wire.subjects import Keys

SLICE_S: Final = 3.0
"""How long members are put out before the request is answered: the API waits for 5 s."""

TIMER_S: Final = SLICE_S + 1.0
"""After which the next slice begins, if there is one."""

AT_ONCE: Final = 16
"""Members that are put out side by side: others keep their share of the store."""

MOST_S: Final = 600.0
"""After so long without progress, because no presence process lives, the room is open again."""

KEPT_S: Final = NUMBERS_KEPT_MS / 1000
"""How long it is remembered when a room was closed."""

PutOut = Callable[[RoomId, int, int, UserId], Awaitable[PresenceReply]]
"""Put one user out of a room, and keep it out until then, in Unix milliseconds, for an order of a number."""

_log = logging.getLogger(__name__)


class Closings:
    """Closes rooms. Raises what `Store` and `Publisher` raise; repeating is always safe."""

    def __init__(
        self,
        records: Records,
        rosters: Rosters,
        once: Once,
        clock: Callable[[], int],
        put_out: PutOut,
        standings: Standings,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take also the clock, in Unix milliseconds."""
        self._standings = standings
        self._records = records
        self._rosters = rosters
        self._once = once
        self._clock = clock
        self._put_out = put_out
        self._monotonic = monotonic

    async def close(self, order: CloseRoom) -> PresenceReply:
        """Begin to close a room, or go on: the answer says how many are out, and how many are left."""
        asked = codec.encode(order)
        until = self._clock() + int(order.kept_out_s * 1000)
        closing = await self._change(
            order.room, lambda before: rules.begun(before, asked, order.number, until)
        )
        if closing is None:
            return OVERTAKEN
        if closing.is_done:
            return Affected(closing.out)
        return await self._put_out_some(order.room)

    async def go_on(self, room: RoomId) -> None:
        """Put more of the members out, if a room is being closed: what a timer begins."""
        closing, _ = await self._read(room)
        if closing is not None and not closing.is_done:
            now = await self._put_out_some(room)
            _log.info("room is being closed", extra={"room": room, "out": now.count, "left": now.left})

    async def _put_out_some(self, room: RoomId) -> Affected:
        """Put members out for the time of a slice, and say so to the next one, which a timer begins."""
        await self._records.store.put(Keys.close_timer(room), b"", TIMER_S)
        until = self._monotonic() + SLICE_S
        users, out, unnoted, spared = await self._all(room), 0, 0, set[UserId]()
        while (closing := (await self._read(room))[0]) is not None and not closing.is_done:
            put_out = functools.partial(self._put_out_in_time, room, closing, until)
            replies = await some_at_once(put_out, users, AT_ONCE)
            spared.update(user for user, reply in zip(users, replies, strict=True) if reply == OVERTAKEN)
            more = sum(reply.count for reply in replies if isinstance(reply, Affected))
            out += more
            closing = await self._change(room, functools.partial(rules.with_more, more))
            if closing is None:
                unnoted = more
                break
            users = [user for user in await self._left(room, closing.number) if user not in spared]
            if not users:
                return await self._finish(room, closing)
            if self._monotonic() >= until:
                return Affected(closing.out, len(users))
        done, _ = await self._read(room)  # by another process, which has found that nobody is left
        return Affected(out if done is None else max(out, done.out + unnoted))

    async def _put_out_in_time(
        self, room: RoomId, closing: Closing, until: float, user: UserId
    ) -> PresenceReply | None:
        """Put one user out, unless the time of the slice is over."""
        if self._monotonic() >= until:
            return None
        return await self._put_out(room, closing.until, closing.number, user)

    async def _all(self, room: RoomId) -> list[UserId]:
        """List who is in a room or would be, and whose session is just about to begin there."""
        entries = await self._rosters.read_now(room)
        return list(
            dict.fromkeys((*(entry.user for entry in entries), *await self._standings.entered_in(room)))
        )

    async def _left(self, room: RoomId, number: int) -> list[UserId]:
        """List who is still in a room or would be: whoever has come just before is no replica's to miss.

        Whom a later order than that number gives the room, or is about to, stays.
        """
        entries = await self._rosters.read_now(room)
        users = await self._records.users_now(entry.user for entry in entries)
        members = [each.user for each in entries if is_held(users.get(each.user), each.entry, room)]
        given = await self._standings.entered_in(room)
        return list(dict.fromkeys((*members, *(user for user, by in given.items() if by.number <= number))))

    async def _finish(self, room: RoomId, closing: Closing) -> Affected:
        """Open the room to those who come later, and keep the answer for whoever asks again.

        In this order: whom the backend adds when it is answered is not kept out.
        """
        done = await self._change(room, functools.partial(rules.finished, closing), KEPT_S)
        reply = Affected(closing.out if done is None else done.out)
        order = rules.order_of(closing)
        if order is not None:
            await self._once.settle(order, reply)
        return reply

    async def _read(self, room: RoomId) -> tuple[Closing | None, int]:
        record = await read_one(self._records.store, Keys.closing(room))
        return rules.read(record.value), record.revision

    async def _change(
        self, room: RoomId, change: Callable[[Closing | None], Closing | None], kept_s: float = MOST_S
    ) -> Closing | None:
        """Change what is under way, which is kept for so many seconds; returns what it is then."""
        for _ in range(MAX_TRIES):
            before, revision = await self._read(room)
            after = change(before)
            if after is None or after == before:
                return after
            try:
                await self._records.store.write(Keys.closing(room), rules.write(after), revision, kept_s)
            except Conflict:
                metrics.CAS_CONFLICTS.inc()
                continue
            return after
        raise lost_rounds(Keys.closing(room))
