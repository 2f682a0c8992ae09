"""websockets' protocol of one client, set up as the gateway needs it, and taken apart when all is over.

The library's objects refer to themselves: a parser to its protocol, an exception to the frames that it came
through. So each connection would wait for the collector of cycles, for which everybody waits when there are
thousands. What the protocol leaves to us stands in `connection`.
"""

import http
import logging
import uuid
from collections.abc import Generator, Sequence
from email.utils import formatdate
from typing import Final

from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.protocol import Protocol, State
from websockets.server import ServerProtocol
from websockets.streams import StreamReader
from websockets.typing import Subprotocol

from gateway.admission import handshake
from gateway.client.plain_request import answer_plain, read_plain
from tieline.runtime.request_head import HeadReader
from tieline.wire.envelope import MAX_MESSAGE_BYTES

_quiet: Final = logging.getLogger("websockets.server")

_SWITCHING: Final = http.HTTPStatus.SWITCHING_PROTOCOLS

_ID: Final = uuid.UUID(int=0)
"""Of all of them: a name for the library's log, which is off."""


def _nothing() -> Generator[None]:
    """Parse nothing."""
    yield


_NO_PARSER: Final = _nothing()
_NO_READER: Final = StreamReader()
"""What a protocol has between two frames."""


class WebSocket(ServerProtocol):
    """The protocol of one client, from its request on."""

    def __init__(self) -> None:
        self._is_new = True
        super().__init__(max_size=MAX_MESSAGE_BYTES, logger=_quiet)
        self.id = _ID

    def parse(self) -> Generator[None]:
        """Read a request, bounded as a whole, and what comes behind it."""
        self.reader = HeadReader()
        return super().parse()

    def receive_data(self, data: bytes | bytearray) -> None:
        """Take what the client has sent; a request that comes first, and is plain, past the library."""
        if self._is_new:
            self._is_new = False
            request = read_plain(bytes(data))
            if request is not None:
                self.events.append(request)
                self._forget_parser()
                return
        self._wake()
        super().receive_data(data)

    @property
    def is_followed(self) -> bool:
        """Whether anything has come behind the request that was read, and be it a part of a frame."""
        return isinstance(self.reader, HeadReader) and self.reader.has_more

    def receive_eof(self) -> None:
        """Take note that the client sends no more."""
        self._wake()
        super().receive_eof()

    def discard(self) -> Generator[None]:
        """Read, and forget what is read: the connection ends."""
        if self.reader is _NO_READER:
            self.reader = StreamReader()
        return super().discard()

    def rest(self) -> None:
        """Take less memory until more is received: what was received ends with a whole frame."""
        if self.state is State.OPEN:
            self._forget_parser()

    def select_subprotocol(self, subprotocols: Sequence[Subprotocol]) -> Subprotocol | None:
        """Answer the one subprotocol that we speak.

        A method, because the library keeps a function bound to the protocol in the protocol.
        """
        return handshake.select_subprotocol(self, subprotocols)

    def accept(self, request: Request) -> Response:
        """Make the usual answer to a request, and forget how it was found."""
        plain = answer_plain(request)
        if plain is None:
            response = super().accept(request)
            _forget_frames(self.handshake_exc)
            return response
        self.accept_called = True
        headers = Headers()
        headers.set_insecure("Date", formatdate(usegmt=True))
        headers.set_insecure("Upgrade", "websocket")
        headers.set_insecure("Connection", "Upgrade")
        headers.set_insecure("Sec-WebSocket-Accept", plain.accept)
        self.subprotocol = self.select_subprotocol(plain.offered)
        if self.subprotocol is not None:
            headers.set_insecure("Sec-WebSocket-Protocol", self.subprotocol)
        return Response(_SWITCHING.value, _SWITCHING.phrase, headers)

    def send_response(self, response: Response) -> None:
        """Answer the request; once that is done, forget it.

        The library's parser keeps a request for as long as it lives, 3 KB of headers for each client; and
        between two frames it is a KB that nobody needs.
        """
        super().send_response(response)
        self.rest()

    def _wake(self) -> None:
        """Take what comes now for frames, if nothing is there that parses it."""
        if self.reader is _NO_READER:
            self.reader = StreamReader()
            self.parser = Protocol.parse(self)
            next(self.parser)  # as the library begins its parsers

    def _forget_parser(self) -> None:
        self.parser.close()
        self.parser, self.reader = _NO_PARSER, _NO_READER

    def let_go(self) -> None:
        """Refer to nothing that refers to the protocol. Nothing more may be received."""
        self.parser.close()
        for error in (self.handshake_exc, self.parser_exc):
            _forget_frames(error)


def _forget_frames(error: BaseException | None) -> None:
    """Forget through which frames an error came, and those before it: one of them holds the error."""
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__
