"""Carry out what the backend decides about users, rooms and calls, at once and also on what is under way.

For each order: first the user's standing, which counts from then on, whatever comes
(`presence.rules.standing`); then the user's record, so that a session that lives, or is just about to begin,
has it (`presence.rules.moderation`). Each step is taken only while no later order has overtaken this one
(`presence.rules.orders`): a process may stand still before it.
Each takes, beside the order, which copy of that it carries out (`presence.rules.orders.Place.claim`).
What a gateway has to do for that it is asked to do, and has done it when the backend is answered: a word on
the way to it may be lost with a broker that dies. Repeating an order changes nothing more.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from presence.changes import Changes
from presence.records import Records
from presence.rules import moderation as rules
from presence.rules.change import Rule
from presence.rules.orders import (
    ANSWERED,
    BAN,
    OVERTAKEN,
    VOICE,
    Place,
    in_place,
    of_room,
    unless_answered,
    waited_until,
)
from presence.rules.user import Session, User
from presence.side_by_side import some_at_once
from presence.standings import Standings
from presence.store import StoreUnavailable, read_one
from tieline.runtime.requests import NoAnswer
from tieline.wire.codes import CloseCode, ErrorCode
from tieline.wire.ids import NO_CALL, GatewayId, RoomId, UserId
from tieline.wire.internal import codec
from tieline.wire.internal.answers import Refused
from tieline.wire.internal.backend import (
    AddMember,
    Affected,
    Ban,
    Disconnect,
    EndCall,
    JoinOrder,
    RemoveMember,
    SetVoice,
)
from tieline.wire.internal.directions import PresenceReply
from tieline.wire.internal.rooms import RoomJoined, RoomMembers
from tieline.wire.internal.sessions import CloseSession
from tieline.wire.subjects import Keys, users_of_pair

ANSWER_S: Final = 1.5
"""For a gateway to close a connection, or to make its session a member: that takes some round trips."""

TRIES: Final = 5
"""Times that a user is put into a room who moves from gateway to gateway meanwhile."""

AGAIN_S: Final = 0.05
"""Between two of these. A gateway that is about to hear that its client was put out takes it for a member."""

AT_ONCE: Final = 8
"""Calls of one user that are ended side by side: others keep their share of the store."""

MOST_GIVEN: Final = 1_000
"""Rooms that one user is given at most where operators set no limit: its standing is read at each connect."""

NOT_THERE: Final = ErrorCode.NOT_IN_SAME_ROOM.name
"""What a gateway says of a session that was put out of the room before it could say that it is in."""

AskGateway = Callable[[GatewayId, str, bytes, float], Awaitable[bytes]]
"""Ask a gateway on one of its subjects, for so many seconds; raises `NoAnswer`."""


class Moderation:
    """Carries out orders. Raises what `Store` and `Publisher` raise; repeating is always safe."""

    def __init__(
        self,
        records: Records,
        changes: Changes,
        standings: Standings,
        ask_gateway: AskGateway,
        max_rooms: int = 0,
    ) -> None:
        """Take also the rooms that a user may be in at most; 0: any number."""
        self._records = records
        self._changes = changes
        self._standings = standings
        self._ask_gateway = ask_gateway
        self._most_given = max_rooms or MOST_GIVEN

    async def add(self, order: AddMember, claim: int = 0) -> PresenceReply:
        """Make a user a member, now or when it connects."""
        user, room = order.user, order.room
        place = _place(order, of_room(room), claim, room)
        put_in = in_place(place, functools.partial(rules.put_in, room))
        for _ in range(TRIES):
            not_given = await self._standings.give(room, place, self._most_given)
            if not_given is not None:
                await self._standings.take_back(room, place)  # what it has given in a round before
                return not_given
            record = await self._record(user)
            if record is not None and rules.is_asked_by_gateway(record, room):
                reply = await self._have_joined(order, record.session)
            else:
                reply = await self._changes.user(user, put_in, rooms=(room,), confirmed=True)
            if isinstance(reply, Refused):
                await self._standings.take_back(room, place)
                refused = functools.partial(rules.not_put_in, room, reply)
                reply = await self._changes.user(user, refused, confirmed=True)
                if isinstance(reply, Refused):
                    return reply
                continue  # what another copy has asked before has put it in meanwhile
            record = await self._record(user)
            is_elsewhere = record is not None and record.is_reachable and room not in record.rooms
            if reply is not None and not is_elsewhere:
                return reply
            await asyncio.sleep(AGAIN_S)
        raise StoreUnavailable("the user is somewhere else again and again")

    async def _have_joined(self, order: AddMember, session: Session) -> PresenceReply | None:
        """Have the gateway of a session make it a member; None: it is gone, or was put out since.

        Whether a later order has put it out its standing says.
        """
        wanted = JoinOrder(order.user, order.room, session.id, order.number, order.once)
        try:
            answer = await self._ask_gateway(session.gateway, "join", codec.encode(wanted), ANSWER_S)
        except NoAnswer as error:
            if await self._lives(session.gateway):
                raise StoreUnavailable("the user's gateway does not answer") from error
            return None
        match codec.decode_presence_reply(answer):
            case RoomJoined() | RoomMembers():
                return Affected(1)
            case Refused() as refused if refused != ANSWERED and refused.reason != NOT_THERE:
                return Refused(refused.reason)
            case _:
                return None

    async def remove(self, order: RemoveMember, claim: int = 0) -> PresenceReply:
        """Put a user out of a room, and keep it out for a while."""
        room, until = order.room, self._changes.clock() + int(order.kept_out_s * 1000)
        place = _place(order, of_room(room), claim, room)
        if await self._standings.take(room, place, until) is None:
            return OVERTAKEN
        reply = await self._put_out(room, place)
        if reply == OVERTAKEN:  # the room was closed since, and it may come again
            await self._standings.take(room, place, 0)
        return reply

    async def put_out(self, room: RoomId, until: int, number: int, user: UserId) -> PresenceReply:
        """Put a user out of a room that is being closed, and keep it out until then, in Unix milliseconds.

        The order to close it has this number; of whom a later one has decided since, that one counts.
        """
        place = Place(user, of_room(room), number, closing=room)
        if await self._standings.take(room, place, until, ages=False) is None:
            return OVERTAKEN
        return await self._put_out(room, place)

    async def _put_out(self, room: RoomId, place: Place) -> PresenceReply:
        put_out = in_place(place, functools.partial(rules.put_out, room))
        reply = await self._changes.user(place.user, put_out, confirmed=True)
        await self._changes.settle_all_kept_for(place.user)
        return reply

    async def disconnect(self, order: Disconnect, claim: int = 0) -> PresenceReply:
        """End a user's session, and close its connection."""
        in_time = functools.partial(unless_answered, order.once, claim)
        return await self._disconnect(order.user, in_time, waited_until(order.number))

    async def ban(self, order: Ban, claim: int = 0) -> PresenceReply:
        """Keep a user away, or let it come again."""
        place = _place(order, BAN, claim)
        if await self._standings.ban(place, order.for_s) is None:
            return OVERTAKEN
        in_turn = functools.partial(in_place, place)
        if order.for_s <= 0:  # who is about to disconnect it for an older ban finds the record changed
            return await self._changes.user(order.user, in_turn(rules.touch), confirmed=True)
        reply = await self._disconnect(order.user, in_turn)
        await self._changes.settle_all_kept_for(order.user)
        return reply

    async def _disconnect(
        self, user: UserId, in_turn: Callable[[Rule[User]], Rule[User]], until_ms: int | None = None
    ) -> PresenceReply:
        rule = in_turn(functools.partial(rules.disconnect, user))
        reply = await self._changes.user(user, rule, confirmed=True, until_ms=until_ms)
        record = await self._record(user)
        if record is not None and not record.is_reachable and record.session.left:
            await self._have_closed(user, record.session)
        return reply

    async def _have_closed(self, user: UserId, session: Session) -> None:
        """Have the connection of a session closed that has ended, if it is still there."""
        if not session.hears or not session.gateway:  # a gateway of version 0.1 says nothing to that
            return
        order = CloseSession(user, session.id, session.connection, int(CloseCode.KICKED))
        try:
            await self._ask_gateway(session.gateway, "close", codec.encode(order), ANSWER_S)
        except NoAnswer as error:
            if await self._lives(session.gateway):
                raise StoreUnavailable("the user's gateway does not answer") from error

    async def set_voice(self, order: SetVoice, claim: int = 0) -> PresenceReply:
        """Let a user start no calls, and end those that it has; or let it start some again."""
        user, is_allowed, place = order.user, order.is_allowed, _place(order, VOICE, claim)
        if await self._standings.silence(place, is_silenced=not is_allowed) is None:
            return OVERTAKEN
        rule = in_place(place, functools.partial(rules.set_voice, user, is_allowed))
        reply = await self._changes.user(user, rule, confirmed=True)
        if not is_allowed and reply != OVERTAKEN:
            await self._end_all(place, f"voice {order.once}")
        return reply

    async def _end_all(self, place: Place, cause: str) -> None:
        user = place.user
        pairs: Sequence[str] = await self._records.store.keys(*Keys.pairs_of(user))
        peers = [other if one == user else one for one, other in map(users_of_pair, pairs)]

        async def end(peer: UserId) -> None:
            rule = functools.partial(rules.end_call, user, peer, NO_CALL, f"{cause} {peer}")
            await self._changes.end_offered(user, peer, in_place(place, rule))

        await some_at_once(end, peers, AT_ONCE)

    async def end_call(self, order: EndCall, claim: int = 0) -> PresenceReply:
        """End what two users negotiate."""
        rule = functools.partial(rules.end_call, order.user, order.peer, order.call, f"ended {order.once}")
        in_time, until_ms = unless_answered(order.once, claim, rule), waited_until(order.number)
        reply = await self._changes.end_offered(order.user, order.peer, in_time, until_ms)
        assert isinstance(reply, Affected | Refused)  # the rule says nothing else
        return reply

    async def _record(self, user: UserId) -> User | None:
        return (await self._records.users((user,), confirmed=True)).get(user)

    async def _lives(self, gateway: GatewayId) -> bool:
        """Whether a gateway has its lease."""
        return bool((await read_one(self._records.store, Keys.lease_timer(gateway))).value)


def _place(
    order: AddMember | RemoveMember | Ban | SetVoice, what: str, claim: int, room: RoomId | None = None
) -> Place:
    return Place(order.user, what, order.number, order.once, claim, room)
