"""People whose sessions outlive their connections (docs/protocol.md#6-losing-the-connection)."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from tests.support import frames
from tests.support.frames import NO_CLAIMS, new_id
from tests.support.people import People, Person, establish
from tests.support.raw_client import Ended, RawClient

OTHERS: Final = {"the same gateway": 0, "another gateway": 1}
"""Where a session may be resumed, counted from the gateway where it was."""

SETTINGS: Final = {"DRAIN_WAIT": "0", "DRAIN_SPREAD": "0"}
"""Of a system that ends without a warning to its clients."""

SOON_AWAY: Final = {**SETTINGS, "AWAY_DELAY": "0.2"}
"""Of one that also tells soon that a client is away: what is tried with it comes back after that was told."""


class ResumingPeople(People):
    """The users of one test, whose clients say at connect that they can resume."""

    async def come(
        self,
        name: str,
        *,
        user: str | None = None,
        gateway: int = 0,
        resume: str = "",
        last: str = "",
        acks: bool = True,
        claims: Mapping[str, object] = NO_CLAIMS,
        receive_buffer: int | None = None,
        batches: bool = False,
        place: str | None = None,
    ) -> Person:
        """Connect, and hear the WELCOME. With `batches` it takes the changes of rooms together.

        With a `place`, "" at first, it is told places, and goes on where it says.
        """
        user = new_id(name) if user is None else user
        query = {"token": frames.token(user, claims), "resume": resume, "last": last}
        if acks:
            query["acks"] = "1"
        if batches:
            query["roster"] = "1"
        if place is not None:
            query |= {"place": "1", "lastPlace": place}
        port = self.ports[gateway]
        connection = await RawClient.open(port, f"/ws?{urlencode(query)}", receive_buffer=receive_buffer)
        person = Person(user, connection, acks)
        self._all.append(person)
        person.welcome = (await person.hear())["data"]
        return person

    async def in_room(self, name: str, *, gateway: int = 0, **claims: object) -> Person:
        """Let a new user come who joins the room at once."""
        person = await self.come(name, gateway=gateway, claims={"join": [self.room], **claims})
        await self.meet(person)
        return person

    async def in_call(self) -> tuple[Person, Person]:
        """Let two users come to the room, each on a gateway of its own, and establish a call."""
        alice = await self.in_room("alice", gateway=1)
        bob = await self.in_room("bob", gateway=0)
        await establish(alice, bob)
        return alice, bob

    async def resume(
        self, person: Person, last: str, *, gateway: int = 0, claims: Mapping[str, object] = NO_CLAIMS
    ) -> Person:
        """Connect again with the secret of the session."""
        secret = person.welcome["resumeToken"]
        return await self.come(
            "again", user=person.user, gateway=gateway, resume=secret, last=last, claims=claims
        )

    async def resumed(self, person: Person, last: str, *, gateway: int = 0, **claims: object) -> Person:
        """Connect again with the secret of the session, and find it as it was."""
        new = await self.resume(person, last, gateway=gateway, claims=claims)
        assert new.welcome == {**person.welcome, "resumed": True}
        return new

    async def lose(self, person: Person, *others: Person) -> None:
        """Cut a connection without a word; the others in the room hear that its user is away."""
        await person.connection.drop()
        for other in others:
            await self.hears_status(other, person, "away")

    async def hears_status(self, hearer: Person, of: Person, status: str) -> None:
        """Expect MEMBER_UPDATED."""
        await hearer.hears("MEMBER_UPDATED", {"room": self.room, "userId": of.user, "status": status})

    async def statuses(self, asker: Person) -> dict[str, str]:
        """Ask for the room's members."""
        reply = await asker.asks("MEMBERS", {"room": self.room})
        return {member["userId"]: member["status"] for member in reply["members"]}


async def up_to_the_end(person: Person) -> tuple[list[bytes], Ended]:
    """Hear everything that comes, and how it ends."""
    heard: list[bytes] = []
    try:
        while True:
            heard.append(await person.connection.receive())
    except Ended as end:
        return heard, end


def id_of(frame: bytes) -> str:
    """Read what `last` would name."""
    request_id: str = frames.names_of(frame)["requestId"]
    return request_id
