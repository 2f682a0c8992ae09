"""Who waits for which answer. Knows nothing of sockets, so that it can outlive one."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from tieline.client.errors import ClientError, NoReply, Refused
from tieline.client.messages import ErrorEvent, Reply

REPLY_TIMEOUT_S: Final = 10.0
"""For one answer: twice as long as a gateway tries before it says INTERNAL, so its own word comes first."""


class Requests:
    """The requests of one client that have no answer yet, by request id."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._waiting: dict[str, asyncio.Future[Reply]] = {}
        # Ids are unique for the user, not only for this connection: a gateway keeps them for a minute.
        self._prefix = secrets.token_hex(6)
        self._count = 0

    def next_id(self) -> str:
        """Name a message as nobody's message was named before."""
        self._count += 1
        return f"{self._prefix}-{self._count}"

    @asynccontextmanager
    async def asking(self, request_id: str, cmd: str) -> AsyncIterator[asyncio.Future[Reply]]:
        """Hold a place for the answer while the block sends the request and awaits it.

        Raises:
            NoReply: the block took longer than the timeout.
        """
        answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = answered
        try:
            async with asyncio.timeout(self._timeout_s):
                yield answered
        except TimeoutError as error:
            raise NoReply(cmd, request_id, self._timeout_s) from error
        finally:
            del self._waiting[request_id]
            if not answered.cancel() and not answered.cancelled():
                answered.exception()  # read, so that one nobody awaited any more is not reported as a bug

    def answer(self, reply: Reply) -> None:
        """Hand a reply to whoever waits for it; one that nobody waits for any more changes nothing."""
        answered = self._waiting.get(reply.request_id)
        if answered is not None and not answered.done():
            answered.set_result(reply)

    def refuse(self, error: ErrorEvent) -> bool:
        """Hand a refusal to whoever waits for it. False: nobody does, and it must be told otherwise."""
        answered = self._waiting.get(error.request_id)
        if answered is None or answered.done():
            return False
        answered.set_exception(Refused(error.code, error.msg, error.reason, error.cmd, error.request_id))
        return True

    def give_up(self, why: Callable[[], ClientError]) -> None:
        """Fail everything that waits, each with an exception of its own."""
        for answered in self._waiting.values():
            if not answered.done():
                answered.set_exception(why())
