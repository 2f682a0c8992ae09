"""What comes for one client from others: each frame once.

That none comes while an older one may be missing is the duty of `gateway/delivery/feed.py`. A client that has
missed much is sent it in parts, as it reads; what comes meanwhile waits behind that.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from gateway.client.duplicates import Duplicates
from gateway.client.frames import Framed
from gateway.client.mail import Place
from gateway.client.outbox import MAX_WAITING_BYTES
from tieline import metrics

PART_FRAMES: Final = 32
"""Frames of a replay that are written in one turn of the loop, in about a third of a millisecond."""

PART_BYTES: Final = 64 * 1024
"""Bytes of them, after which the turn is others'."""

LOW_WATER_BYTES: Final = 128 * 1024
"""While more than this waits for a client to read, no more of its replay is written."""

LOOK_AGAIN_S: Final = 0.05
"""Until the next look whether a client has read what it was sent."""

MAX_BACKLOG_BYTES: Final = 64 * 1024 * 1024
"""Of replays that wait for their clients to read, in all. When that is used up, who missed more than a little
comes again later, and of what comes meanwhile only a little waits."""

REPLAY_S: Final = 30.0
"""For a whole replay: a client that takes longer holds memory that others need, and comes again for more."""


class Missed(NamedTuple):
    """What the mailbox holds for a session beyond what was pushed to it, in order."""

    known: list[int]
    """What the client has had, by name (`duplicates.name_of`): only to be remembered, for its senders may yet
    retry it."""
    fresh: list[bytes]
    """What it has not had."""
    newest: int = 0
    """The sequence of the last of them; 0: there is none."""
    numbers: tuple[int, ...] = ()
    """The sequences of what it has not had, if they matter."""
    position: int | None = None
    """The sequence of the last that the client has had; None: it is not known."""
    rooms: int | None = None
    """Up to where it has been told of its rooms; None: as far as that."""
    over: tuple[str, ...] = ()
    """Calls of which the client has had the end, or is not sent it because it was left out."""

    @property
    def place(self) -> Place:
        """Where the client goes on."""
        number = self.position or 0
        return Place(number, number if self.rooms is None else self.rooms)

    @property
    def size(self) -> int:
        """The bytes that it has not had."""
        return sum(map(len, self.fresh))


NOTHING: Final = Missed([], [])


class Backlogs:
    """The bytes that wait to be written to all clients of a gateway, which missed much."""

    def __init__(self, most: int = MAX_BACKLOG_BYTES) -> None:
        self._most = most
        self.bytes = 0

    def have_room(self, size: int) -> bool:
        """Whether so much more may wait."""
        return self.bytes + size <= self._most


class Deliveries:
    """Passes frames on to `say`, which tells whether the client is still there.

    `unread` says how many bytes wait for the client to read; `on_slow` is called when it reads too little.
    `write` takes frames that have their heads.
    """

    __slots__ = (
        "_backlog",
        "_backlogs",
        "_bytes",
        "_ends_at",
        "_had",
        "_is_overtaken",
        "_late",
        "_loop",
        "_on_slow",
        "_say",
        "_unread",
        "_write",
    )

    def __init__(
        self,
        say: Callable[[bytes], bool],
        loop: asyncio.AbstractEventLoop,
        unread: Callable[[], int] = lambda: 0,
        on_slow: Callable[[], object] = lambda: None,
        backlogs: Backlogs | None = None,
        write: Callable[[bytes], object] = lambda _: None,
        is_overtaken: Callable[[bytes], bool] = lambda _: False,
    ) -> None:
        """Take also which frames are not written: what the client was told since says otherwise."""
        self._is_overtaken = is_overtaken
        self._say = say
        self._write = write
        self._loop = loop
        self._unread = unread
        self._on_slow = on_slow
        self._backlogs = backlogs or Backlogs()
        self._had: Duplicates | None = None
        self._backlog: deque[tuple[bytes, bool]] | None = None
        """What waits to be written, and whether it was read from the mailbox; None: nothing does."""
        self._bytes = 0
        """How much that is."""
        self._late = 0
        """How much of it came while it waited."""
        self._ends_at = 0.0

    def replay(self, missed: Missed) -> None:
        """Send the client what it has missed, and remember what it has had."""
        if missed.known:
            self._had = self._had or Duplicates()
            for name in missed.known:
                self._had.is_new_name(name, self._loop.time())
        if self._backlog is None and len(missed.fresh) <= PART_FRAMES and missed.size <= PART_BYTES:
            for frame in missed.fresh:
                self._send_missed(frame)
            return
        if self._backlog is None:
            self._backlog = deque()
            self._ends_at = self._loop.time() + REPLAY_S
            self._loop.call_later(0, self._write_part)
        self._backlog.extend((frame, True) for frame in missed.fresh)
        self._grow(missed.size)

    def has_had(self, frame: bytes) -> bool:
        """Whether the client was sent this very frame in the last minute."""
        return self._had is not None and self._had.has(frame)

    def deliver(self, frame: bytes) -> None:
        """Send the client a frame, unless it has had the very same one."""
        if self._backlog is not None:
            self._wait_behind(frame)
            return
        if self._is_overtaken(frame):
            return
        if self._had is None:
            self._had = Duplicates()
        if not self._had.is_new(frame, self._loop.time()):
            metrics.DELIVERED_AGAIN.inc()
        elif self._say(frame):
            metrics.DELIVERED.inc()
        else:
            metrics.DELIVERED_TO_NOBODY.inc()

    def write(self, frames: bytes) -> None:
        """Send the client frames that have their heads, and that nobody sends twice."""
        if self._backlog is not None:
            self._wait_behind(Framed(frames))
        else:
            self._write(frames)

    def _send_missed(self, frame: bytes) -> None:
        if isinstance(frame, Framed):
            self._write(frame)
        elif not self.has_had(frame):
            self.deliver(frame)

    def _send_late(self, frame: bytes) -> None:
        if isinstance(frame, Framed):
            self._write(frame)
        else:
            self.deliver(frame)

    def _wait_behind(self, frame: bytes) -> None:
        """Keep a frame until the replay before it is written, unless too much waits already."""
        assert self._backlog is not None
        self._late += len(frame)
        if self._late > (MAX_WAITING_BYTES if self._backlogs.have_room(len(frame)) else PART_BYTES):
            self._drop()
            self._on_slow()
            return
        self._backlog.append((frame, False))
        self._grow(len(frame))

    def _write_part(self) -> None:
        """Write the next part, if the client has read what was written; go on later, or be done."""
        backlog = self._backlog
        if backlog is None:  # the client was too slow
            return
        if self._unread() > LOW_WATER_BYTES:
            if self._loop.time() > self._ends_at:
                self._drop()
                self._on_slow()
            else:
                self._loop.call_later(LOOK_AGAIN_S, self._write_part)
            return
        self._backlog = None  # what is written now passes by it
        written = 0
        for _ in range(min(PART_FRAMES, len(backlog))):
            frame, is_missed = backlog.popleft()
            written += len(frame)
            if is_missed:
                self._send_missed(frame)
            else:
                self._late -= len(frame)
                self._send_late(frame)
            if written >= PART_BYTES:
                break
        self._grow(-written)
        if backlog:
            self._backlog = backlog
            self._loop.call_later(0, self._write_part)

    def _grow(self, size: int) -> None:
        self._bytes += size
        self._backlogs.bytes += size

    def _drop(self) -> None:
        self._backlog = None
        self._late = 0
        self._grow(-self._bytes)
