"""Counts of faults in the delivery of messages. Any fault makes a measurement worthless. Pure."""

from dataclasses import dataclass, fields


@dataclass
class Faults:
    """Faults by their kind."""

    lost: int = 0
    """Did not arrive before the end."""
    duplicate: int = 0
    """Arrived again."""
    out_of_order: int = 0
    """Arrived before one that was sent earlier, or before it was due."""
    foreign: int = 0
    """Was never sent to this receiver, or not in these bytes."""
    refused: int = 0
    """Was answered with an error."""
    closed: int = 0
    """Connections the server ended."""
    not_resumed: int = 0
    """Sessions that began anew, or did not come back at all, where they were to be resumed."""

    def __bool__(self) -> bool:
        return any(getattr(self, field.name) for field in fields(self))

    def __str__(self) -> str:
        return ", ".join(f"{getattr(self, field.name)} {field.name}" for field in fields(self))

    def __iadd__(self, other: "Faults") -> "Faults":
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))
        return self
