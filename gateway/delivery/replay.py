"""Choose what of a session's mail is replayed, as it is read from the oldest to the newest.

All of it that came after the last message that the client has had. When that is more than a gateway holds for
a client, the oldest go of the sender that sent most, so that one who sends much displaces nothing of the
others. Pure. The mail is read by `gateway.delivery.mailbox`, and written to the client by
`gateway.client.deliveries`.
"""

from collections import Counter, deque
from collections.abc import Callable

from gateway.client.duplicates import name_of
from gateway.client.mail import Mail
from gateway.delivery.over import Over, may_matter
from tieline.wire.limits import MAX_MISSED, MAX_MISSED_BYTES
from tieline.wire.origin import origin_of


class Replay:
    """What is replayed of one session's mail, as far as it has been read."""

    def __init__(
        self,
        last: str = "",
        has_had: int = 0,
        lost_at: int = 0,
        max_messages: int = MAX_MISSED,
        max_bytes: int = MAX_MISSED_BYTES,
    ) -> None:
        """Begin after the last message that the client has had, which is called `last`.

        Senders choose what their messages are called, and may use a name again. The oldest that is kept is
        believed, so that a client may be sent something once more, but misses nothing. One that was stored
        after the client's connection was lost, at `lost_at`, is not it: that one is kept no more, and nothing
        that is kept has reached the client. 0: it is not known when that was.

        Or begin after `has_had`, a number that was made by the server, and then `last` says nothing: that of
        a change of a room that the client was told last, or of the place that it has named. 0: there is none.
        """
        self._last = "" if has_had else last
        self._has_had = has_had
        self._lost_at = lost_at
        self.position: int | None = has_had or None
        """The sequence of the last that the client has had; None: it is not known."""
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self.over = Over()
        """Calls of which the client has had the end, or will not be sent it because it is left out."""
        self.known: list[int] = []
        """What came up to the last message, by name: the client has had it."""
        self.left_out: Counter[str] = Counter()
        """How many messages are left out, by sender."""
        self._clear()

    def _clear(self) -> None:
        self._fresh: dict[int, tuple[str, bytes]] = {}
        """Sender and frame, in order, by sequence."""
        self._of: dict[str, deque[int]] = {}
        """The sequences of each sender's, the oldest first."""
        self._bytes: Counter[str] = Counter()
        self._total = 0

    @property
    def fresh(self) -> list[bytes]:
        """What the client has not had, as far as it is replayed, in order."""
        return [frame for _, frame in self._fresh.values()]

    @property
    def numbers(self) -> tuple[int, ...]:
        """The sequences of those."""
        return tuple(self._fresh)

    def add(self, frame: bytes, number: int, stored_at: Callable[[], int]) -> None:
        """Take the next message that was read, with its sequence; `stored_at` says when, as `lost_at` is."""
        if number <= self._has_had:
            self._know(frame)
            return
        request_id, sender = origin_of(frame)
        if self._last and request_id == self._last:
            self._last = ""  # what is called so and stored later is not it
            if not 0 < self._lost_at < stored_at():
                for _, earlier in self._fresh.values():
                    self._know(earlier)
                self._know(frame)
                self.position = number
                self.left_out.clear()
                self._clear()
                return
        self._fresh[number] = sender, frame
        self._of.setdefault(sender, deque()).append(number)
        self._bytes[sender] += len(frame)
        self._total += len(frame)
        while len(self._fresh) > self._max_messages or self._total > self._max_bytes:
            self._leave_one_out()

    def _know(self, frame: bytes) -> None:
        self.known.append(name_of(frame))
        self._note_end(frame)

    def _note_end(self, frame: bytes) -> None:
        if isinstance(frame, Mail) and may_matter(frame):
            self.over.stops(frame, frame.call)

    def _leave_one_out(self) -> None:
        """Drop the oldest message of the sender that sent most: bytes, or messages if those are too many."""
        if self._total > self._max_bytes:
            heaviest = max(self._bytes, key=self._bytes.__getitem__)
        else:
            heaviest = max(self._of, key=lambda sender: len(self._of[sender]))
        _, frame = self._fresh.pop(self._of[heaviest].popleft())
        self._bytes[heaviest] -= len(frame)
        self._total -= len(frame)
        self.left_out[heaviest] += 1
        self._note_end(frame)
