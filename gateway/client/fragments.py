"""Put the fragments of a text message together, and check that it is UTF-8; websockets does neither. Pure."""


class NotUtf8(Exception):
    """The client sent text that is none: relayed, it would end the receiver's connection."""


class Fragments:
    """The message that is arriving. The protocol below has checked the frames' order and the size."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: bytearray | None = None

    @property
    def size(self) -> int:
        """How many bytes of a message wait for its end."""
        return 0 if self._parts is None else len(self._parts)

    def drop(self) -> None:
        """Forget the message that is arriving."""
        self._parts = None

    def add(self, data: bytes, fin: bool) -> bytes | None:
        """Add a frame's payload; returns the message when it is whole.

        Raises:
            NotUtf8: the whole message is not UTF-8.
        """
        if self._parts is not None or not fin:
            if self._parts is None:
                self._parts = bytearray()
            self._parts += data  # in place: there may be any number of fragments, even empty ones
            if not fin:
                return None
            data, self._parts = bytes(self._parts), None
        if data.isascii():
            return data
        try:
            str(data, "utf-8")
        except UnicodeDecodeError:
            raise NotUtf8 from None
        return data
