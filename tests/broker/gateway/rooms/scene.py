"""The rooms of one gateway over a real broker, presence's log of rooms, and a presence that is asked."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from gateway.client.actions import AskPresence, RoomListing
from gateway.client.deliveries import NOTHING
from gateway.client.mail import Had
from gateway.client.pages import Page
from gateway.client.session import Session
from gateway.delivery.delivery import Delivery
from gateway.rooms.changes import name_of
from gateway.rooms.delivery import RoomDelivery
from gateway.rooms.live_room import LiveRoom
from gateway.rooms.live_rooms import LiveRooms
from gateway.rooms.memberships import Memberships
from gateway.rooms.pacer import Pacer
from gateway.rooms.partitioned import PartitionedDelivery
from gateway.rooms.reading import LogReader
from presence.mailbox import make_mailbox
from presence.room_log import MailboxLog
from tests.support.waiting import until
from tests.unit.gateway.client.alice import PLAIN
from tests.unit.gateway.client.harness import AN_HOUR_S, Harness, connected
from tests.unit.gateway.rooms.hall import short
from tieline.runtime.broker import Broker, connect
from tieline.runtime.patience import PATIENCE_S
from tieline.runtime.requests import Requests
from tieline.verification.tokens import Claims
from tieline.wire import jetstream, jetstream_headers
from tieline.wire.codes import ErrorCode
from tieline.wire.ids import ConnectionId, GatewayId, RoomId, SecretHash, SessionId, UserId
from tieline.wire.internal.answers import Done, Refused
from tieline.wire.internal.directions import PresenceReply
from tieline.wire.internal.rooms import JoinRoom, LeaveRoom, ListMembers, RoomChange, RoomJoined, RoomMembers
from tieline.wire.internal.sessions import Opened
from tieline.wire.replies import Member
from tieline.wire.subjects import Subjects

SUBJECTS = Subjects("t")
HALL, CELLAR = RoomId("hall"), RoomId("cellar")
ALICE, BOB, CAROL = UserId("alice"), UserId("bob"), UserId("carol")
ABOUT_ROOM = JoinRoom | LeaveRoom | ListMembers


class Here:
    """One client of the gateway."""

    def __init__(self, scene: "Scene", user: UserId, *, batches: bool = False, places: bool = False) -> None:
        claims = Claims(user, AN_HOUR_S, rooms="*")
        self.session = Session(
            SessionId(f"{user}-s"),
            ConnectionId(f"{user}-c"),
            claims,
            SecretHash(b""),
            False,
            PLAIN,
            batches=batches,
            places=places,
        )
        self.harness: Harness = connected(self.session)
        self._scene = scene

    async def comes(
        self,
        *rooms: RoomId,
        resumed: bool = False,
        last: str = "",
        place: str = "",
        lost_at: int = 0,
        listens: bool = False,
    ) -> None:
        """Let it be let in, in these rooms; `listens`: they are known by then."""
        self.session.opened(Opened(self.session.session, resumed, dict.fromkeys(rooms, 1)), SecretHash(b""))
        had = Had(last, place, lost_at)
        is_back = resumed or listens
        await self._scene.delivery.follow(self.harness.connection, self.session, had if is_back else None)
        missed = await self._scene.delivery.missed(self.session, had) if is_back else NOTHING
        self._scene.delivery.release(self.session, missed)

    async def is_followed(self, *rooms: RoomId, resumed: bool = False) -> None:
        """Let it be followed, as a member of these rooms, of which its gateway may know nothing yet."""
        self.session.opened(Opened(self.session.session, resumed, dict.fromkeys(rooms, 1)), SecretHash(b""))
        await self._scene.delivery.follow(self.harness.connection, self.session)

    async def asks(self, request: ABOUT_ROOM, page: Page | None = None) -> object:
        """Let it ask about a room; returns the answer."""
        ask = AskPresence("r", "JOIN", request.room, request, page=page)
        return await self._scene.memberships.answer(self.session, ask, self._scene.asks)

    async def joins(self, room: RoomId = HALL) -> RoomListing:
        """Let it join a room, which must succeed."""
        answer = await self.asks(JoinRoom(self.session.user, self.session.session, room))
        assert isinstance(answer, RoomListing)
        return answer

    async def hears(self, count: int) -> list[str]:
        """Wait until it was told so much, and return the names of what it was told."""
        found: list[str] = []

        def has_heard() -> bool:
            found.extend(self.names())
            return len(found) >= count

        await until(has_heard)
        return found

    def names(self) -> list[str]:
        """Take the names of what it was told, those of changes without what nobody can foresee of them."""
        return [short(name) for name in self.harness.names()]


class Scene:
    """The gateway, and what presence says and does."""

    def __init__(self, broker: Broker, tasks: asyncio.TaskGroup, requests: Requests | None = None) -> None:
        self.broker = broker
        self.requests = requests or Requests(broker, SUBJECTS.replies("test", "1"))
        self.mailbox = Delivery(broker, self.requests, SUBJECTS, GatewayId("g"), tasks)
        self.reader = LogReader(self.requests, SUBJECTS)
        pacer = Pacer(asyncio.get_running_loop())
        self.retold: list[tuple[RoomId, list[UserId]]] = []
        """What presence is to tell once more."""

        def retell(room: RoomId, users: list[UserId]) -> None:
            self.retold.append((room, users))

        self.rooms = LiveRooms(broker, SUBJECTS, self.mailbox, self.reader, pacer, tasks, retell)
        seats = Memberships(self.rooms)
        self.memberships: Memberships | PartitionedDelivery = seats
        self.delivery: RoomDelivery | PartitionedDelivery = RoomDelivery(
            self.mailbox, self.rooms, seats, self.reader, pacer, self.asks, tasks
        )
        self.log = MailboxLog(self.requests, SUBJECTS, self._make)
        self.members: dict[UserId, tuple[Member, int]] = {}
        """Who is in every room, as presence has it, with the revisions of the records."""
        self.asked: list[ABOUT_ROOM] = []
        self.is_old = False
        """Presence is of a version that writes no logs."""
        self.is_silent = False
        self.is_strict = False
        """Presence lists a room to its members alone, as it does; else whoever asks need not have joined."""
        self.before_answer: Callable[[], Awaitable[object]] | None = None
        """What happens when presence has made its answer, and has not sent it."""
        self._revision = 0

    async def _make(self) -> None:
        await make_mailbox(self.broker, SUBJECTS, "memory", 1, 30)

    async def start(self) -> None:
        """Make the stream, and listen."""
        await self._make()
        await self.requests.start()
        self.mailbox.catch_up_beside(self.rooms)
        await self.mailbox.start()

    async def enters(self, user: UserId, room: RoomId = HALL) -> int:
        """Let a user of another gateway join; returns the number of that."""
        self._revision += 1
        self.members[user] = Member(user, "online", True, self._revision), self._revision
        change = RoomChange("joined", self._revision, SessionId(f"{user}-s"), "online", True, self._revision)
        return (await self.log.add(room, user, change)).number

    async def leaves(self, user: UserId, room: RoomId = HALL) -> int:
        """Let a user leave; returns the number of that."""
        self._revision += 1
        self.members.pop(user, None)
        change = RoomChange("left", self._revision, SessionId(f"{user}-s"), "online", True, 0, "left")
        return (await self.log.add(room, user, change)).number

    async def tells(self, user: UserId, change: RoomChange) -> int:
        """Let a presence process tell of a change that was written some time; returns the number of that."""
        return (await self.log.add(HALL, user, change)).number

    async def puts_out(self, user: UserId, room: RoomId) -> int:
        """Let presence put a user out, who is told that; returns the number of that."""
        self._revision += 1
        self.members.pop(user, None)
        session = SessionId(f"{user}-s")
        change = RoomChange("left", self._revision, session, "online", True, 0, "left", tells_user=True)
        return (await self.log.add(room, user, change)).number

    async def updates(self, user: UserId, *, is_silent: bool) -> int:
        """Let something of a member change, which only lists show if it `is_silent`."""
        self._revision += 1
        member, _ = self.members[user]
        self.members[user] = member, self._revision
        session = SessionId(f"{user}-s")
        change = RoomChange(
            "updated", self._revision, session, "online", False, member.joined_at, is_silent=is_silent
        )
        return (await self.log.add(HALL, user, change)).number

    async def called(self, number: int) -> str:
        """Say what the event is called that tells of a change."""
        reply = await self.requests.ask_once(
            jetstream.direct_get(SUBJECTS.mailbox()), jetstream.message_at(number), PATIENCE_S
        )
        return name_of(number, jetstream_headers.nonce_of(reply.headers))

    async def asks(self, session: Session, request: ABOUT_ROOM) -> PresenceReply | None:
        """Be presence."""
        self.asked.append(request)
        if self.is_silent:
            return None
        answer = await self._answer(session, request)
        if self.before_answer is not None:
            await self.before_answer()
        return answer

    async def _answer(self, session: Session, request: ABOUT_ROOM) -> PresenceReply:
        match request:
            case JoinRoom():
                number = await self.enters(session.user, request.room) if not self.is_old else 0
                listed = self.listed() if request.lists else None
                return self.listed() if self.is_old else RoomJoined(number, listed)
            case LeaveRoom():
                await self.leaves(session.user, request.room)
                return Done()
            case ListMembers():
                is_member = session.user in self.members or not self.is_strict
                return self.listed() if is_member else Refused(ErrorCode.NOT_IN_SAME_ROOM.name)

    def listed(self) -> RoomMembers:
        """List everybody, with revisions if presence is not too old for that."""
        members = tuple(member for member, _ in self.members.values())
        revisions = () if self.is_old else tuple(revision for _, revision in self.members.values())
        return RoomMembers(members, revisions)


async def carol_in_the_hall(scene: Scene) -> tuple[Here, LiveRoom]:
    """Let carol come and join the hall; returns her, and the hall as her gateway knows it."""
    carol = Here(scene, CAROL)
    await carol.comes()
    await carol.joins()
    return carol, await scene.rooms.listen(HALL)


@asynccontextmanager
async def scene_at(url: str) -> AsyncIterator[Scene]:
    """Begin a scene at a broker of its own, and end it."""
    broker = await connect(url, "test")
    async with asyncio.TaskGroup() as tasks:
        scene = Scene(broker, tasks)
        await scene.start()
        yield scene
        await broker.close()
