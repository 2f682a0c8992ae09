"""What became of the messages of a load: counted, and judged. Pure."""

from dataclasses import dataclass, field, fields
from typing import Self


@dataclass(frozen=True)
class DeliveryReport:
    """Counts over all clients of a load. All but the first three must be zero, whatever died."""

    sent: int = 0
    acked: int = 0
    received: int = 0
    lost: int = 0
    """Acknowledged, and not received."""
    repeated: int = 0
    """Received again."""
    out_of_order: int = 0
    """Received after one that was sent later."""
    foreign: int = 0
    """Received, but never sent in these bytes to this client."""
    refused: int = 0
    """Answered with an error, but for the one that says "ask again" (`INTERNAL`)."""
    hung_up: int = 0
    """Negotiations that the server ended."""
    sessions_lost: int = 0
    """Clients that came back and could not resume."""

    def __add__(self, other: "DeliveryReport") -> "DeliveryReport":
        return DeliveryReport(
            *(getattr(self, each.name) + getattr(other, each.name) for each in fields(self))
        )

    @property
    def faults(self) -> dict[str, int]:
        """What must not be, and is."""
        return {
            each.name: count
            for each in fields(self)
            if each.name not in ("sent", "acked", "received") and (count := getattr(self, each.name))
        }

    def __str__(self) -> str:
        return ", ".join(f"{getattr(self, each.name)} {each.name.replace('_', ' ')}" for each in fields(self))


@dataclass
class NumberedMessages:
    """The numbered messages of one sender to one receiver, as both ends see them."""

    sent: int = 0
    acked: int = 0
    received: int = 0
    _repeated: int = 0
    _out_of_order: int = 0
    _newest: int = -1
    _missing: set[int] = field(default_factory=set)
    """Not received, though a later one was."""

    def send(self) -> int:
        """Number the next message."""
        self.sent += 1
        return self.sent - 1

    def receive(self, number: int) -> None:
        """Take note of a message that came."""
        if number > self._newest:
            self._missing.update(range(self._newest + 1, number))
            self._newest = number
            self.received += 1
        elif number in self._missing:
            self._missing.remove(number)
            self._out_of_order += 1
            self.received += 1
        else:
            self._repeated += 1

    def report(self, *, at_rest: bool) -> DeliveryReport:
        """Sum up; `at_rest`: nothing is under way any more, and what was acknowledged must have come.

        Before, what is lost shows when a later message comes. What has no ack is not lost: it is sent again.
        """
        lost = max(0, self.acked - self.received) if at_rest else len(self._missing)
        return DeliveryReport(self.sent, self.acked, self.received, lost, self._repeated, self._out_of_order)

    @classmethod
    def both_ways(cls) -> tuple[Self, Self]:
        """Make the messages of two who write to each other."""
        return cls(), cls()
