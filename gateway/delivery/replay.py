"""Choose what of a session's mail is replayed, as it is read from the oldest to the newest.

All of it that came after the last message that the client has had. When that is more than a gateway holds for
a client, the oldest go of the sender that sent most, so that one who sends much displaces nothing of the
others. Pure. The mail is read by `gateway.delivery.mailbox`, and written to the client by
`gateway.client.deliveries`.
"""

from collections import Counter, deque

from gateway.client.duplicates import name_of
from tieline.wire import envelope
from tieline.wire.limits import MAX_MISSED, MAX_MISSED_BYTES


class Replay:
    """What is replayed of one session's mail, as far as it has been read."""

    def __init__(
        self, last: str = "", max_messages: int = MAX_MISSED, max_bytes: int = MAX_MISSED_BYTES
    ) -> None:
        self._last = last
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self.known: list[int] = []
        """What came up to the last message, by name: the client has had it."""
        self.left_out: Counter[str] = Counter()
        """How many messages are left out, by sender."""
        self._clear()

    def _clear(self) -> None:
        self._fresh: dict[int, tuple[str, bytes]] = {}
        """Sender and frame, in order, by a number."""
        self._count = 0
        self._of: dict[str, deque[int]] = {}
        """The numbers of each sender's, the oldest first."""
        self._bytes: Counter[str] = Counter()
        self._total = 0

    @property
    def fresh(self) -> list[bytes]:
        """What the client has not had, as far as it is replayed, in order."""
        return [frame for _, frame in self._fresh.values()]

    def add(self, frame: bytes) -> None:
        """Take the next message that was read."""
        request_id, sender = envelope.origin_of(frame)
        if self._last and request_id == self._last:
            self.known += [name_of(earlier) for _, earlier in self._fresh.values()]
            self.known.append(name_of(frame))
            self.left_out.clear()
            self._clear()
            return
        self._count += 1
        self._fresh[self._count] = sender, frame
        self._of.setdefault(sender, deque()).append(self._count)
        self._bytes[sender] += len(frame)
        self._total += len(frame)
        while len(self._fresh) > self._max_messages or self._total > self._max_bytes:
            self._leave_one_out()

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
