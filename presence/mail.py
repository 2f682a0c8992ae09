"""Ask the mailbox where a frame is stored, by its name, which changes nothing.

The stream knows the names of what it has had within its duplicate window. Whoever has to know asks here
(`presence.replaced_mail`, `presence.second_look`).
"""

from typing import Final

from tieline.runtime.requests import Requests
from tieline.wire import jetstream
from tieline.wire.subjects import Subjects

PATIENCE_S: Final = 2.0
"""For an answer: a leader election takes about one second."""


class Mail:
    """The mailbox, as far as presence asks it."""

    def __init__(self, requests: Requests, subjects: Subjects) -> None:
        self._requests = requests
        self._question = subjects.mailbox_question()

    async def find(self, name: str) -> int:
        """Find where a frame is stored; 0: nowhere, as far as the stream remembers.

        Raises:
            NoAnswer: the mailbox does not answer.
        """
        headers = jetstream.only_asking(name, is_alone=self._requests.is_alone)
        reply = await self._requests.ask_once(self._question, b"", PATIENCE_S, headers)
        answer = jetstream.read_published(reply.data)
        return answer.seq if answer.duplicate else 0
