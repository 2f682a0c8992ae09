"""What this client sends, until it is answered. Knows nothing of sockets' ends, so that it outlives them.

Letters leave in the order in which they were posted. Over a new connection those that have no answer yet
leave first, again in that order, the very same frames: the server takes such a one for a retry.
"""

import asyncio
import secrets
from collections.abc import Callable
from typing import Final, Protocol

from tieline.client.errors import ClientError, Closed, NoReply, Refused
from tieline.client.events import ErrorEvent
from tieline.client.messages import Reply
from tieline.client.stats import Stats

REPLY_TIMEOUT_S: Final = 10.0
"""For one answer: twice as long as a gateway tries before it says INTERNAL, so its own word comes first."""

RESEND_WINDOW_S: Final = 55.0
"""After its first sending a letter may go again for so long: past 60 s the server no longer knows the first,
and would take the second for a message of its own. The rest is for the way there."""


class Wire(Protocol):
    """What letters leave on."""

    async def send(self, frame: bytes) -> None:
        """Write one frame; raise `Closed` when nothing can be written any more."""
        ...


class Letter:
    """One frame, and the answer to it: a reply, or None as soon as it is written."""

    __slots__ = (
        "answered",
        "clock",
        "cmd",
        "first_sent_at",
        "frame",
        "on_answer",
        "request_id",
        "wants_reply",
    )

    def __init__(
        self,
        request_id: str,
        cmd: str,
        frame: bytes,
        *,
        wants_reply: bool = True,
        on_answer: Callable[[Reply | ClientError | None], None] | None = None,
    ) -> None:
        self.request_id = request_id
        self.cmd = cmd
        self.frame = frame
        self.wants_reply = wants_reply
        self.on_answer = on_answer
        """Called with the answer before anything that came after it is looked at; then nobody awaits it."""
        self.first_sent_at: float | None = None
        self.answered: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()
        self.clock: asyncio.TimerHandle | None = None


class Letters:
    """The letters of one client that have no answer yet, in the order of posting."""

    def __init__(self, timeout_s: float, stats: Stats) -> None:
        self._timeout_s = timeout_s
        self._stats = stats
        self._open: dict[str, Letter] = {}
        self._outbox: asyncio.Queue[Letter] | None = None
        """What the connection in use has yet to write; None while there is none."""
        # Ids are unique for the user, not only for this connection: a gateway keeps them for a minute.
        self._prefix = secrets.token_hex(6)
        self._count = 0

    def next_id(self) -> str:
        """Name a message as nobody's message was named before."""
        self._count += 1
        return f"{self._prefix}-{self._count}"

    def post(self, letter: Letter) -> None:
        """Send a letter as soon as there is a connection, after all those posted before."""
        if letter.answered.done():  # with a refusal, and now it is tried once more
            letter.answered = asyncio.get_running_loop().create_future()
        self._open[letter.request_id] = letter
        if self._outbox is not None:
            self._put_out(letter, self._outbox)

    async def deliver(self, letter: Letter) -> Reply | None:
        """Send a letter, once more if it was answered before, and wait for the answer.

        Raises:
            Refused: the server says no.
            NoReply: it says nothing in time, or the letter has grown too old to be sent again.
            ClientError: whatever `give_up` gave meanwhile.
        """
        self.post(letter)
        try:
            return await letter.answered
        finally:
            self._settle(letter)
            if not letter.answered.cancel() and not letter.answered.cancelled():
                letter.answered.exception()  # read, so that one nobody awaited any more is no bug to report

    def answer(self, reply: Reply) -> None:
        """Hand a reply to whoever waits for it; one that nobody waits for any more changes nothing."""
        letter = self._awaiting(reply.request_id)
        if letter is not None:
            self._conclude(letter, reply)

    def refuse(self, error: ErrorEvent) -> bool:
        """Hand a refusal to whoever waits for it. False: nobody does, and it must be told otherwise."""
        letter = self._awaiting(error.request_id)
        if letter is None:
            return False
        why = Refused(error.code, error.msg, error.reason, error.cmd, error.request_id)
        return self._conclude(letter, why)

    def give_up(self, why: Callable[[Letter], ClientError]) -> None:
        """Fail everything that is open, each with an exception of its own."""
        for letter in tuple(self._open.values()):
            self._conclude(letter, why(letter))

    def connect(self) -> int:
        """Put everything that is open out for a new connection; say how many of them leave once more."""
        outbox = self._outbox = asyncio.Queue()
        resent = 0
        for letter in tuple(self._open.values()):
            age_s = _now() - (_now() if letter.first_sent_at is None else letter.first_sent_at)
            if age_s > RESEND_WINDOW_S:
                self._conclude(letter, NoReply(letter.cmd, letter.request_id, age_s))
                continue
            self._put_out(letter, outbox)
            resent += letter.first_sent_at is not None
        return resent

    def disconnect(self) -> None:
        """Let everything wait for the next connection, however long that takes."""
        self._outbox = None
        for letter in self._open.values():
            _stop_clock(letter)

    async def write_to(self, wire: Wire) -> None:
        """Write what is put out since the last `connect`, until the wire is closed."""
        outbox = self._outbox
        assert outbox is not None
        while True:
            letter = await outbox.get()
            if letter.answered.done():
                continue
            if letter.first_sent_at is None:
                letter.first_sent_at = _now()
            else:
                self._stats.resent += 1
            try:
                await wire.send(letter.frame)
            except Closed:
                return
            if not letter.wants_reply:
                self._conclude(letter, None)

    def _awaiting(self, request_id: str) -> Letter | None:
        letter = self._open.get(request_id)
        return letter if letter is not None and letter.wants_reply else None

    def _put_out(self, letter: Letter, outbox: asyncio.Queue[Letter]) -> None:
        outbox.put_nowait(letter)
        _stop_clock(letter)
        if letter.wants_reply:
            letter.clock = asyncio.get_running_loop().call_later(self._timeout_s, self._expire, letter)

    def _expire(self, letter: Letter) -> None:
        self._conclude(letter, NoReply(letter.cmd, letter.request_id, self._timeout_s))

    def _conclude(self, letter: Letter, answer: Reply | ClientError | None) -> bool:
        """Say what became of a letter. False: that has been said, or nobody waits for it."""
        is_open = self._settle(letter)
        if is_open:
            if letter.on_answer is not None:
                letter.on_answer(answer)
                letter.answered.cancel()
            elif isinstance(answer, ClientError):
                letter.answered.set_exception(answer)
            else:
                letter.answered.set_result(answer)
        return is_open

    def _settle(self, letter: Letter) -> bool:
        """Expect no answer any more. False: there was one, or nobody waits for it."""
        self._open.pop(letter.request_id, None)
        _stop_clock(letter)
        return not letter.answered.done()


def _stop_clock(letter: Letter) -> None:
    if letter.clock is not None:
        letter.clock.cancel()
        letter.clock = None


def _now() -> float:
    return asyncio.get_running_loop().time()
