"""Ask, and read the answer: one that cannot be understood is none, and the request is sent again.

It may come from a process of another version, or of none. Another one may answer the next attempt; if none
does, the asker is told that there was no answer (`tieline.runtime.requests`).
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Generic, TypeVar

from tieline.runtime.message import Message
from tieline.runtime.patience import PATIENCE_S
from tieline.runtime.pending import always
from tieline.runtime.requests import NoAnswer, Requests
from tieline.runtime.unreadable import UNREADABLE, Unreadable

T = TypeVar("T")

_log = logging.getLogger(__name__)


class _Asked(Generic[T]):
    """A `Question` whose answer is read."""

    __slots__ = ("_done", "_is_wanted", "_payload", "_read", "_unreadable")

    def __init__(
        self,
        payload: bytes,
        read: Callable[[bytes], T],
        done: Callable[[T | None], None],
        is_wanted: Callable[[], bool],
        unreadable: Unreadable,
    ) -> None:
        self._payload = payload
        self._read = read
        self._done = done
        self._is_wanted = is_wanted
        self._unreadable = unreadable

    def payload(self) -> bytes | None:
        return self._payload if self._is_wanted() else None

    def hear(self, reply: Message) -> bool:
        try:
            answer = self._read(reply.data)
        except UNREADABLE as error:
            self._unreadable.note("answer", error)
            return False
        self._done(answer)
        return True

    def give_up(self) -> None:
        self._done(None)


class Asking:
    """Asks over one connection."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._unreadable = Unreadable(_log)

    def begin(
        self,
        subject: str,
        payload: bytes,
        read: Callable[[bytes], T],
        done: Callable[[T | None], None],
        patience_s: float = PATIENCE_S,
        is_wanted: Callable[[], bool] = always,
    ) -> None:
        """Ask, and call `done` once: with what was read, or with None for no answer.

        Each attempt says how long it is still waited for. Once it `is_wanted` no more, the request is sent no
        more.
        """
        self._requests.put(
            subject, _Asked(payload, read, done, is_wanted, self._unreadable), patience_s, None
        )

    async def ask(
        self,
        subject: str,
        payload: bytes,
        read: Callable[[bytes], T],
        patience_s: float = PATIENCE_S,
        is_wanted: Callable[[], bool] = always,
    ) -> T:
        """Ask, and return what was read. See `begin`.

        Raises:
            NoAnswer: no answer came within `patience_s` that could be read.
        """
        answered: asyncio.Future[T | None] = asyncio.get_running_loop().create_future()

        def done(answer: T | None) -> None:
            if not answered.done():
                answered.set_result(answer)

        self.begin(subject, payload, read, done, patience_s, is_wanted)
        answer = await answered
        if answer is None:
            raise NoAnswer(subject)
        return answer
