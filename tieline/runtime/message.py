"""One message as it came off the broker; its headers stay bytes until one is asked for. Pure."""

from collections.abc import Mapping
from typing import Final

NO_RESPONDERS: Final = "503"
"""The broker's status for a request on a subject that no process listens to."""

_LINE: Final = len(b"NATS/1.0")

_STORED: Final = b"\r\nNats-Stream: "
"""What JetStream adds to the headers of a message that it has stored."""


class Message:
    """What a listener is given. `headers` is NATS's own block, from its version line to its empty line."""

    __slots__ = ("data", "headers", "reply", "subject")

    def __init__(self, subject: str, reply: str, data: bytes, headers: bytes) -> None:
        self.subject = subject
        self.reply = reply
        self.data = data
        self.headers = headers

    @property
    def status(self) -> str:
        """The status that the broker itself gave instead of an answer, or after it; "" if none.

        Of a stored message it is none: whoever has published that has written it, as if reading ended there.
        """
        if self.headers[_LINE : _LINE + 1] != b" " or _STORED in self.headers:
            return ""
        return self.headers[_LINE + 1 : _LINE + 4].decode(errors="replace")

    def header(self, name: bytes) -> str:
        """Read one header that JetStream has set; "" if it has not. The name is case-sensitive.

        JetStream writes its own behind those with which a message was published, so the last one counts.
        """
        at = self.headers.rfind(b"\r\n%b: " % name)
        if at < 0:
            return ""
        start = at + len(name) + 4
        end = self.headers.find(b"\r\n", start)
        return self.headers[start : end if end >= 0 else None].decode(errors="replace")


def block(headers: Mapping[str, str]) -> bytes:
    """Encode headers, which must hold no line ends, as NATS takes them."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    return f"NATS/1.0\r\n{lines}\r\n".encode()
