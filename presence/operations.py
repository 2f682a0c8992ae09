"""What may be asked of presence: for each request, the rule that decides it and the record that it changes.

A new operation is a message in `tieline.wire.internal`, put by `directions` into the union of those who may
ask for it, a rule in `presence.rules`, and a row here.
"""

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol, TypeVar

import msgspec

from presence.changes import Changes, entering
from presence.entitlement import Entitlement
from presence.gateways import Gateways
from presence.judging import Judging
from presence.records import Records
from presence.room_log import RoomLog
from presence.rules import entitled, holding, orders, room, session, standing
from presence.rules.change import Facts, Step
from presence.rules.entitled import BEYOND, Entitled
from presence.rules.retell_pace import RetellPace
from presence.rules.signals import Terms
from presence.rules.user import User
from presence.second_look import SecondLooks
from presence.side_by_side import some_at_once
from presence.store import Record, StoreUnavailable
from tieline import metrics
from tieline.runtime.together import Together
from tieline.wire.codes import ErrorCode
from tieline.wire.ids import RoomId, UserId
from tieline.wire.internal.answers import Done, Refused
from tieline.wire.internal.directions import PresenceReply, PresenceRequest
from tieline.wire.internal.rooms import JoinRoom, LeaveRoom, ListMembers, Retell
from tieline.wire.internal.sessions import (
    EndSession,
    FindReplaced,
    KeepLease,
    Opened,
    OpenSession,
    Register,
    Regrant,
    Replaced,
    Tell,
)
from tieline.wire.internal.signals import Check
from tieline.wire.subjects import Keys

ENDS_AT_ONCE: Final = 4
"""Of the ends that a gateway tells together, so many are carried out side by side: a hundred who lose their
connection at once must leave the others their share of the store."""

OPENED_TOGETHER: Final = 32
"""Sessions that are begun in one turn, of which the records are read in one go: a gateway lets so many in
side by side (`gateway.sessions.arrival_queue`)."""

NO_ROOMS: Final[tuple[RoomId, ...]] = ()
NO_KEYS: Final[tuple[str, ...]] = ()


class OfUser(Protocol):
    """A request about one user's record."""

    @property
    def user(self) -> UserId:
        """Whose record it is about."""
        ...


AskT = TypeVar("AskT", bound=OfUser)

EntitledT = TypeVar("EntitledT", bound=Entitled)

UserRule = Callable[[AskT, User | None, Mapping[UserId, User], Facts], Step[User]]

Handler = Callable[..., Awaitable[PresenceReply]]
"""Takes a request of one kind, and carries it out."""

NOTHING_MORE: Final[Mapping[type[PresenceRequest], Handler]] = MappingProxyType({})


def _standing(ask: OfUser) -> tuple[str, ...]:
    """Name the key that says what the backend has decided about the user."""
    return (Keys.standing(ask.user),)


def _listed(ask: JoinRoom) -> RoomId | None:
    """Name the room that a gateway wants listed, of which it hears the log."""
    return ask.room if ask.hears and ask.lists else None


class Carried(NamedTuple):
    """What a request is answered, and what is done when the answer has left."""

    reply: PresenceReply
    afterwards: Callable[[], Awaitable[None]] | None = None
    """Nobody waits for it; it raises nothing."""


class Operations:
    """Carries out requests. Raises what `Store` and `Publisher` raise; asking again is always safe."""

    def __init__(
        self,
        records: Records,
        changes: Changes,
        gateways: Gateways,
        terms: Terms,
        resume_window_s: float,
        log: RoomLog,
        second_looks: SecondLooks,
        max_rooms: int = 0,
        entitlement: Entitlement | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        refused: Callable[[Check, str], None] | None = None,
        judge: str = "",
        backend: Mapping[type[PresenceRequest], Handler] = NOTHING_MORE,
    ) -> None:
        """Take also the rooms that a user may be in at most, 0: any number; and what looks at tokens.

        None: gateways are believed in what tokens say. `refused` is told of each offer that is refused, and
        by which name. `judge` is what verdicts name this process. `backend` carries out what the API asks
        (`presence.backend`).
        """
        self._log = log
        self._second_looks = second_looks
        self._judging = Judging(changes, terms, judge, refused, looks_at_tokens=entitlement is not None)
        self._entitlement = entitlement
        self._monotonic = monotonic
        self._records = records
        self._changes = changes
        self._terms = terms
        self._resume_window_s = resume_window_s

        def begin(
            ask: OpenSession, user: User | None, beside: Mapping[UserId, User], facts: Facts
        ) -> Step[User]:
            return session.open_session(session.within_limit(ask, max_rooms), user, beside, facts)

        self._reading = Together(self._read_together, OPENED_TOGETHER)
        self._begin: Callable[[OpenSession], Awaitable[PresenceReply]] = self._by_token(
            standing.opening(begin),
            lambda ask: session.within_limit(ask, max_rooms).join,
            also=self._lease_and_standing,
            leaves_calls=True,
            together=True,
        )
        self._restore: Callable[[Register], Awaitable[PresenceReply]] = self._by_token(
            standing.registering(session.register),
            also=self._lease_and_standing,
            confirmed=True,
        )
        by_word: UserRule[JoinRoom] = functools.partial(room.join, max_rooms=max_rooms)
        by_token = by_word
        list_members: UserRule[ListMembers] = room.list_members
        if entitlement is not None:
            by_word, list_members = entitled.in_time(by_word), entitled.in_time(list_members)
            by_token = entitled.in_time(entitled.joining(by_token))
        join = orders.joining(standing.joining(by_token, by_word))
        self._gateways = gateways
        self._under_way: dict[OpenSession | EndSession, asyncio.Future[PresenceReply | None]] = {}
        self._table: dict[type[PresenceRequest], Handler] = {
            OpenSession: self._open,
            EndSession: self._end,
            Register: self._register,
            Regrant: self._by_token(standing.regranting(session.regrant), also=_standing),
            Tell: self._on_user(session.tell, confirmed=True),
            FindReplaced: self._find_replaced,
            JoinRoom: self._counted(
                self._on_user(join, lambda ask: (ask.room,), also=_standing, lists=_listed)
            ),
            LeaveRoom: self._on_user(room.leave),
            ListMembers: self._on_user(holding.by_its_gateway(list_members)),
            KeepLease: gateways.keep_lease,
            Retell: self._retell,
            **backend,
        }
        self._retell_pace = RetellPace()

    async def carry_out(self, request: PresenceRequest) -> Carried:
        """Carry out one request.

        Raises:
            StoreUnavailable: not carried out, or not known whether it is.
            BrokerAway: others could not be told.
        """
        if isinstance(request, Check):
            reply, offered = await self._judging.judge(request)
            return Carried(reply, offered and functools.partial(self._second_looks.look, offered))
        return Carried(await self._table[type(request)](request))

    def _lease(self, ask: OpenSession | Register) -> tuple[str, ...]:
        """Name the key that says whether the asking gateway has its lease, if it is to be held to it."""
        if not ask.asked:
            return ()
        return (Keys.lease_timer(ask.gateway, self._records.place_of(Keys.user(ask.user))),)

    def _lease_and_standing(self, ask: OpenSession | Register) -> tuple[str, ...]:
        return (*self._lease(ask), *_standing(ask))

    def _on_user(
        self,
        rule: UserRule[AskT],
        rooms: Callable[[AskT], tuple[RoomId, ...]] = lambda _: NO_ROOMS,
        *,
        also: Callable[[AskT], tuple[str, ...]] = lambda _: NO_KEYS,
        confirmed: bool = False,
        leaves_calls: bool = False,
        lists: Callable[[AskT], RoomId | None] = lambda _: None,
    ) -> Callable[[AskT], Awaitable[PresenceReply]]:
        """Have a rule decide on the record of the user who is named in the request.

        `rooms` are those that the rule may want to enter, `also` keys that it looks at, `lists` says which
        room is listed. See `Changes.user`.
        """

        async def carry_out(ask: AskT) -> PresenceReply:
            decide = functools.partial(rule, ask)
            return await self._changes.user(
                ask.user,
                decide,
                rooms=rooms(ask),
                also=also(ask),
                confirmed=confirmed,
                leaves_calls=leaves_calls,
                lists=lists(ask),
            )

        return carry_out

    def _by_token(
        self,
        rule: UserRule[EntitledT],
        rooms: Callable[[EntitledT], tuple[RoomId, ...]] = lambda _: NO_ROOMS,
        *,
        also: Callable[[EntitledT], tuple[str, ...]] = lambda _: NO_KEYS,
        confirmed: bool = False,
        leaves_calls: bool = False,
        together: bool = False,
    ) -> Callable[[EntitledT], Awaitable[PresenceReply]]:
        """Have a rule decide, as `_on_user` does, on what only a token entitles to, if that is looked at.

        With `together` the records are read with those of others who ask for the same in this turn.
        """

        async def carry_out(ask: EntitledT) -> PresenceReply:
            judged = None if self._entitlement is None else await self._entitlement.judge(ask)
            if isinstance(judged, Refused):
                return judged
            decide = entitled.granting(functools.partial(rule, ask), ask, judged)
            wanted, beside = rooms(ask), also(ask)
            found = None
            if together:
                keys = (Keys.user(ask.user), *beside, *entering(ask.user, wanted))
                found = await self._reading.find(None, keys)
            reply = await self._changes.user(
                ask.user,
                decide,
                rooms=wanted,
                also=beside,
                confirmed=confirmed,
                found=found,
                leaves_calls=leaves_calls,
            )
            if self._entitlement is not None and reply == BEYOND:
                return self._entitlement.refuse_beyond(ask, "rooms")
            return reply

        return carry_out

    async def _read_together(
        self, _kind: None, each: list[tuple[str, ...]]
    ) -> dict[tuple[str, ...], dict[str, Record]]:
        """Read what several look at, and give each its own."""
        return await self._records.read_together(each)

    def _counted(
        self, carry_out: Callable[[JoinRoom], Awaitable[PresenceReply]]
    ) -> Callable[[JoinRoom], Awaitable[PresenceReply]]:
        """Count the rooms that no token grants to those who want to join them."""

        async def counted(ask: JoinRoom) -> PresenceReply:
            reply = await carry_out(ask)
            if reply == Refused(standing.KEPT_OUT):
                return Refused(ErrorCode.ROOM_FORBIDDEN.name)
            if isinstance(reply, Refused) and reply.refusal is ErrorCode.ROOM_FORBIDDEN:
                metrics.TOKENS_REFUSED.labels("room").inc()
            return reply

        return counted

    async def _once(
        self, ask: OpenSession | EndSession, carry_out: Callable[[], Awaitable[PresenceReply]]
    ) -> PresenceReply:
        """Carry out a request; the same again, while it is under way, waits for its answer.

        A gateway asks again after half a second, and ending hundreds of calls of a session may take that
        long: done several times side by side it would take longer still. When that has failed, it is begun
        once more.
        """
        while (under_way := self._under_way.get(ask)) is not None:
            reply = await asyncio.shield(under_way)
            if reply is not None:
                return reply
        outcome = self._under_way[ask] = asyncio.get_running_loop().create_future()
        reply = None
        try:
            reply = await carry_out()
        finally:
            del self._under_way[ask]
            outcome.set_result(reply)
        return reply

    async def _open(self, ask: OpenSession) -> PresenceReply:
        """Begin or resume a session."""
        self._demand_place(ask)
        begin = functools.partial(self._gateways.minded, ask, functools.partial(self._begin, ask))
        reply = await self._once(ask, begin)
        if isinstance(reply, Opened):
            return msgspec.structs.replace(reply, offer_timeout_s=self._terms.offer_timeout_s)
        return reply

    async def _retell(self, ask: Retell) -> PresenceReply:
        if not self._retell_pace.allows((ask.room, ask.user), self._monotonic()):
            raise StoreUnavailable("asked for too often")
        is_logged = await self._log.has(ask.room, ask.user)
        retell = functools.partial(room.retell, ask, is_logged=is_logged)
        return await self._changes.user(ask.user, retell, confirmed=True)

    async def _register(self, ask: Register) -> PresenceReply:
        self._demand_place(ask)
        return await self._gateways.minded(ask, functools.partial(self._restore, ask))

    def _demand_place(self, ask: OpenSession | Register) -> None:
        """Take only a session whose note lies in its user's partition, as its gateway has to name it.

        Raises:
            StoreUnavailable: it does not.
        """
        if self._records.partitions.number == 1:
            return
        note, user = Keys.session(ask.gateway, ask.session), Keys.user(ask.user)
        if not self._records.are_together(note, user):
            raise StoreUnavailable(f"a session of another partition: {note}")

    async def _end(self, ask: EndSession) -> PresenceReply:
        """Carry out the end of one connection, or of several; again, it changes nothing."""
        return await self._once(ask, functools.partial(self._lose, ask))

    async def _lose(self, ask: EndSession) -> Done:
        ends = (ask, *ask.also)
        found = await self._records.recall_or_read(dict.fromkeys(Keys.user(end.user) for end in ends))

        async def lose(end: EndSession) -> None:
            rule = functools.partial(session.lose_connection, end, self._resume_window_s)
            await self._changes.user(end.user, rule, found=found)

        await some_at_once(lose, ends, ENDS_AT_ONCE)
        return Done(len(ends))

    async def _find_replaced(self, ask: FindReplaced) -> Replaced:
        """List those of a gateway's connections whose users have another one by now.

        What is read first may lag behind the beginning of a connection, and the answer closes it: so the
        leader is asked about those who seem to be replaced.
        """
        asked = dict(ask.connections)
        suspects = session.replaced(ask.connections, await self._records.users(asked))
        users = await self._records.users({user for user, _ in suspects}, confirmed=True)
        return Replaced(tuple(connection for _, connection in session.replaced(suspects, users)))
