"""Ask routers to carry signals.

What one turn of the event loop brings travels together: one message for each command, and one or a few back.
Under load most of what a message costs in a gateway, a router and the broker is then shared; a signal that
comes alone travels alone, and does not wait for others.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from tieline.runtime.broker import Broker
from tieline.runtime.guard import bug_guard
from tieline.runtime.message import Message
from tieline.runtime.patience import PATIENCE_S
from tieline.runtime.requests import Requests
from tieline.runtime.unreadable import Unreadable
from tieline.wire.checks import UNREADABLE
from tieline.wire.internal import codec
from tieline.wire.internal.directions import RouterReply
from tieline.wire.internal.signals import Answers, Signal
from tieline.wire.subjects import Subjects

MAX_SIGNALS: Final = 128
"""In one pack: the next ones may go to another router, and need not wait for all of these to be read."""

MAX_BYTES: Final = 64 * 1024
"""In one pack, unless a single frame is as long: far below what any broker takes in one message."""

_log = logging.getLogger(__name__)

_guard: Final = bug_guard(_log, "signals not sent: a bug")

Answered = Callable[[RouterReply | Answers | None], None]
"""Called once, with the answer, or with None when there was none in time."""


def _size(signal: Signal) -> int:
    size = len(signal.frame)
    return size + sum(map(len, signal.then)) if signal.then else size


class _Pack:
    """A `Question`: signals of one command. Asked again, it holds only those that have no answer yet."""

    __slots__ = ("_answered", "_bytes", "_open", "_signals", "_unreadable")

    def __init__(self, unreadable: Unreadable) -> None:
        self._unreadable = unreadable
        self._signals: list[Signal | None] = []
        self._answered: list[Answered | None] = []
        self._open = 0
        self._bytes = 0

    def has_room_for(self, size: int) -> bool:
        return self._open < MAX_SIGNALS and self._bytes + size <= MAX_BYTES

    def add(self, signal: Signal, size: int, answered: Answered) -> None:
        self._signals.append(signal)
        self._answered.append(answered)
        self._open += 1
        self._bytes += size

    def payload(self) -> bytes:
        return codec.encode(self._signals)

    def hear(self, reply: Message) -> bool:
        try:
            answers = codec.decode_answers(reply.data)
        except UNREADABLE as error:
            self._unreadable.note("answer", error)
            return False
        for place, answer in answers:
            answered = self._answered[place] if 0 <= place < len(self._answered) else None
            if isinstance(answer, Answers) and not answer.answers:
                continue  # which says nothing
            if answered is not None:  # else it is an answer to an earlier attempt; the first one counts
                self._signals[place] = self._answered[place] = None
                self._open -= 1
                answered(answer)
        return not self._open

    def give_up(self) -> None:
        loop = asyncio.get_running_loop()
        for answered in self._answered:
            if answered is not None:  # each by itself: a bug met by one must not leave others waiting
                loop.call_soon(answered, None)


class Signals:
    """The signals of one gateway."""

    def __init__(
        self, broker: Broker, requests: Requests, subjects: Subjects, patience_s: float = PATIENCE_S
    ) -> None:
        self._broker = broker
        self._patience_s = patience_s
        self._requests = requests
        self._subjects = subjects
        self._packs: dict[str, _Pack] = {}
        self._unreadable = Unreadable(_log)

    def ask(self, cmd: str, signal: Signal, answered: Answered) -> None:
        """Ask a router to carry one signal; `answered` is called once."""
        if not self._packs:
            self._broker.on_flush(self._send)
        pack, size = self._packs.get(cmd), _size(signal)
        if pack is None or not pack.has_room_for(size):
            if pack is not None:
                self._put(cmd, pack)
            pack = self._packs[cmd] = _Pack(self._unreadable)
        pack.add(signal, size, answered)

    def _send(self) -> None:
        packs, self._packs = self._packs, {}
        for cmd, pack in packs.items():
            with _guard:  # each by itself: a bug met by one must not leave others waiting
                self._put(cmd, pack)

    def _put(self, cmd: str, pack: _Pack) -> None:
        self._requests.put(self._subjects.signal(cmd), pack, self._patience_s)
