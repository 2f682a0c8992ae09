"""A connection behind TLS in a test's hands, and a real client of TLS and WebSocket at the other end."""

import contextlib
import json
import logging
import ssl
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID
from websockets.client import ClientProtocol
from websockets.frames import Frame
from websockets.http11 import Request, Response
from websockets.uri import parse_uri

from gateway.admission.addresses import read_networks
from gateway.admission.entrance import Entrance, Room
from gateway.client.connection import Connection
from gateway.client.tls import READ_BYTES, Tls
from gateway.client.trickle import Trickle
from gateway.client.turns import Turns
from gateway.client.waiting import Waiting
from tests.unit.gateway.client.clock import Clock
from tests.unit.gateway.client.harness import WELCOME, session
from tests.unit.gateway.client.host import FakeHost
from tests.unit.gateway.client.transport import Socket
from tieline.runtime.tally import Tally

ANY = Room()
"""Any number of sockets."""


def trusting_anybody() -> ssl.SSLContext:
    """A client's context."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class TlsClient:
    """A client's end of TLS: bytes in, bytes out."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = (context or trusting_anybody()).wrap_bio(self.incoming, self.outgoing, server_side=False)
        self.is_ended = False
        """The gateway has ended TLS in order."""

    def hello(self) -> bytes:
        """Begin, or go on with, the handshake; returns what is to be sent."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
        return self.outgoing.read()

    def encrypted(self, data: bytes) -> bytes:
        """Put data into records, one for each call."""
        self.tls.write(data)
        return self.outgoing.read()

    def goodbye(self) -> bytes:
        """Say that no more will come."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        return self.outgoing.read()

    def decrypted(self, data: bytes) -> bytes:
        """Read all that has come."""
        self.incoming.write(data)
        found = bytearray()
        try:
            while part := self.tls.read(READ_BYTES):
                found += part
            self.is_ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.is_ended = True
        return bytes(found)


class TlsLine:
    """One connection behind TLS."""

    def __init__(self, context: ssl.SSLContext, peer: str = "203.0.113.1", room: Room = ANY) -> None:
        """Come from `peer`; 10.0.0.1 is a proxy of ours that says with a header for whom."""
        self.clock, self.host, self.socket = Clock(), FakeHost(), Socket()
        self.socket.extra["peername"] = (peer, 1)
        self.requests: list[tuple[Request, Response]] = []
        self.gone_with: list[int] = []
        self.waiting = Waiting(1 << 30)
        self.turns = turns = Turns(self.clock.loop, self.clock.time)
        tally = Tally(logging.getLogger("gateway"), lambda _delay, _callback: None)
        proxies = read_networks("X", "10.0.0.1")
        self.entrance = Entrance(room, tally, proxies, expects_header=True)
        self.connection = Connection(
            self.clock.loop,
            self.entrance,
            self.host,
            lambda _connection, request, response: self.requests.append((request, response)),
            lambda connection: self.gone_with.append(connection.close_code),
            turns,
            self.waiting,
            now=self.clock.time,
        )
        self.tls = Tls(self.connection, context, turns, Trickle(self.clock.loop))
        self.tls.connection_made(self.socket)
        self.client = TlsClient()
        self.websocket = ClientProtocol(parse_uri("wss://gateway.example/ws"))

    def arrive(self, data: bytes) -> None:
        """Let bytes arrive, as far as they are read, and whatever follows at once."""
        self.socket.arriving += data
        self.read()
        while not self.clock.is_at_rest:
            self.clock.iterate()
            self.read()

    def read(self) -> None:
        """Let the gateway read what it wants to."""
        while self.socket.arriving and self.socket.is_reading():
            some = bytes(self.socket.arriving[:READ_BYTES])
            del self.socket.arriving[: len(some)]
            self.tls.get_buffer(-1)[: len(some)] = some
            self.tls.buffer_updated(len(some))

    def shake_hands(self) -> None:
        """Complete the handshake of TLS."""
        self.arrive(self.client.hello())
        self.client.incoming.write(self.socket.taken())
        self.arrive(self.client.hello())

    def say(self, data: bytes) -> None:
        """Let data arrive, encrypted."""
        self.arrive(self.client.encrypted(data))

    def send(self, *texts: bytes) -> None:
        """Let messages arrive, each in a record of its own."""
        for text in texts:
            self.websocket.send_text(text)
            for data in self.websocket.data_to_send():
                self.socket.arriving += self.client.encrypted(data)
        self.arrive(b"")

    def heard(self) -> bytes:
        """Return what the gateway has said since the last time, decrypted."""
        return self.client.decrypted(self.socket.taken())

    def messages(self) -> list[dict[str, Any]]:
        """Return the messages of the gateway since the last time."""
        self.websocket.receive_data(self.heard())
        frames = [event for event in self.websocket.events_received() if isinstance(event, Frame)]
        return [json.loads(bytes(frame.data)) for frame in frames if frame.opcode == 1]

    def lose(self) -> None:
        """Cut the wire, or tell that it has been cut as the gateway wished."""
        self.socket.abort()
        self.tls.connection_lost(None)
        self.clock.settle()

    def open(self) -> "TlsLine":
        """Shake hands, upgrade and be welcomed."""
        self.shake_hands()
        self.websocket.send_request(self.websocket.connect())
        self.say(b"".join(self.websocket.data_to_send()))
        ((_, response),) = self.requests
        self.connection.welcome(response, session(), WELCOME)
        self.arrive(b"")
        assert [message["cmd"] for message in self.messages()] == ["WELCOME"]
        return self


def shown_by(context: ssl.SSLContext) -> str:
    """Shake hands with a server's context; returns for whom its certificate is."""
    line = TlsLine(context)
    line.shake_hands()
    shown = line.client.tls.getpeercert(binary_form=True)
    assert shown is not None
    (name,) = x509.load_der_x509_certificate(shown).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(name.value)
