"""The client's half of Engine.IO 4 and Socket.IO 5, as little of it as `bench/socketio/relay.js` needs.

Packets of one letter: 0 opens, 2 asks whether we live and 3 says so, 40 joins the namespace, 42 is an event.
"""

from collections.abc import Callable
from typing import Final

from tieline.load.connection import Connection

QUERY: Final = "/socket.io/?EIO=4&transport=websocket"
"""What follows the host in the URL of such a server."""

_EVENT: Final = b'42["m",'
_END: Final = b"]"


class SocketIoConnection(Connection):
    """A connection on which each message is the argument of an event."""

    _listener: Callable[[bytes], None]

    @property
    def on_text(self) -> Callable[[bytes], None]:
        """What the base calls for each text message."""
        return self._unwrap

    @on_text.setter
    def on_text(self, listener: Callable[[bytes], None]) -> None:
        self._listener = listener

    def send(self, payload: bytes) -> None:
        """Send one message as an event."""
        super().send(_EVENT + payload + _END)

    def _unwrap(self, packet: bytes) -> None:
        if packet.startswith(_EVENT):
            self._listener(packet[len(_EVENT) : -len(_END)])
        elif packet.startswith(b"0"):
            super().send(b"40")
        elif packet == b"2":
            super().send(b"3")
