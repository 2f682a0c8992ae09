"""What waits to be written to one client: bounded, so that a client that does not read costs only itself."""

from asyncio import Transport
from typing import Final

from websockets.protocol import SEND_EOF, State
from websockets.server import ServerProtocol

from gateway.client.frames import text_head

MAX_WAITING_BYTES: Final = 1024 * 1024
"""More than the whole set-up of six calls; a client this far behind has lost its network."""

FULL_BYTES: Final = 16 * 1024
"""From so much on what waits counts towards the sum of the gateway (`waiting`): the socket is full."""


class Outbox:
    """Writes WebSocket frames to a transport."""

    __slots__ = ("_protocol", "_transport")

    def __init__(self, protocol: ServerProtocol, transport: Transport) -> None:
        self._protocol = protocol
        self._transport = transport

    @property
    def waiting_bytes(self) -> int:
        """How much waits for the client to read."""
        return self._transport.get_write_buffer_size()

    @property
    def is_over_limit(self) -> bool:
        """Whether the client reads too slowly to be served any longer."""
        return self._transport.get_write_buffer_size() > MAX_WAITING_BYTES

    def unsent_bytes(self) -> int:
        """Say how many bytes wait."""
        return self._transport.get_write_buffer_size()

    def send(self, frame: bytes) -> bool:
        """Send one text message of valid UTF-8; False: the connection is closing, and it is not sent.

        Straight to the transport: between messages the protocol has nothing of its own to be kept in order.
        """
        if self._protocol.state is not State.OPEN or self._transport.is_closing():
            return False
        self._transport.write(text_head(len(frame)) + frame)
        return True

    def write(self, frames: bytes) -> None:
        """Send text messages that have their heads already; nothing once the connection is closing."""
        if self._protocol.state is State.OPEN and not self._transport.is_closing():
            self._transport.write(frames)

    def flush(self) -> None:
        """Write what the protocol wants written: control frames, handshakes, the end of the stream."""
        for data in self._protocol.data_to_send():
            if self._transport.is_closing():
                return
            if data is SEND_EOF or not data:
                self._transport.write_eof()
            else:
                self._transport.write(data)

    def begin(self, frame: bytes) -> None:
        """Write the answer to the upgrade and the first message, in one go: each write is a system call."""
        if not self._transport.is_closing():
            answer = b"".join(self._protocol.data_to_send())
            self._transport.write(answer + text_head(len(frame)) + frame)
