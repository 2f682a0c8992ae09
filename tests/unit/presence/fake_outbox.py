"""What tells the stream of events, by hand. See `presence.change_loop.Outbox`."""

from typing import NamedTuple

from presence.rules.negotiated import Negotiation
from presence.rules.user import User


class ToTell(NamedTuple):
    """A record that was written, and is to be told of."""

    key: str
    record: User | Negotiation
    revision: int
    since: int


class FakeOutbox:
    """It has told all facts of records from before `until`."""

    def __init__(self, until: int = 0) -> None:
        self.until = until
        self.to_tell: list[ToTell] = []
        self.asked: list[tuple[int, str, int]] = []
        """Of which partition, key and revision it was asked."""

    def told_until(
        self, at: int, key: str, record: User | Negotiation | None, revision: int, now: int
    ) -> int:
        """See `Outbox.told_until`."""
        del record, now
        self.asked.append((at, key, revision))
        return self.until

    def tell(self, key: str, record: User | Negotiation, revision: int, since: int) -> None:
        """See `Outbox.tell`."""
        self.to_tell.append(ToTell(key, record, revision, since))
