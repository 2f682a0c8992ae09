"""Read the messages that have a listener out of the broker's byte stream, as soon as each is whole.

nats-py's own parser costs a match of several patterns, a coroutine and two copies a message. This one knows
only the two lines that carry messages, and leaves all other lines to it (`nats_client`). Pure.
"""

from collections.abc import Callable, Mapping
from typing import Final

from tieline.runtime.message import Message

Listener = Callable[[Message], None]

_END: Final = b"\r\n"
_MESSAGE: Final = ord("M")
"""MSG, subject, subscription, perhaps a reply subject, size of the payload."""
_WITH_HEADERS: Final = ord("H")
"""HMSG, subject, subscription, perhaps a reply subject, size of the headers, size of all."""


class Parser:
    """Parses what one connection brings. `listeners` go by the numbers of their subscriptions."""

    def __init__(self, listeners: Mapping[bytes, Listener], failed: Callable[[Exception], None]) -> None:
        self._listeners = listeners
        self._failed = failed
        self._incomplete = b""

    def take(self, data: bytes) -> bytes:
        """Give each whole message to its listener; returns the lines and messages without one.

        An exception of a listener is given to `failed`, and the other listeners get their messages.

        Raises:
            ValueError, IndexError: the broker does not speak its own protocol.
        """
        if self._incomplete:
            data = self._incomplete + data
        others: list[bytes] = []
        size, at = len(data), 0
        while (line_end := data.find(_END, at)) >= 0:
            body, has_headers = line_end + 2, data[at] == _WITH_HEADERS
            if not has_headers and data[at] != _MESSAGE:
                others.append(data[at:body])
                at = body
                continue
            fields = data[at:line_end].split()
            end = body + int(fields[-1])
            if end + 2 > size:
                break
            listener = self._listeners.get(fields[2])
            if listener is None:
                others.append(data[at : end + 2])
            else:
                headers, with_reply = b"", 5
                if has_headers:
                    start, body = body, body + int(fields[-2])
                    headers, with_reply = data[start:body], 6
                reply = fields[3].decode() if len(fields) == with_reply else ""
                try:
                    listener(Message(fields[1].decode(), reply, data[body:end], headers))
                except Exception as error:  # a bug met by one message must not take it from all others
                    self._failed(error)
            at = end + 2
        self._incomplete = data[at:]
        return b"".join(others)
