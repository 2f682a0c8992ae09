"""What one client has sent and nobody has looked at yet, and when it is looked at.

Bytes in, whole frames out: `next_text` the plain ones, `taker.take_frame` all others. A frame or two are
looked at as they arrive. The rest waits for a turn (`turns`): so many frames and bytes, and so much time with
all that comes of them; a long message begins a turn, so that its time does not come on top of others'. A
client over its limit (`allowance`) waits for its time, one that says more than is answered (`inbound`) for
the answers. Meanwhile it is not read: what it sends waits in its own socket.

After a close frame of ours only the client's own is looked for, and nothing at all after that.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Protocol

from gateway.client.allowance import TOO_LONG, WAIT, Allowance
from gateway.client.backlog import Backlog
from gateway.client.budget import Budget, price_of_frame
from gateway.client.frames import CLOSE, Shape, completes_message, next_text, opcode_of, shape_of
from gateway.client.hang_up import has_hung_up
from gateway.client.trickle import Trickle
from gateway.client.turns import Turns
from gateway.client.waiting import Held
from tieline.runtime.guard import bug_guard
from tieline.wire.envelope import MAX_MESSAGE_BYTES

TURN_FRAMES: Final = 32
"""Frames of one turn: more than an honest client says at once, and some 0.3 ms of small ones."""

TURN_BYTES: Final = 16 * 1024
"""Bytes of one turn, or one frame: some offers."""

TURN_S: Final = 0.000_5
"""Time of one turn, in which a frame is begun: half of a round of `turns`, so that two get on in each."""

AT_ONCE_FRAMES: Final = 4
"""Frames that are looked at as they arrive: thousands of clients may have some at the same time."""

AT_ONCE_BYTES: Final = 8 * 1024
"""Bytes that are looked at as they arrive: an offer."""

READ_AHEAD_BYTES: Final = 16 * 1024
"""A client of which as much waits for its turn is not read meanwhile."""

CLOSING_BYTES: Final = 256 * 1024
"""A client that has sent so much since a close frame without its own is not read any more: more than it can
have had under way, with sockets of the usual size. It has `CLOSING_S` then, like everybody."""


_log = logging.getLogger(__name__)


class Taker(Protocol):
    """What takes the frames of one client: its connection."""

    def take_text(self, text: bytes) -> None:
        """Take a whole text message."""
        ...

    def take_frame(self, frame: bytes) -> int | None:
        """Take any other frame, or the header of one that is refused by it.

        Returns how many bytes the next one may have, None: between messages, where a plain one may begin.
        """
        ...

    def take_flood(self, text: bytes | None) -> None:
        """Refuse a text message (None: another frame) of a client that goes on and on, and close."""
        ...

    def take_end(self) -> None:
        """Take note that there will be no more frames; called once."""
        ...


class Unread(Protocol):
    """The messages that were taken, and are not acted on yet."""

    @property
    def has_next(self) -> bool:
        """Whether the first of them may be acted on now."""
        ...

    @property
    def next_bytes(self) -> int:
        """How long that one is."""
        ...

    def act_on_next(self) -> None:
        """Act on it."""
        ...

    def go_together(self) -> None:
        """Ask about what waits for those that may go with it: nothing more is looked at now."""
        ...


class Reader:
    """The bytes of one client, from WELCOME to the end. `now` is for measuring, in seconds."""

    __slots__ = (
        "_allowance",
        "_backlog",
        "_closing_bytes",
        "_has_ended",
        "_held",
        "_is_closing",
        "_is_direct",
        "_is_looking",
        "_is_paused",
        "_is_queued",
        "_is_stopped",
        "_now",
        "_part_most",
        "_rest",
        "_taker",
        "_transport",
        "_trickle",
        "_turns",
        "_unread",
        "is_full",
    )

    def __init__(
        self,
        taker: Taker,
        unread: Unread,
        transport: asyncio.Transport,
        turns: Turns,
        held: Held,
        budget: Budget,
        trickle: Trickle,
        loop: asyncio.AbstractEventLoop,
        now: Callable[[], float],
    ) -> None:
        """Begin with a transport that is paused, between two messages."""
        self._taker = taker
        self._unread = unread
        self._transport = transport
        self._turns = turns
        self._held = held
        self._allowance = Allowance(budget, loop, now)
        self._trickle = trickle
        self._now = now
        self._rest = bytearray()
        self._backlog = Backlog(self._rest)
        self._part_most: int | None = None
        self._closing_bytes = CLOSING_BYTES
        self._is_paused = True
        self._is_queued = self._is_looking = False
        self.is_full = False
        """Whether enough messages wait: `hold`, not yet `release`."""
        self._is_closing = self._is_stopped = self._has_ended = False
        self._is_direct = False

    @property
    def is_queued(self) -> bool:
        """Whether something is looked at, or is about to be; behind it those who wait `go_together`."""
        return self._is_queued

    @property
    def is_reading(self) -> bool:
        """Whether what the client sends is looked at as it arrives: else its pong may be among what waits."""
        return not self._is_paused and not self._is_queued and not self._allowance.is_waiting

    def start(self) -> None:
        """Read from now on."""
        self._wake()

    def receive(self, data: bytes) -> None:
        """Look at what has arrived, now or later."""
        size = len(data)
        if self._is_direct and size <= AT_ONCE_BYTES:
            text = next_text(data, 0)
            if text is not None and text[1] == size and self._allowance.may_take_message():
                self._taker.take_text(text[0])
                return
        if self._is_stopped:
            self._closing_bytes -= size
            self._set_reading()
            return
        self._is_direct = False
        self._rest += data
        self._held.change(size)
        if self._is_queued or self.is_full or self._allowance.is_waiting:
            self._set_reading()
            return
        is_long = self._arrived() + len(self._rest) > AT_ONCE_BYTES
        if self._settle() if is_long else self._look(AT_ONCE_FRAMES, AT_ONCE_BYTES):
            self._turns.join(self)
            return
        self._unread.go_together()
        if len(self._rest) >= size and self._trickle.note(size, self._set_reading):
            self._set_reading()

    def take_turn(self) -> bool:
        """Look at what waits, as far as one turn goes; returns whether to be called again.

        A bug that a frame meets cuts its client, as it would where frames arrive: the others have their turn.
        """
        with bug_guard(_log, "client cut: a bug", self._transport.abort):
            has_more = self._look(TURN_FRAMES, TURN_BYTES)
            self._unread.go_together()
            return has_more
        return False

    def hold(self) -> None:
        """Look at no more frames until `release`: enough messages wait."""
        self.is_full = True
        self._is_direct = False
        self._set_reading()

    def release(self) -> None:
        """Look at frames again, if that was not so."""
        if self.is_full:
            self.is_full = False
            self.wake()

    def wake(self) -> None:
        """Take a turn, if there is anything to be looked at now."""
        if not self._is_queued and not self._is_looking:
            self._wake()

    def begin_closing(self) -> None:
        """Look for nothing but the client's close frame: ours has been sent."""
        self._allowance.lift()
        self.is_full = self._is_direct = False
        self._closing_bytes = CLOSING_BYTES
        self._trickle.stop()
        self._is_closing = True
        self.wake()

    def stop(self) -> None:
        """Look at nothing any more: the client has said its last word."""
        self._is_stopped = True
        self._is_direct = False
        self._allowance.stop_waiting()
        self._trickle.stop()
        if not self._is_looking:
            self._drop()
            self._set_reading()

    def end(self) -> None:
        """Take note that no more will come; what waits is still looked at, unless it is over the limit."""
        self._trickle.stop()
        self._has_ended = True
        self.wake()

    def _wake(self) -> None:
        if self._settle():
            self._turns.join(self)

    def _look(self, frames: int, size: int) -> bool:
        """Look at so many frames and bytes, or one frame; returns whether there is more to look at."""
        self._is_looking = self._is_queued = True
        rest, at, end = self._rest, 0, self._now() + TURN_S
        is_first = True
        try:
            while frames > 0 and at < size:
                if self._unread.has_next:
                    if not is_first and self._unread.next_bytes > AT_ONCE_BYTES:
                        break
                    self._unread.act_on_next()
                elif (after := self._next(at, is_first)) == at:
                    break
                else:
                    at = after
                is_first = False
                frames -= 1
                if self._now() >= end:
                    break
        except Exception:
            self._is_looking = self._is_queued = False
            self.stop()
            self._unread.go_together()
            raise
        self._is_looking = False
        if self._is_stopped:
            self._drop()
        elif at:
            del rest[:at]
            self._held.change(-at)
            self._trickle.completed()
        return self._settle()

    def _next(self, at: int, is_first: bool) -> int:
        """Take the frame at `at`, if it is there and may be taken; returns where the next one begins.

        One that ends a long message may be taken only as the first of a turn.
        """
        rest = self._rest
        if self.is_full or self._is_stopped or self._allowance.is_waiting:
            return at
        shape = shape_of(rest, at, MAX_MESSAGE_BYTES if self._part_most is None else self._part_most)
        if shape.end > len(rest):
            return at
        first = rest[at]
        if self._is_closing:
            self._skip(first, at, shape)
            return shape.end
        if not is_first and completes_message(first) and self._arrived() + shape.size > AT_ONCE_BYTES:
            return at
        text = next_text(rest, at) if self._part_most is None else None
        price = price_of_frame(shape.size, not completes_message(first))
        verdict = self._allowance.ask(price, self._on_time)
        if verdict is WAIT and opcode_of(first) != CLOSE:  # who wants to go need not wait
            self._backlog.wait(shape.end - at)
            return at
        if verdict is TOO_LONG:
            if self._floods(shape.end):
                self._taker.take_flood(None if text is None else text[0])
                return shape.end
            self._allowance.pay(price)
        if text is None:
            self._part_most = self._taker.take_frame(bytes(rest[at : shape.end]))
        else:
            self._taker.take_text(text[0])
        return shape.end

    def _arrived(self) -> int:
        """Say how long the fragments are that have come of a message."""
        return 0 if self._part_most is None else MAX_MESSAGE_BYTES - self._part_most

    def _floods(self, at: int) -> bool:
        """Whether a client that was over its limit for too long has more to say than one that only waits.

        That is seen when it was read on while a frame waited; it counts what it has said from `at` on.
        """
        backlog = self._backlog
        if not backlog.is_wanted:
            backlog.is_wanted = True
            return False
        if backlog.is_long(at):
            return True
        backlog.is_wanted = False
        self._allowance.let_up()
        return False

    def _skip(self, first: int, at: int, shape: Shape) -> None:
        """Pass over a frame, while the client's close frame is awaited."""
        self._closing_bytes -= shape.end - at
        if opcode_of(first) == CLOSE and not shape.is_refused:
            self._taker.take_frame(bytes(self._rest[at : shape.end]))
        elif shape.is_refused or self._closing_bytes < 0:
            self.stop()

    def _settle(self) -> bool:
        """Decide what comes next; returns whether there is anything to be looked at now."""
        if self._has_ended and self._allowance.is_waiting:
            self._allowance.stop_waiting()
            self._drop()
        more = self._has_more()
        self._is_queued = more
        self._is_direct = not (
            more
            or self._rest
            or self.is_full
            or self._is_stopped
            or self._is_closing
            or self._allowance.is_waiting
            or self._part_most is not None
        )
        self._set_reading()
        if self._has_ended and not more and not self.is_full:
            self._drop()
            self._taker.take_end()
        return more

    def _has_more(self) -> bool:
        if self._unread.has_next:
            return True
        if self.is_full or self._is_stopped or self._allowance.is_waiting:
            return False
        most = MAX_MESSAGE_BYTES if self._part_most is None else self._part_most
        return shape_of(self._rest, 0, most).end <= len(self._rest)

    def _set_reading(self) -> None:
        """Read from the socket, or leave what the client sends there."""
        pauses = (
            self.is_full
            or self._trickle.is_resting
            or (self._allowance.is_waiting and not self._backlog.lacks_bytes)
            or (self._is_queued and len(self._rest) >= READ_AHEAD_BYTES)
            or (self._is_stopped and self._closing_bytes < 0)
        )
        if pauses is not self._is_paused and not self._has_ended and not self._transport.is_closing():
            self._is_paused = pauses
            if pauses:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def _drop(self) -> None:
        self._held.change(-len(self._rest))
        self._rest.clear()

    def _on_time(self) -> None:
        if has_hung_up(self._transport):
            self._drop()
            self._transport.abort()
        else:
            self.wake()
