"""What the frames of one client make: messages, pongs, and the ways in which a WebSocket ends.

Whole frames come from `reader`, messages go on to `inbound`; what a frame looks like as bytes is in `frames`.
"""

from typing import Final, Protocol

from websockets.frames import Frame, Opcode
from websockets.protocol import Event

from gateway.client.fragments import Fragments, NotUtf8
from gateway.client.frames import CLOSE, is_control, is_long_control, opcode_of, wastes_bytes
from gateway.client.inbound import Inbound
from gateway.client.keepalive import Timers
from gateway.client.outbox import Outbox
from gateway.client.waiting import Held
from gateway.client.websocket import WebSocket
from tieline.wire.codes import CloseCode
from tieline.wire.envelope import MAX_MESSAGE_BYTES

_TEXT: Final = (Opcode.TEXT, Opcode.CONT)


class Client(Protocol):
    """What the frames of a client need of its connection."""

    def close(self, code: CloseCode) -> None:
        """Close the connection in order; nothing once it is closing."""
        ...

    def fail(self, code: CloseCode) -> None:
        """End the connection of a client that does not speak the protocol; nothing after that is read."""
        ...

    def leave(self) -> None:
        """Take note that the client will say nothing more."""
        ...

    def close_if_slow(self) -> None:
        """Close the connection of a client that does not read what was written just now."""
        ...


class FrameTaker:
    """Takes the frames of one client, from WELCOME to the end. It is the `Taker` of `reader`."""

    __slots__ = ("_client", "_fragments", "_held", "_inbound", "_is_open", "_outbox", "_protocol", "_timers")

    def __init__(
        self,
        client: Client,
        protocol: WebSocket,
        outbox: Outbox,
        inbound: Inbound,
        timers: Timers,
        held: Held,
    ) -> None:
        self._client = client
        self._protocol = protocol
        self._outbox = outbox
        self._inbound = inbound
        self._timers = timers
        self._held = held
        self._fragments = Fragments()
        self._is_open = True

    def take_text(self, text: bytes) -> None:
        """Take a whole text message."""
        if self._is_open and text.isascii():
            self._inbound.receive(text)
        else:
            self._on_text(text, fin=True)

    def take_frame(self, frame: bytes) -> int | None:
        """Give the protocol any other frame, and act on what it makes of it."""
        protocol, amid = self._protocol, None
        if wastes_bytes(frame) or is_long_control(frame):
            self._client.fail(CloseCode.PROTOCOL_ERROR)
            return None
        if is_control(frame[0]) and protocol.current_size is not None:
            # It may come between fragments (RFC 6455, section 5.4), where the library counts its bytes as
            # those of the message, and takes a close for an error.
            amid, protocol.current_size = protocol.current_size, None
            if opcode_of(frame[0]) == CLOSE:
                amid = None
                self._drop_fragments()
        protocol.receive_data(frame)
        if amid is not None:
            protocol.current_size = amid
        protocol.rest()
        self._outbox.flush()
        for event in protocol.events_received():
            self._on_event(event)
        if protocol.close_expected() and (self._is_open or protocol.close_rcvd is not None):
            self._client.leave()  # else it has yet to answer our close
        return None if protocol.current_size is None else MAX_MESSAGE_BYTES - protocol.current_size

    def take_flood(self, text: bytes | None) -> None:
        """Refuse a text message (None: another frame) of a client that goes on and on, and close."""
        if text is not None:
            self._inbound.refuse_flood(text)
        self._client.close(CloseCode.FLOODING)

    def take_end(self) -> None:
        """Take note that there will be no more frames."""
        self._protocol.receive_eof()
        self._client.leave()

    def stop(self) -> None:
        """Make no more messages of what comes, and forget the one that is arriving."""
        self._is_open = False
        self._drop_fragments()

    def _drop_fragments(self) -> None:
        self._held.change(-self._fragments.size)
        self._fragments.drop()

    def _on_event(self, event: Event) -> None:
        assert isinstance(event, Frame), "there is one request, before there are frames"
        if event.opcode in _TEXT:
            self._on_text(bytes(event.data), event.fin)
        elif event.opcode is Opcode.BINARY:
            self._client.fail(CloseCode.BINARY_FRAME)
        elif event.opcode is Opcode.PING:
            self._client.close_if_slow()  # the protocol has answered it, and the answer has to be read, too
        elif event.opcode is Opcode.PONG:
            data = bytes(event.data)
            self._timers.on_pong(data)
            self._inbound.on_pong(data)

    def _on_text(self, data: bytes, fin: bool) -> None:
        if not self._is_open:
            return
        waited = self._fragments.size
        try:
            message = self._fragments.add(data, fin)
        except NotUtf8:
            self._held.change(-waited)
            self._client.fail(CloseCode.NOT_UTF8)
            return
        self._held.change(self._fragments.size - waited)
        if message is not None:
            self._inbound.receive(message)
