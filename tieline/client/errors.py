"""What can go wrong for a client, one exception each; all of them are `ClientError`.

The server refuses in three ways, which stay apart here: `Refused` is about one message, and the connection
stays (docs/protocol.md#5-errors); `Closed` ends the connection (docs/protocol.md#6-losing-the-connection);
`Denied` comes instead of one (docs/protocol.md#1-connecting). The codes themselves are `tieline.wire.codes`.
"""

from typing import Final

from tieline.client.english import of_connection, of_message
from tieline.wire.codes import may_reconnect
from tieline.wire.ids import CallId

_PASSING: Final = frozenset((408, 425, 429))
"""HTTP statuses below 500 that pass with time; proxies give them under load."""


class ClientError(Exception):
    """Any error that this client raises on purpose."""


class Unreachable(ClientError):
    """No gateway answered at the URL: nothing listens there, or not something that speaks the protocol.

    Its text names the URL; `where` is that URL, and `why` the rest, where a connection could not be opened.
    """

    def __init__(self, text: str, where: str = "", why: str = "") -> None:
        super().__init__(text)
        self.where = where
        self.why = why


class Denied(ClientError):
    """A gateway answered and refused the connection, over HTTP, before the upgrade.

    `code` is the HTTP status. `reason` is "" when it was not a gateway that answered (a proxy's 502).
    `retry_after` is in seconds, None when the answer names no time. `limit` is which one was met, where
    `reason` is RATE_LIMITED: "flooding" for one who was closed with 4503 just before.
    """

    def __init__(self, code: int, msg: str, reason: str, retry_after: float | None, limit: str = "") -> None:
        why = f"{reason}: {limit}" if limit else reason
        super().__init__(f"connection refused: {of_connection(code, msg, reason, why)}")
        self.code = code
        self.msg = msg
        self.reason = reason
        self.retry_after = retry_after
        self.limit = limit

    @property
    def may_reconnect(self) -> bool:
        """Whether trying again, later or elsewhere, may help: nothing is wrong with what was asked."""
        return self.code >= 500 or self.code in _PASSING


class Refused(ClientError):
    """The server refuses one message; the connection stays. A program acts on `reason`.

    `argument` is which one it is about, "" unless it is about one.

    `fate`: the message is about a call that is `ended`, or `replaced` by another one, or `answered` already.
    `call`: the call that there is with that user; both are "" where the server does not say.
    """

    def __init__(
        self,
        code: int,
        msg: str,
        reason: str,
        cmd: str,
        request_id: str,
        argument: str = "",
        fate: str = "",
        call: str = "",
    ) -> None:
        why = ": ".join(word for word in (reason, argument, fate) if word)
        super().__init__(f"{cmd or 'message'} refused: {of_message(code, msg, reason, why)}")
        self.code = code
        self.msg = msg
        self.reason = reason
        self.cmd = cmd
        self.request_id = request_id
        self.argument = argument
        self.fate = fate
        self.call = CallId(call)


class Closed(ClientError):
    """The connection has ended. `code` is the close code, 1006 when it broke without one."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"connection closed: {code} {reason}".rstrip())
        self.code = code
        self.reason = reason

    @property
    def may_reconnect(self) -> bool:
        """Whether connecting again is allowed, and may help."""
        return may_reconnect(self.code)

    def again(self) -> "Closed":
        """Make an equal one: an exception raised twice would mix up its tracebacks."""
        return Closed(self.code, self.reason)


class GaveUp(Closed):
    """The connection was lost and is not made again. `code` and `reason` are those of the loss.

    `last` is why the last attempt failed: `Denied`, `Closed`, `Unreachable`, or what the token source raised.
    """

    def __init__(self, code: int, reason: str, last: Exception) -> None:
        super().__init__(code, reason)
        self.args = (f"{self}; not made again: {last}",)
        self.last = last

    def again(self) -> "GaveUp":
        """Make an equal one."""
        return GaveUp(self.code, self.reason, self.last)

    @property
    def may_reconnect(self) -> bool:
        """Whether connecting again is allowed, and may help."""
        return self.last.may_reconnect if isinstance(self.last, Denied | Closed) else True


class SessionLost(ClientError):
    """The session ended before the answer came, and a new one began in its place.

    The message may have been carried out, or not; it is not sent again.
    """

    def __init__(self, cmd: str, request_id: str) -> None:
        super().__init__(f"the session was lost before {cmd} was answered")
        self.cmd = cmd
        self.request_id = request_id


class UnusableToken(ClientError, ValueError):
    """What was given as a token, or came from a token source, cannot be one; no gateway was asked.

    The text does not quote it: errors are logged.
    """


class UnusableUrl(ClientError, ValueError):
    """No URL of a gateway was given, so that nothing was asked; one that is none is `Unreachable`."""


class MessageTooLong(ClientError, ValueError):
    """A message is longer than the server takes, and was not sent: it would close the connection for it."""

    def __init__(self, cmd: str, size: int, longest: int) -> None:
        super().__init__(f"{cmd} of {size} bytes is longer than the {longest} that are allowed")
        self.cmd = cmd
        self.size = size
        self.longest = longest


class NoReply(ClientError):
    """The server did not answer in time. The message may have been carried out, or not."""

    def __init__(self, cmd: str, request_id: str, timeout_s: float) -> None:
        super().__init__(f"no reply to {cmd} within {timeout_s:g} s")
        self.cmd = cmd
        self.request_id = request_id
        self.timeout_s = timeout_s


class Unreadable(ClientError):
    """The server answered a request with something that is no answer to it."""
