"""websockets' protocol of one client, set up as the gateway needs it, and taken apart when all is over.

The library's objects refer to themselves: a parser to its protocol, an exception to the frames that it came
through. So each connection would wait for the collector of cycles, for which everybody waits when there are
thousands. What the protocol leaves to us stands in `connection`.
"""

import logging
from collections.abc import Sequence
from typing import Final

from websockets.http11 import Request, Response
from websockets.protocol import Protocol, State
from websockets.server import ServerProtocol
from websockets.streams import StreamReader
from websockets.typing import Subprotocol

from gateway.admission import handshake
from tieline.runtime.request_head import bound_head
from tieline.wire.envelope import MAX_MESSAGE_BYTES

_quiet: Final = logging.getLogger("websockets.server")


class WebSocket(ServerProtocol):
    """The protocol of one client, from its request on."""

    def __init__(self) -> None:
        super().__init__(max_size=MAX_MESSAGE_BYTES, logger=_quiet)
        bound_head(self)

    def select_subprotocol(self, subprotocols: Sequence[Subprotocol]) -> Subprotocol | None:
        """Answer the one subprotocol that we speak.

        A method, because the library keeps a function bound to the protocol in the protocol.
        """
        return handshake.select_subprotocol(self, subprotocols)

    def accept(self, request: Request) -> Response:
        """Make the usual answer to a request, and forget how it was found."""
        response = super().accept(request)
        _forget_frames(self.handshake_exc)
        return response

    def send_response(self, response: Response) -> None:
        """Answer the request; once that is done, forget it.

        The library's parser keeps a request for as long as it lives, 3 KB of headers for each client.
        """
        super().send_response(response)
        if self.state is State.OPEN:
            self.parser.close()
            self.reader = StreamReader()
            self.parser = Protocol.parse(self)
            next(self.parser)  # as the library begins its parsers

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
