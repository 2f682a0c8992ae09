"""Everything of `sessions` around a fake presence and a fake delivery, with real connections."""

import asyncio
import json
from typing import Any, Final

import msgspec
from websockets.http11 import Response

from gateway.admission.handshake import Admitted
from gateway.client.ice_servers import IceServers
from gateway.client.session import Session
from gateway.client.terms import Pace, Terms
from gateway.delivery.connections import Connections
from gateway.limits.rates import NO_LIMITS
from gateway.limits.users import Users
from gateway.sessions.arrivals import Arrivals
from gateway.sessions.departures import Departures
from gateway.sessions.notices import Notices
from gateway.sessions.registrations import Registrations
from tests.unit.gateway.client.alice import PLAIN, TOKENS
from tests.unit.gateway.client.harness import AN_HOUR_S, WELCOME, Harness
from tests.unit.gateway.sessions.delivery import FakeDelivery
from tests.unit.gateway.sessions.presence import FakePresence
from tieline.runtime.broker import BrokerAway
from tieline.verification.tokens import Claims
from tieline.wire.ids import ConnectionId, GatewayId, ResumeToken, SecretHash, SessionId, UserId
from tieline.wire.internal.directions import GatewayRequest
from tieline.wire.internal.sessions import EndSession
from tieline.wire.subjects import Subjects

GATEWAY: Final = GatewayId("g-1")
SUBJECTS: Final = Subjects("t")
TERMS: Final = Terms(IceServers(), TOKENS, pace=Pace(20, 5), resume_window_s=7.5)


def admitted(
    resume: str | None = None,
    last: str = "",
    *,
    user: str = "alice",
    address: str = "192.0.2.1",
    last_place: str = "",
    places: bool = False,
) -> Admitted:
    """Alice, or somebody else, as the upgrade request admits them."""
    claims = Claims(user, 4_000_000_000, rooms="*", join=("hall",))
    token = None if resume is None else ResumeToken(resume)
    return Admitted(
        claims, acks=True, resume=token, last=last, address=address, places=places, last_place=last_place
    )


FOREVER_S: Final = 600.0
"""For which newcomers wait here, unless a test says otherwise: two thousand of them may come slowly."""


class FakeSender:
    """A broker that keeps what is sent, or is away."""

    def __init__(self) -> None:
        self.is_away = False
        self.sent: list[tuple[str, bytes]] = []

    def send(self, subject: str, payload: bytes) -> None:
        """Keep a message."""
        if self.is_away:
            raise BrokerAway
        self.sent.append((subject, payload))


class Scene:
    """One gateway's sessions. Tasks belong to the given group."""

    def __init__(
        self,
        tasks: asyncio.TaskGroup,
        away_delay_s: float = 0.0,
        presence: FakePresence | None = None,
        delivery: FakeDelivery | None = None,
    ) -> None:
        self.tasks = tasks
        self.presence = presence or FakePresence()
        self.delivery = delivery or FakeDelivery()
        self.sender = FakeSender()
        self.connections = Connections()
        self.notices = Notices(self.presence)
        self.users = Users(NO_LIMITS)
        self.departures = Departures(
            self.presence,
            self.connections,
            self.delivery,
            self.notices,
            tasks,
            retry_s=0,
            away_delay_s=away_delay_s,
            users=self.users,
        )
        self.arrivals = self.arrivals_within(FOREVER_S)
        self.registrations = Registrations(
            gateway=GATEWAY,
            subjects=SUBJECTS,
            broker=self.sender,
            presence=self.presence,
            connections=self.connections,
            departures=self.departures,
            tasks=tasks,
        )

    def arrivals_within(self, waiting_s: float) -> Arrivals:
        """Have arrivals that let nobody wait for longer than that, and look all the time for who has gone."""
        return Arrivals(
            gateway=GATEWAY,
            terms=TERMS,
            presence=self.presence,
            connections=self.connections,
            delivery=self.delivery,
            departures=self.departures,
            jitter=lambda: 0.5,
            waiting_s=waiting_s,
            look_s=0,
        )

    def here(self, name: str) -> Harness:
        """Have a client that was let in some time ago."""
        claims = Claims(name, AN_HOUR_S, rooms="*")
        budget = self.users.of(claims.user, 0.0)
        session = Session(
            SessionId(f"s-{name}"),
            ConnectionId(f"c-{name}"),
            claims,
            SecretHash(b"hash"),
            False,
            PLAIN,
            budget,
        )
        harness = Harness()
        harness.put(harness.request())
        harness.welcome(session)
        assert harness.texts() == [WELCOME]
        self.departures.expect(session)
        self.connections.add(harness.connection, session)
        return harness

    def leaves(self, harness: Harness) -> None:
        """Let a client close, which ends its connection."""
        harness.say_goodbye()
        self.departures.on_gone(harness.connection)

    def answers_close(self, harness: Harness) -> None:
        """Let a client answer the gateway's close, which ends its connection."""
        harness.look()
        harness.flush()
        self.departures.on_gone(harness.connection)

    async def settles(self) -> None:
        """Let everything go on that does not wait for a test; of those who come together one in a turn."""
        for _ in range(100):
            await asyncio.sleep(0)

    def requests(self, kind: type[GatewayRequest]) -> list[GatewayRequest]:
        """List what presence was asked of a kind."""
        return self.presence.asked_for(kind)

    def ends(self) -> list[EndSession]:
        """List the ends that presence was told, each by itself."""
        requests = [ask for ask in self.presence.asked if isinstance(ask, EndSession)]
        return [end for ask in requests for end in (msgspec.structs.replace(ask, also=()), *ask.also)]


class Arriving(Harness):
    """A client whose upgrade request waits for an answer."""

    def __init__(self) -> None:
        super().__init__()
        self.put(self.request())

    @property
    def response(self) -> Response:
        """What websockets would answer."""
        return self.requests[0][1]

    def http_status(self) -> int:
        """Return the status of the refusal."""
        return int(self.socket.taken().split(b" ", 2)[1])

    def refusal(self) -> tuple[str, int]:
        """Return the reason of the refusal, and after how many seconds to come back."""
        head, _, body = self.socket.taken().partition(b"\r\n\r\n")
        (retry_after,) = (line for line in head.split(b"\r\n") if line.startswith(b"Retry-After: "))
        return json.loads(body)["reason"], int(retry_after.split()[1])

    def welcomed(self) -> dict[str, Any]:
        """Return the data of the WELCOME, which must be all that has come."""
        (welcome,) = self.messages()
        assert welcome["cmd"] == "WELCOME"
        return dict(welcome["data"])


ALICE: Final = UserId("alice")
