"""Ask the mailbox where a frame is stored, by its name, which changes nothing.

The stream knows the names of what it has had within its duplicate window. Whoever has to know asks here
(`presence.replaced_mail`, `presence.second_look`).
"""

from typing import Final

from tieline.runtime.requests import Requests
from tieline.wire import jetstream_answers, jetstream_headers
from tieline.wire.ids import UserId
from tieline.wire.subjects import Subjects

PATIENCE_S: Final = 2.0
"""For an answer: a leader election takes about one second."""


class Mail:
    """The mailbox, as far as presence asks it."""

    def __init__(self, requests: Requests, subjects: Subjects) -> None:
        self._requests = requests
        self._place_of = subjects.place_of
        self._questions = [part.mailbox_question() for part in subjects.parts()]

    async def find(self, user: UserId, name: str) -> int:
        """Find where a frame for a user is stored; 0: nowhere, as far as the stream remembers.

        Raises:
            NoAnswer: the mailbox does not answer.
        """
        headers = jetstream_headers.only_asking(name, is_alone=self._requests.is_alone)
        question = self._questions[self._place_of(user)]
        reply = await self._requests.ask_once(question, b"", PATIENCE_S, headers)
        answer = jetstream_answers.read_published(reply.data)
        return answer.seq if answer.duplicate else 0
