"""What waits for its answer, and when it is sent again (`tieline.runtime.requests` sends it). Pure."""

from collections.abc import Callable, Mapping
from typing import Protocol

from tieline.runtime.answer_time import AnswerTime
from tieline.runtime.message import Message


class Question(Protocol):
    """A request that is resent until it is answered."""

    def payload(self) -> bytes | None:
        """Return what is to be sent, the first time and again; None: nothing more, only the answer counts."""
        ...

    def hear(self, reply: Message) -> bool:
        """Take a reply; returns whether the answer is complete."""
        ...

    def give_up(self) -> None:
        """Take note that no answer has come in time."""
        ...


def always() -> bool:
    """Say that a request is wanted, whatever happens meanwhile."""
    return True


class Plain:
    """A question with one answer, or with None: a `Question`."""

    __slots__ = ("_done", "_is_wanted", "_payload")

    def __init__(
        self,
        payload: bytes,
        done: Callable[[Message | None], None],
        is_wanted: Callable[[], bool] = always,
    ) -> None:
        self._payload = payload
        self._done = done
        self._is_wanted = is_wanted

    def payload(self) -> bytes | None:
        """See `Question`."""
        return self._payload if self._is_wanted() else None

    def hear(self, reply: Message) -> bool:
        """See `Question`."""
        self._done(reply)
        return True

    def give_up(self) -> None:
        """See `Question`."""
        self._done(None)


class Pending:
    """A question that waits for its answer; `deadline`, `due` and `sent` are seconds of the loop's clock."""

    __slots__ = ("deadline", "due", "headers", "question", "sent", "subject", "times", "usual")

    def __init__(
        self,
        subject: str,
        question: Question,
        headers: Mapping[str, str] | bytes | None,
        deadline: float,
        usual: AnswerTime,
    ) -> None:
        self.subject = subject
        self.question = question
        self.headers = headers
        """None: those that say how long the asker still waits."""
        self.deadline = deadline
        self.due = deadline
        self.usual = usual
        self.sent = 0.0
        """When it was sent last."""
        self.times = 0
        """How many times as long as for the first attempt the last one is waited for; 0: nobody had it."""

    def is_put_off(self, now: float) -> bool:
        """Wait longer than was meant when it was sent, if answers take longer than they did."""
        self.due = max(self.due, self.sent + self.times * self.usual.enough_s)
        return self.due > now
