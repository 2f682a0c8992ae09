"""A transport that keeps what is written to it, and is as strict as a real one."""

import asyncio


class Socket(asyncio.Transport):
    """The gateway's end of a TCP connection."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting_bytes = 0
        """What the other end has not read yet, as far as the gateway is told."""
        self.arriving = bytearray()
        """What the other end has sent, and nobody has read."""
        self.high: int | None = None
        """From so many bytes on the connection is told that the other end does not read."""
        self.is_read = True
        self.extra: dict[str, object] = {}
        """What `get_extra_info` tells."""
        self.is_aborted = False
        self.is_ended = False
        """The gateway has said that it will write no more."""
        self._is_closing = False
        self._written = bytearray()

    def get_extra_info(self, name: str, default: object = None) -> object:
        """See `asyncio.BaseTransport.get_extra_info`."""
        return self.extra.get(name, default)

    def taken(self) -> bytes:
        """Return what was written since the last time."""
        taken = bytes(self._written)
        self._written.clear()
        return taken

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """See `asyncio.WriteTransport.write`."""
        if self.is_ended:
            raise RuntimeError("Cannot call write() after write_eof()")
        if not self._is_closing:
            self._written += data

    def write_eof(self) -> None:
        """See `asyncio.WriteTransport.write_eof`."""
        self.is_ended = True

    def get_write_buffer_size(self) -> int:
        """See `asyncio.WriteTransport.get_write_buffer_size`."""
        return self.waiting_bytes

    def set_write_buffer_limits(self, high: int | None = None, _low: int | None = None) -> None:
        """See `asyncio.WriteTransport.set_write_buffer_limits`."""
        self.high = high

    def is_reading(self) -> bool:
        """See `asyncio.ReadTransport.is_reading`."""
        return self.is_read and not self._is_closing

    def pause_reading(self) -> None:
        """See `asyncio.ReadTransport.pause_reading`."""
        self.is_read = False

    def resume_reading(self) -> None:
        """See `asyncio.ReadTransport.resume_reading`."""
        assert not self._is_closing
        self.is_read = True

    def is_closing(self) -> bool:
        """See `asyncio.BaseTransport.is_closing`."""
        return self._is_closing

    def close(self) -> None:
        """See `asyncio.BaseTransport.close`."""
        self._is_closing = True

    def abort(self) -> None:
        """See `asyncio.WriteTransport.abort`."""
        self._is_closing = True
        self.is_aborted = True
