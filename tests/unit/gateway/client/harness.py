"""One connection with everything around it in a test's hands: its host, the clock, the wire, the client."""

import json
import logging
import time
from collections.abc import Callable
from typing import Any

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.uri import parse_uri

from gateway.admission.entrance import Entrance, Room
from gateway.client.connection import READ_BYTES, Connection
from gateway.client.deliveries import NOTHING, Deliveries, Missed
from gateway.client.session import Session
from gateway.client.terms import Terms
from gateway.client.turns import Turns
from gateway.client.waiting import Waiting
from gateway.limits.rates import NO_LIMITS, Rates
from gateway.limits.user_budget import UserBudget
from tests.unit.gateway.client.alice import PLAIN
from tests.unit.gateway.client.clock import Clock
from tests.unit.gateway.client.host import RELAYED, FakeHost
from tests.unit.gateway.client.transport import Socket
from tests.unit.wire import samples
from tieline.runtime.tally import Tally
from tieline.verification.tokens import Claims
from tieline.wire.ids import ConnectionId, SecretHash, SessionId
from tieline.wire.internal.directions import PresenceReply, RouterReply
from tieline.wire.internal.signals import Answers

WELCOME = b'{"requestId":"","module":"ROOM","cmd":"WELCOME"}'
AN_HOUR_S = 3600.0


def session(
    token_lasts_s: float = AN_HOUR_S, acks: bool = False, terms: Terms = PLAIN, rates: Rates = NO_LIMITS
) -> Session:
    """The session of `samples`' sender."""
    claims = Claims("alice", time.time() + token_lasts_s, rooms="*")
    return Session(
        SessionId("s-1"),
        ConnectionId("c-1"),
        claims,
        SecretHash(b"secret"),
        acks,
        terms,
        UserBudget(claims.user, rates),
    )


def signal(request_id: str, cmd: str = "WEBRTC_ICE_CANDIDATE", size: int = 0, to: str = "bob") -> bytes:
    """A frame that has to be asked about; `size` is that of what the two clients say to each other."""
    message = samples.signal_message(cmd) | {"requestId": request_id}
    message["data"] |= {"to": to, "data": "x" * size}
    return samples.frame(message)


def signals(count: int) -> list[bytes]:
    """Frames s-0, s-1, ... that have to be asked about, one after the other."""
    return [signal(f"s-{number}", "WEBRTC_ANSWER") for number in range(count)]


def candidates(count: int, to: str = "bob") -> list[bytes]:
    """Frames c-0, c-1, ... that go together when they wait."""
    return [signal(f"c-{number}", to=to) for number in range(count)]


def ping(request_id: str) -> bytes:
    """A frame that is answered at once."""
    return samples.frame(samples.ping_message() | {"requestId": request_id})


def join(request_id: str) -> bytes:
    """A frame that presence is asked about."""
    return samples.frame(samples.room_message("JOIN") | {"requestId": request_id})


def event(name: str) -> bytes:
    """A frame from others."""
    return json.dumps({"requestId": name, "module": "ROOM", "cmd": "MEMBER_JOINED"}).encode()


ANYBODY = Entrance(Room(), Tally(logging.getLogger("gateway"), lambda _delay, _callback: None))
"""Lets everybody come."""


def forget(client: ClientProtocol) -> None:
    """Break the cycles of a client's protocol."""
    client.parser.close()
    client.handshake_exc = client.parser_exc = None


class Harness:
    """A connection, and a real client's protocol at the other end of its wire."""

    def __init__(
        self,
        path: str = "/ws",
        clock: Clock | None = None,
        waiting: Waiting | None = None,
        now: Callable[[], float] | None = None,
        turns: Turns | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self.host = FakeHost()
        self.socket = Socket()
        self.requests: list[tuple[Request, Response]] = []
        """Upgrade requests, with what websockets would answer."""
        self.gone_with: list[int] = []
        """The close code each time that the connection was said to be gone."""
        self.turns = turns or Turns(self.clock.loop, self.clock.time)
        self.waiting = waiting or Waiting(1 << 30)
        self.connection = Connection(
            self.clock.loop,
            ANYBODY,
            self.host,
            self._on_request,
            self._on_gone,
            self.turns,
            self.waiting,
            now=now or self.clock.time,
        )
        self.deliveries = Deliveries(self.connection.say, self.clock.loop)
        self.connection.connection_made(self.socket)
        self.client = ClientProtocol(parse_uri(f"ws://gateway.example{path}"))
        self._texts: list[bytes] = []
        self.pings: list[bytes] = []
        self._pongs = 0

    def _on_request(self, connection: Connection, request: Request, response: Response) -> None:
        assert connection is self.connection
        self.requests.append((request, response))

    def _on_gone(self, connection: Connection) -> None:
        assert connection is self.connection
        self.gone_with.append(connection.close_code)

    # The client's end.

    def put(self, data: bytes) -> None:
        """Let bytes of the client arrive, and the gateway act on all that it may."""
        self.write(data)
        self.arrive()

    def write(self, data: bytes) -> None:
        """Let the client send bytes, which wait in its socket."""
        self.socket.arriving += data

    def arrive(self) -> None:
        """Let the loop iterate for as long as it reads, and has anything to do."""
        while True:
            self.read()
            if self.clock.is_at_rest and not (self.socket.arriving and self.socket.is_reading()):
                return
            self.clock.iterate()

    def read(self) -> None:
        """Let the gateway read what it wants to, in an iteration of its loop."""
        while self.socket.arriving and self.socket.is_reading():
            some = bytes(self.socket.arriving[:READ_BYTES])
            del self.socket.arriving[: len(some)]
            self.hand_over(some)
            if len(some) < READ_BYTES:
                return

    def hand_over(self, data: bytes) -> None:
        """Let the transport hand over what it has read, whether or not it is to read on."""
        self.connection.get_buffer(-1)[: len(data)] = data
        self.connection.buffer_updated(len(data))

    def request(self) -> bytes:
        """Make the client's upgrade request."""
        self.client.send_request(self.client.connect())
        return b"".join(self.client.data_to_send())

    def send(self, *frames: bytes) -> None:
        """Let whole messages arrive, all at once."""
        for frame in frames:
            self.client.send_text(frame)
        self.flush()

    def send_frames(self, *frames: Frame) -> None:
        """Let WebSocket frames arrive, all at once, whether or not a client may send them so."""
        self.put(b"".join(frame.serialize(mask=True) for frame in frames))

    def say_goodbye(self, code: int = 1000) -> None:
        """Let the client close."""
        self.client.send_close(code)
        self.flush()

    def flush(self) -> None:
        """Let arrive what the client's protocol wants sent, its answers to pings and closes too."""
        if data := b"".join(self.client.data_to_send()):
            self.put(data)

    def live_on(self, seconds: float) -> None:
        """Let whole seconds pass for a client that answers its pings."""
        for _ in range(int(seconds)):
            self.clock.advance(1)
            self.look()
            self.flush()

    def lose(self) -> None:
        """Cut the wire, or tell that it has been cut as the gateway wished."""
        self.socket.abort()
        self.connection.connection_lost(None)
        self.clock.settle()

    def end(self) -> None:
        """Forget the connection, and break the cycles of the client's own end."""
        assert self.clock.is_idle
        self.clock.forget()
        self.requests.clear()
        forget(self.client)
        del self.connection, self.deliveries

    # What the client sees.

    def look(self) -> None:
        """Let the client read what was written."""
        self.client.receive_data(self.socket.taken())
        for event_ in self.client.events_received():
            match event_:
                case Frame(opcode=Opcode.TEXT, data=data):
                    self._texts.append(bytes(data))
                case Frame(opcode=Opcode.PING, data=data):
                    self.pings.append(bytes(data))
                case Frame(opcode=Opcode.PONG):
                    self._pongs += 1
                case _:
                    assert isinstance(event_, Response | Frame)

    def texts(self) -> list[bytes]:
        """Return the messages that have come since the last time."""
        self.look()
        texts, self._texts = self._texts, []
        return texts

    def names(self) -> list[str]:
        """Return the `requestId` of each message that has come since the last time."""
        return [str(message["requestId"]) for message in self.messages()]

    def messages(self) -> list[dict[str, Any]]:
        """Return what has come since the last time, as JSON."""
        return [json.loads(text) for text in self.texts()]

    def socket_pongs(self) -> int:
        """Count the pongs that have come so far."""
        self.look()
        return self._pongs

    @property
    def close_code(self) -> int | None:
        """With what code the gateway closed, as the client sees it; None: it has not."""
        self.look()
        close = self.client.close_rcvd
        return None if close is None else close.code

    # The host's end.

    def welcome(self, whom: Session | None = None, missed: Missed = NOTHING) -> None:
        """Let in the one client that has asked, and send it what it missed."""
        ((_, response),) = self.requests
        self.connection.welcome(response, whom or session(), WELCOME)
        self.deliveries.replay(missed)

    def answer(self, router: RouterReply | Answers | None = RELAYED) -> None:
        """Answer the one question to a router that is under way."""
        self.host.answer(router)
        self.arrive()

    def answer_room(self, presence: PresenceReply | None) -> None:
        """Answer the one question to presence that is under way."""
        self.host.answer(presence=presence)
        self.arrive()


def connected(whom: Session | None = None) -> Harness:
    """Make a harness with a client that has been welcomed, and has read that."""
    harness = Harness()
    harness.put(harness.request())
    harness.welcome(whom)
    assert harness.texts() == [WELCOME]
    return harness
