"""Presence without a broker: its shells, asked directly, with a store in memory and all messages at hand."""

import functools
from typing import Final, Self

import msgspec

from presence.announce import Announcer
from presence.app_mail import AppMail
from presence.backend import Handlers, handlers
from presence.call_endings import ENDED_AT_ONCE
from presence.change_loop import Outbox
from presence.changes import Changes
from presence.closings import Closings
from presence.entitlement import Entitlement
from presence.gateways import Gateways
from presence.kept_offers import KeptOffers
from presence.listeners import Listeners
from presence.memory import Memory
from presence.moderation import Moderation
from presence.numbers import Numbers
from presence.old_calls import OldCalls
from presence.once import Once
from presence.operations import Operations
from presence.overview import Overview
from presence.record_codec import negotiation_in, user_in
from presence.records import Records
from presence.room_log import RoomLog
from presence.rosters import Count, Rosters, uncounted
from presence.rules import endings, session
from presence.rules.change import Change
from presence.rules.effects import EndCalls
from presence.rules.negotiated import NOTHING, Negotiation
from presence.rules.negotiation import CandidatePolicy
from presence.rules.signals import Terms
from presence.rules.user import RosterEntry, User
from presence.second_look import Pace, SecondLooks
from presence.settling import Settling
from presence.standings import Standings
from presence.store import CurrentStore, ListedStore
from tests.unit.presence.lifetime import (
    Clock,
    FakeMail,
    FakeRoomLog,
    Life,
    MortalStore,
    Recorder,
    Sent,
    Watch,
)
from tieline.runtime.requests import NoAnswer
from tieline.wire.digests import digest
from tieline.wire.ids import NO_CALL, Address, CallId, ConnectionId, GatewayId, RoomId, SessionId, UserId
from tieline.wire.internal import codec
from tieline.wire.internal.answers import Done, Outdated, Refused, SessionGone
from tieline.wire.internal.backend import Ban
from tieline.wire.internal.directions import OrderedChange, PresenceReply, PresenceRequest
from tieline.wire.internal.rooms import JoinRoom, LeaveRoom
from tieline.wire.internal.sessions import EndSession, Opened, OpenSession, Regrant
from tieline.wire.internal.signals import Check
from tieline.wire.partitions import ONE, Partitions
from tieline.wire.subjects import Keys, Subjects, identifier

SUBJECTS: Final = Subjects("tieline")

OFFER_TIMEOUT_S: Final = 60.0
OFFLINE_RETENTION_S: Final = 300.0
RESUME_WINDOW_S: Final = 30.0
GATEWAY_LEASE_S: Final = 10.0


class PresenceProcess:
    """One presence process and all that it works with, which it may share with another one `beside` it."""

    def __init__(
        self,
        policy: CandidatePolicy = "hold",
        max_members: int = 1000,
        *,
        beside: "PresenceProcess | None" = None,
        entitlement: Entitlement | None = None,
        most_waited_for: int = ENDED_AT_ONCE,
        watches: bool = False,
        judge: str = "",
        wake_window_s: float = 0.0,
        partitions: Partitions = ONE,
        settles_later: bool = False,
    ) -> None:
        """Make one; `watches`: it hears of each change of a user, and so keeps users.

        `judge` is what its verdicts name it. For `wake_window_s` it keeps offers to who is not there. What is
        stored is in so many partitions, or in those of the one `beside` it. Else than a real one it settles
        users' records at once, unless it `settles_later`: then when the test says so.
        """
        self.settling = Settling(lambda: 0.0)
        self._settles_later = settles_later
        self._wake_window_s = wake_window_s
        self._judge = judge
        self._entitlement = entitlement
        self._policy: CandidatePolicy = policy
        self._max_members: int = max_members if beside is None else beside._max_members
        self._most_waited_for = most_waited_for
        self.life = Life()
        self.do_all_hear = False
        """Whether all gateways hear the logs of rooms; else members are told one by one, too."""
        self.clock: Clock = Clock() if beside is None else beside.clock
        stored = None if beside is None else beside.store
        self.store: MortalStore = MortalStore(self.life, self.clock, stored, partitions)
        self.memory = Memory(lambda: 0.0, partitions=self.store.partitions)
        self.watch = Watch(self.store, self.memory) if watches else None
        self.recorder: Recorder = Recorder(self.life, None if beside is None else beside.recorder)
        self.log: FakeRoomLog = FakeRoomLog(self.life, None if beside is None else beside.log)
        self.mail: FakeMail = FakeMail() if beside is None else beside.mail
        self.pace = Pace(between_looks=0.0, between_questions=0.0, questions=3)
        """Of second looks."""
        self.outbox: Outbox | None = None
        """What tells the stream of events; None: there is none. It counts from the next `over` on."""
        self.living_gateways: set[GatewayId] = set() if beside is None else beside.living_gateways
        self.orders: list[tuple[GatewayId, str]] = []
        """What gateways were asked to do, and which."""
        self.monotonic_s = 0.0
        """The clock by which a room is closed in slices."""
        self._furnish(self.store, self.log)

    def over(
        self,
        store: ListedStore,
        log: RoomLog | None = None,
        count: Count = uncounted,
        current: CurrentStore | None = None,
    ) -> Self:
        """Work over another store from now on, and another log of rooms."""
        self._furnish(store, log or self.log, count, current)
        return self

    def _furnish(
        self, store: ListedStore, log: RoomLog, count: Count = uncounted, current: CurrentStore | None = None
    ) -> None:
        places = self.store.partitions
        records = self.records = Records(
            store, OFFLINE_RETENTION_S, self.memory, places, current or self.store
        )
        rosters = self.rosters = Rosters(records, self._max_members, count)
        listeners = Listeners(store, self.clock)
        announcer = Announcer(self.recorder, SUBJECTS)
        self.old_calls = OldCalls()
        self.kept = KeptOffers(records, self._post, OFFER_TIMEOUT_S, is_on=self._wake_window_s > 0)
        self.changes = Changes(
            records,
            rosters,
            announcer,
            self.clock,
            log,
            self._do_all_hear,
            self.old_calls,
            self._most_waited_for,
            self.outbox,
            self.kept,
            self.settling if self._settles_later else None,
        )
        self.gateways = Gateways(
            records, self.changes, self._is_alive, GATEWAY_LEASE_S, RESUME_WINDOW_S, listeners
        )
        terms = Terms(self._policy, OFFER_TIMEOUT_S, self._wake_window_s)
        self.second_looks = SecondLooks(records, self.changes.end_offered, self.mail, self.pace)
        self.operations = Operations(
            records,
            self.changes,
            self.gateways,
            terms,
            RESUME_WINDOW_S,
            log,
            self.second_looks,
            entitlement=self._entitlement,
            judge=self._judge,
            backend=self._backend(records, rosters),
        )

    def _backend(self, records: Records, rosters: Rosters) -> Handlers:
        standings = Standings(records, self.clock)
        moderation = Moderation(records, self.changes, standings, self._ask_gateway, max_rooms=3)
        once = Once(records.store, self.clock)
        self.closings = Closings(
            records, rosters, once, self.clock, moderation.put_out, standings, lambda: self.monotonic_s
        )
        mail = AppMail(records, rosters, self._post)
        overview = Overview(records, rosters, standings, self.clock)
        numbers = Numbers(records.store, self.clock)
        return handlers(once, numbers, moderation, self.closings, mail, overview)

    async def _ask_gateway(self, gateway: GatewayId, what: str, order: bytes, patience_s: float) -> bytes:
        """Have a gateway carry out an order, if it lives: what it would do then is done here."""
        assert patience_s > 0
        if gateway not in self.living_gateways:
            raise NoAnswer(what)
        self.orders.append((gateway, what))
        if what == "close":
            return b"closed"
        join = codec.decode_join_order(order)
        record = await self.user(join.user)
        if record is None or (record.session.id, record.session.gateway) != (join.session, gateway):
            return codec.encode(SessionGone(replaced=False))
        ask = JoinRoom(
            join.user,
            record.session.id,
            join.room,
            hears=True,
            connection=record.session.connection,
            is_ordered=True,
            order=join.number,
            once=join.once,
        )
        return codec.encode(await self.ask(msgspec.structs.replace(ask, number=record.session.number)))

    async def _post(self, to: Address, frame: bytes, call: CallId = NO_CALL) -> None:
        del call
        self.recorder.send(SUBJECTS.user(*to), frame)

    async def ask(self, request: PresenceRequest) -> PresenceReply:
        """Carry out a request, and what comes after its answer; one that dies of that has not answered.

        An order is given a number first, as the API has it given one.
        """
        if isinstance(request, OrderedChange) and not request.number:
            request = msgspec.structs.replace(request, number=await self.number())
        reply, afterwards = await self.operations.carry_out(request)
        if afterwards is not None:
            await afterwards()
            self.life.goes_on()
        return reply

    async def number(self) -> int:
        """Have an order numbered which is the last one now."""
        numbered = await self.operations.carry_out(Ban("", 60.0, UserId("nobody"), 0.0))
        assert isinstance(numbered.reply, Outdated)
        return numbered.reply.revision

    async def _do_all_hear(self) -> bool:
        return self.do_all_hear

    async def _is_alive(self, gateway: GatewayId, patience_s: float) -> bool:
        assert patience_s > 0
        return gateway in self.living_gateways

    async def open(self, ask: OpenSession) -> Opened:
        """Begin or resume a session, which must succeed."""
        reply = await self.ask(ask)
        assert isinstance(reply, Opened)
        return reply

    async def give_up(self, user: UserId, connection: ConnectionId) -> None:
        """Let the window pass in which a session may be resumed after this connection of it was lost."""
        await self.changes.user(user, functools.partial(session.give_up, user, connection))

    async def end_old_calls(self, *users: str) -> None:
        """End what is left of the calls of older sessions, as is done later, or when a timer has passed."""
        for user in users:
            await self.changes.end_old_calls(UserId(user))

    async def expire(self, offerer: UserId, target: UserId, generation: str) -> None:
        """Let an offer have waited long enough."""
        rule = functools.partial(endings.expire, offerer, target, generation)
        await self.changes.negotiation(offerer, target, rule)

    async def end_calls(self, user: UserId, ended: SessionId) -> None:
        """Let the end of a session end its calls, although the record may say that it lives."""
        key = Keys.user(user)
        record, revision = user_in(await self.store.read(key), key)
        assert record is not None
        pending = msgspec.structs.replace(record, pending=(EndCalls(ended, self.clock()),))
        await self.records.write_user(key, pending, revision)
        await self.changes.user(user, lambda _user, _beside, _facts: Change(Done()))

    async def join(self, user: str, room: str) -> PresenceReply:
        """Let a user join a room in its live session."""
        return await self.ask(JoinRoom(UserId(user), await self._session(user), RoomId(room)))

    async def leave(self, user: str, room: str) -> PresenceReply:
        """Let a user leave a room."""
        return await self.ask(LeaveRoom(UserId(user), await self._session(user), RoomId(room)))

    async def regrant(
        self, user: str, *granted: str, voice: bool = True, rooms: tuple[str, ...] = ()
    ) -> PresenceReply:
        """Let a user have a newer token, for these rooms ("*": all)."""
        every = None if granted == ("*",) else tuple(RoomId(room) for room in granted)
        known = tuple(RoomId(room) for room in rooms)
        return await self.ask(Regrant(UserId(user), await self._session(user), voice, every, known))

    async def end(self, user: str, *, resumable: bool = False) -> PresenceReply:
        """Let a user's connection end."""
        return await self.ask(EndSession(UserId(user), await self._connection(user), resumable))

    async def signal(self, user: str, to: str, cmd: str, frame: str) -> PresenceReply:
        """Let a user send a WEBRTC message, whose bytes are `frame`."""
        return await self.ask(await self.check(user, to, cmd, frame))

    async def rings(self, user: str, to: str, frame: str) -> PresenceReply:
        """Let a user offer, by a router that asks again with the frame if it is wanted."""
        check = msgspec.structs.replace(await self.check(user, to, "OFFER", frame), sends_frame=True)
        reply = await self.ask(check)
        if isinstance(reply, Refused) and reply.wants_frame:
            reply = await self.ask(msgspec.structs.replace(check, frame=frame.encode()))
        return reply

    async def check(self, user: str, to: str, cmd: str, frame: str) -> Check:
        """What a router asks about such a message."""
        body = frame.encode()
        held = body if cmd == "ICE_CANDIDATE" else b""
        return Check(UserId(user), await self._session(user), UserId(to), f"WEBRTC_{cmd}", digest(body), held)

    async def series(self, user: str, to: str, *frames: str, cmd: str = "ICE_CANDIDATE") -> PresenceReply:
        """Let a user send candidates that go together; `cmd` is that of the first frame."""
        first, *then = frames
        check = await self.check(user, to, cmd, first)
        return await self.ask(msgspec.structs.replace(check, then=tuple(frame.encode() for frame in then)))

    async def leave_an_entry_behind(self, user: str, room: str) -> None:
        """Leave what a process leaves that dies between the two writes of a join."""
        entry = RosterEntry(await self._session(user), self.clock())
        key = Keys.room(RoomId(room), UserId(user))
        await self.store.write(key, msgspec.msgpack.encode(entry), 0)

    async def user(self, user: str) -> User | None:
        """Read a user's record."""
        key = Keys.user(UserId(user))
        return user_in(await self.store.read(key), key)[0]

    async def pair(self, one: str, other: str) -> Negotiation:
        """Read what two users negotiate."""
        key = Keys.pair(UserId(one), UserId(other))
        return negotiation_in(await self.store.read(key), key)[0] or NOTHING

    async def _session(self, user: str) -> SessionId:
        record = await self.user(user)
        return SessionId("none") if record is None else record.session.id

    async def _connection(self, user: str) -> ConnectionId:
        record = await self.user(user)
        return ConnectionId("none") if record is None else record.session.connection

    def heard_by(self, user: str) -> list[str]:
        """List what was delivered to a user, in a word or two each."""
        prefix = SUBJECTS.user(UserId(user), SessionId("s")).removesuffix("s")
        return [in_words(sent.payload) for sent in self.recorder.sent if sent.subject.startswith(prefix)]

    async def told(self) -> set[Sent]:
        """Collect what was sent, but for what was sent to sessions that have ended since."""
        found = await self.store.read("user.*")
        live = {
            SUBJECTS.user(user, record.session.id)
            for user in (UserId(identifier(key.rpartition(".")[2])) for key in found)
            if (record := user_in(found, Keys.user(user))[0]) is not None and record.is_reachable
        }
        to_users = SUBJECTS.users().removesuffix(">")
        return {
            sent
            for sent in self.recorder.sent
            if sent.subject in live or not sent.subject.startswith(to_users)
        }

    def told_to(self, user: str) -> set[Sent]:
        """Collect what was delivered to a user: what is there twice is one frame to the receiver."""
        prefix = SUBJECTS.user(UserId(user), SessionId("s")).removesuffix("s")
        return {sent for sent in self.recorder.sent if sent.subject.startswith(prefix)}

    def heard_elsewhere(self, kind: str) -> list[Sent]:
        """List what was sent to `changed`, `events` or a `gateway`."""
        return [sent for sent in self.recorder.sent if sent.subject.split(".")[1] == kind]


def refusal_in(reply: PresenceReply) -> str:
    """Find that a request was refused, and why."""
    assert isinstance(reply, Refused)
    return reply.reason


def in_words(frame: bytes) -> str:
    """Say what an event is about."""
    message = msgspec.json.decode(frame)
    data = message["data"]
    match message["cmd"]:
        case "WEBRTC_HANGUP":
            return f"hangup of {data['from']}: {data['data']['reason']}"
        case "MEMBER_JOINED":
            return f"{data['userId']} joined {data['room']}"
        case "MEMBER_LEFT":
            return f"{data['userId']} left {data['room']}: {data['reason']}"
        case _:
            return f"{data['userId']} is {data['status']} in {data['room']}"
