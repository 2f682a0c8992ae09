"""What was asked of the broker once, and is waited for apart from that.

`tieline.runtime.requests` asks it, hears the replies, and says when it is too late for them.
"""

import asyncio

from tieline.runtime.answer_time import AnswerTime
from tieline.runtime.message import NO_RESPONDERS, Message


class NoAnswer(Exception):
    """No answer came within the patience of the request; it may or may not have been carried out."""


class Once:
    """What was asked without resending; await its `reply`, or its `replies`, once.

    Asking is one thing and waiting another, so that several questions that do not depend on each other are
    under way together without a task for each, which would cost as much as the questions. A caller that is
    not interested any more just does not wait.
    """

    __slots__ = ("_asked", "_complete", "_failure", "_is_one", "_most_s", "_replies", "_subject", "_usual")

    def __init__(
        self,
        subject: str,
        complete: asyncio.Future[bool],
        asked: float,
        most_s: float,
        *,
        is_one: bool,
        usual: AnswerTime | None = None,
    ) -> None:
        """Take when it was asked, by the loop's clock, after how long to give up, and if one reply is all.

        Else it is all replies up to the one with a status, which says that it is the last. Where it is known
        what answers take, that counts, if it is less, and is learned.
        """
        self._subject = subject
        self._complete = complete
        self._is_one = is_one
        self._replies: list[Message] = []
        self._failure: Exception | None = None
        self._asked = asked
        self._most_s = most_s
        self._usual = usual

    async def replies(self) -> list[Message]:
        """Wait for all replies.

        Raises:
            NoAnswer: the last one did not come in time, no process listens, or nothing could be sent.
        """
        if not await self._complete or self._replies[-1].status == NO_RESPONDERS:
            no_answer = NoAnswer(self._subject)
            no_answer.__cause__ = self._failure  # as `raise ... from` does, but where this is compiled
            raise no_answer
        return self._replies

    async def reply(self) -> Message:
        """Wait for the one reply. Raises what `replies` raises."""
        return (await self.replies())[0]

    def is_late(self, now: float) -> bool:
        """Whether to give up by now."""
        enough_s = self._most_s if self._usual is None else min(self._most_s, self._usual.enough_s)
        return self._asked + enough_s <= now

    def hear(self, reply: Message, now: float) -> bool:
        """Take a reply; returns whether the answer is complete."""
        self._replies.append(reply)
        if not self._is_one and reply.status == "":
            return False
        if self._usual is not None and reply.status != NO_RESPONDERS:
            self._usual.note(now - self._asked)
        self._end(is_answered=True)
        return True

    def give_up(self, failure: Exception | None = None) -> None:
        """Wait no longer, because of the time that has passed or of a failure."""
        self._failure = failure
        self._end(is_answered=False)

    def _end(self, *, is_answered: bool) -> None:
        if not self._complete.done():  # whoever waited may have gone
            self._complete.set_result(is_answered)
