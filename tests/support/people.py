"""The people of a scenario: each a client of some gateway, which expects exactly what is due."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Self
from urllib.parse import urlencode

from tests.support import frames
from tests.support.frames import CANDIDATE, NO_CLAIMS, Json, new_id
from tests.support.raw_client import RawClient
from tests.support.system import Clustered

NO_OPTIONS: Final[Mapping[str, str]] = MappingProxyType({})


class Person:
    """One user on one connection. What comes is expected in the order in which it is asked for here."""

    def __init__(self, user: str, connection: RawClient, acks: bool) -> None:
        self.user = user
        self.connection = connection
        self.acks = acks
        self.welcome: Json = {}
        self._events: set[str] = set()
        self.numbers: dict[str, int] = {}
        """By room: how far what was heard of it goes."""

    async def hear_frame(self) -> bytes:
        """Wait for the next message, as it comes."""
        return await self.connection.receive()

    async def hear(self) -> Json:
        """Wait for the next message; that of a room's change is without its number, which must be due."""
        heard: Json = json.loads(await self.connection.receive())
        if str(heard.get("cmd")).startswith("MEMBER_") and heard["data"] is not None:
            data = heard["data"]
            number = data.pop("number")
            assert number > self.numbers.get(data["room"], 0)
            self.numbers[data["room"]] = number
        return heard

    async def hears(self, cmd: str, data: object) -> str:
        """Expect an event of the server's; returns its requestId, which no other event had."""
        heard = await self.hear()
        request_id = heard.get("requestId")
        assert heard == {
            "requestId": request_id,
            "module": "ROOM",
            "cmd": cmd,
            "code": 200,
            "msg": "success",
            "data": data,
        }
        assert isinstance(request_id, str)
        assert request_id
        assert request_id not in self._events
        self._events.add(request_id)
        return request_id

    async def hears_joined(self, room: str, user: str) -> None:
        """Expect MEMBER_JOINED."""
        await self.hears("MEMBER_JOINED", {"room": room, "userId": user})

    async def hears_left(self, room: str, user: str, reason: str) -> None:
        """Expect MEMBER_LEFT."""
        await self.hears("MEMBER_LEFT", {"room": room, "userId": user, "reason": reason})

    async def hears_hangup(self, peer: str, reason: str) -> None:
        """Expect the server's WEBRTC_HANGUP."""
        data = {"from": peer, "to": self.user, "data": {"reason": reason, "server": True}}
        await self.hears("WEBRTC_HANGUP", data)

    async def hears_ack(self, frame: bytes, kind: str = "relayed") -> None:
        """Expect the ack of a frame, if this client gets any."""
        if self.acks:
            assert await self.hear() == frames.ack(frame, kind)

    async def hears_refusal(self, reason: str, frame: bytes | None = None) -> None:
        """Expect an error that echoes the names of `frame`, or none."""
        names = {} if frame is None else frames.names_of(frame)
        assert await self.hear() == frames.refusal(reason, names)

    async def hear_all(self, expected: Sequence[bytes], besides: Sequence[bytes] = ()) -> None:
        """Expect these messages in this order, with acks of `besides` anywhere between them."""
        acks = [frames.ack(frame, "relayed") for frame in besides if self.acks]
        coming = list(expected)
        while coming or acks:
            heard = await self.hear_frame()
            if acks and json.loads(heard) == acks[0]:
                del acks[0]
            else:
                assert coming
                assert heard == coming.pop(0)

    def say(self, cmd: str, to: "Person | str", data: object = None) -> bytes:
        """Send one WEBRTC frame, and return it."""
        frame = frames.signal(cmd, self.user, to if isinstance(to, str) else to.user, data)
        self.connection.send(frame)
        return frame

    async def relays(self, cmd: str, to: "Person", data: object = None) -> bytes:
        """Send one WEBRTC frame that the other gets as it is."""
        frame = self.say(cmd, to, data)
        await self.hears_ack(frame)
        assert await to.hear_frame() == frame
        return frame

    async def holds(self, to: "Person", data: object = None) -> bytes:
        """Send one candidate that is held."""
        frame = self.say(CANDIDATE, to, data)
        await self.hears_ack(frame, "held")
        return frame

    async def is_refused(self, cmd: str, to: "Person | str", reason: str, data: object = None) -> bytes:
        """Send one WEBRTC frame that is refused."""
        frame = self.say(cmd, to, data)
        await self.hears_refusal(reason, frame)
        return frame

    async def asks(self, cmd: str, data: object) -> Json:
        """Send a command, expect success, and return the reply's data."""
        frame = frames.command(cmd, data)
        self.connection.send(frame)
        heard = await self.hear()
        expected = {**frames.names_of(frame), "code": 200, "msg": "success", "data": heard.get("data")}
        assert heard == expected
        reply: Json = heard["data"]
        return reply

    async def asks_in_vain(self, cmd: str, data: object, reason: str, **more: str) -> None:
        """Send a command that is refused, with more fields than every refusal has."""
        frame = frames.command(cmd, data)
        self.connection.send(frame)
        assert await self.hear() == {**frames.refusal(reason, frames.names_of(frame)), **more}

    async def pings(self) -> None:
        """Hear the answer to a PING, and nothing before it."""
        frame = frames.command("PING", {"at": new_id("ping")})
        self.connection.send(frame)
        heard = await self.hear()
        asked = json.loads(frame)
        assert heard == {**asked, "cmd": "PONG", "code": 200, "msg": "success"}


class People:
    """The users of one test, on the gateways in turn, with a room of their own. They go with the block."""

    def __init__(self, system: Clustered) -> None:
        self.ports = list(system.ports)
        self.room = new_id("room")
        self.present: list[Person] = []
        self._all: list[Person] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        async with asyncio.TaskGroup() as leaving:
            for person in self._all:
                leaving.create_task(person.connection.drop())

    async def connect(
        self,
        name: str,
        *,
        claims: Mapping[str, object] = NO_CLAIMS,
        user: str | None = None,
        port: int | None = None,
        acks: bool = True,
        receive_buffer: int | None = None,
        options: Mapping[str, str] = NO_OPTIONS,
    ) -> Person:
        """Connect a new user, or once more the `user` given, to the next gateway, and hear its WELCOME.

        `options` are more fields of the query.
        """
        user = new_id(name) if user is None else user
        if port is None:
            port = self.ports[len(self._all) % len(self.ports)]
        query = {"token": frames.token(user, claims), **({"acks": "1"} if acks else {}), **options}
        connection = await RawClient.open(port, f"/ws?{urlencode(query)}", receive_buffer=receive_buffer)
        person = Person(user, connection, acks)
        self._all.append(person)
        person.welcome = await person.hear()
        return person

    async def enter(
        self,
        name: str,
        *,
        claims: Mapping[str, object] = NO_CLAIMS,
        acks: bool = True,
        options: Mapping[str, str] = NO_OPTIONS,
    ) -> Person:
        """Connect a new user who joins the room at once."""
        claims = {"join": [self.room], **claims}
        person = await self.connect(name, claims=claims, acks=acks, options=options)
        await self.meet(person)
        return person

    async def meet(self, person: Person) -> None:
        """Have everybody in the room hear that a user has come."""
        for other in self.present:
            await other.hears_joined(self.room, person.user)
        self.present.append(person)

    async def two(self) -> tuple[Person, Person]:
        """Let two users enter the room."""
        return await self.enter("alice"), await self.enter("bob")

    async def call(self) -> tuple[Person, Person]:
        """Let two users enter the room and establish a call."""
        alice, bob = await self.two()
        await establish(alice, bob)
        return alice, bob

    async def hear_nothing(self, *people: Person) -> None:
        """Expect that nothing has come for these members of the room.

        A newcomer joins, which they hear of. Whatever was sent to them before would be heard before that.
        """
        newcomer = await self.connect("newcomer", claims={"join": [self.room]})
        for person in people:
            await person.hears_joined(self.room, newcomer.user)


async def establish(caller: Person, callee: Person) -> None:
    """Offer and answer."""
    await caller.relays(frames.OFFER, callee)
    await callee.relays(frames.ANSWER, caller)
