"""What can go wrong for a client, one exception each; all of them are `ClientError`.

The server has two ways of saying no, and they stay apart here: `Refused` (you stay connected) and `Closed`
(it hung up). `Denied` is a no before there was a connection.
"""

from tieline.wire.codes import may_reconnect


class ClientError(Exception):
    """Anything this client raises on purpose."""


class Unreachable(ClientError):
    """No gateway answered at the URL: nobody listens there, or somebody who speaks something else."""


class Denied(ClientError):
    """A gateway answered and refused the connection, over HTTP, before the upgrade.

    `code` is the HTTP status. `reason` is "" when it was not a gateway that answered (a proxy's 502).
    `retry_after` is in seconds, None when the answer names no time.
    """

    def __init__(self, code: int, msg: str, reason: str, retry_after: float | None) -> None:
        super().__init__(f"connection refused: {code} {msg} ({reason or 'no reason given'})")
        self.code = code
        self.msg = msg
        self.reason = reason
        self.retry_after = retry_after


class Refused(ClientError):
    """The server refuses one message; the connection stays. `reason` is the word to act on."""

    def __init__(self, code: int, msg: str, reason: str, cmd: str, request_id: str) -> None:
        super().__init__(f"{cmd or 'message'} refused: {code} {msg} ({reason})")
        self.code = code
        self.msg = msg
        self.reason = reason
        self.cmd = cmd
        self.request_id = request_id


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


class NoReply(ClientError):
    """The server did not answer in time. The message may have been carried out, or not."""

    def __init__(self, cmd: str, request_id: str, timeout_s: float) -> None:
        super().__init__(f"no reply to {cmd} within {timeout_s:g} s")
        self.cmd = cmd
        self.request_id = request_id
        self.timeout_s = timeout_s


class Unreadable(ClientError):
    """The server answered a request with something that is no answer to it."""
