"""End the negotiations of a user whose session has ended, or who shares no room with the other any more.

There may be hundreds: they are read and ended some at a time, and those that need not end are not read. How
one ends is in `presence.rules.endings`, when that is to be done in `presence.effects` and
`presence.old_calls`.
"""

import functools
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from presence.record_codec import negotiation_in, users_in
from presence.records import Records
from presence.rules import endings
from presence.rules.change import Rule
from presence.rules.effects import EndCalls, EndCallsWithoutRoom
from presence.rules.negotiated import Negotiation
from presence.rules.user import User, share_a_room
from presence.side_by_side import batched, both, side_by_side
from presence.store import ABSENT, Record
from tieline.runtime.unreadable import Unreadable
from tieline.wire.ids import UserId
from tieline.wire.subjects import Keys, users_of_pair

EndNegotiation = Callable[[UserId, UserId, Rule[Negotiation], Mapping[str, Record]], Awaitable[object]]
"""Change the negotiation of two users by a rule; its record, as it was read, is among what is given last, and
maybe those of both users, as they were read after it."""

ENDED_AT_ONCE: Final = 32
"""Negotiations of one user that are ended side by side, so that others keep their share of the store. Who
connects anew waits for as many of the session before, and not for more."""

PAIR: Final = "pair."
"""Begins the key of every negotiation (`tieline.wire.subjects.Keys`)."""

FEW: Final = 4
"""So many negotiations are read with what is read anyway, and looked at one by one. Of more their keys are
listed, which costs more than to read so few, and it is asked first which of them may have to end."""

_unreadable: Final = Unreadable(logging.getLogger(__name__))


class CallEndings:
    """Ends negotiations of one user. Raises what `Store` raises; repeating is always safe."""

    def __init__(self, records: Records, end_negotiation: EndNegotiation) -> None:
        self._records = records
        self._end_negotiation = end_negotiation

    async def end_old(self, user: UserId, effect: EndCalls, revision: int) -> None:
        """End what is left of the calls of a user's older session; the user's record has this revision."""
        pairs = await self._records.store.keys(*Keys.pairs_of(user))
        await self.end(user, revision, effect, pairs, {})

    async def end(
        self,
        user: UserId,
        revision: int,
        effect: EndCalls | EndCallsWithoutRoom,
        pairs: list[str],
        read: Mapping[str, Record],
    ) -> None:
        """End those of a user's negotiations, of which these are the keys, that the effect is about.

        Unless they are among what was `read`, they are read and ended some at a time: there may be hundreds.
        """
        peers = {key: peer for key in pairs if (peer := _peer_in(key, user)) is not None}
        mine = Keys.user(user)
        if isinstance(effect, EndCallsWithoutRoom) and len(peers) > FEW:
            keys = [Keys.user(peer) for peer in peers.values()]
            # Whichever of two users changed last has a replica that has what both have done.
            users = users_in(
                await self._records.read_after({mine: revision}, mine, *keys), (user, *peers.values())
            )
            peers = {key: peer for key, peer in peers.items() if not _share_a_room(users, user, peer)}
        for keys in batched(peers, ENDED_AT_ONCE):
            found = read
            if not all(key in read for key in keys):
                found = await self._records.read_after({mine: revision}, mine, *keys)
            open_ = [peers[key] for key in keys if _may_have_to_end(found, key)]
            if open_ and isinstance(effect, EndCalls):
                found = {**found, **await self._beside(user, revision, open_)}
            await side_by_side(
                *(self._end_negotiation(user, peer, _end_of(effect, user, peer), found) for peer in open_)
            )

    async def _beside(self, user: UserId, revision: int, peers: Sequence[UserId]) -> Mapping[str, Record]:
        """Read the peers of a user whose session has ended, all at once, and whether it is back meanwhile.

        Of the peers it is needed where they are told: a session that is newer than what a replica has, which
        has the end of this user's session, knows nothing of the call.
        """
        key, keys = Keys.user(user), [Keys.user(peer) for peer in peers]
        mine, theirs = await both(
            self._records.store.read(key, confirmed=True),
            self._records.read_after({key: revision}, key, *keys),
        )
        return {each: theirs.get(each, ABSENT) for each in keys} | {key: mine.get(key, ABSENT)}


def _end_of(effect: EndCalls | EndCallsWithoutRoom, user: UserId, peer: UserId) -> Rule[Negotiation]:
    if isinstance(effect, EndCalls):
        return functools.partial(endings.end_calls, effect, user, peer)
    return functools.partial(endings.end_calls_without_room, effect, user, peer)


def _may_have_to_end(found: Mapping[str, Record], key: str) -> bool:
    negotiation, _ = negotiation_in(found, key)
    return negotiation is not None and (negotiation.is_active or bool(negotiation.pending))


def pairs_to_end(user: UserId, record: User) -> tuple[str, ...]:
    """Return the patterns of the negotiations that the record's effects may end."""
    if any(isinstance(effect, EndCalls | EndCallsWithoutRoom) for effect in record.pending):
        return Keys.pairs_of(user)
    return ()


def _peer_in(key: str, user: UserId) -> UserId | None:
    """Name the other of two users; None: the key cannot be read."""
    try:
        one, other = users_of_pair(key)
    except ValueError as error:
        _unreadable.note("record", error)
        return None
    return other if one == user else one


def _share_a_room(users: Mapping[UserId, User], one: UserId, other: UserId) -> bool:
    return one in users and other in users and share_a_room(users[one], users[other])
