"""Counters of what a client did to stay connected. The server's metrics are `tieline.metrics`."""

from dataclasses import dataclass


@dataclass(slots=True)
class Stats:
    """Counters from the first connection on; for reading."""

    reconnects: int = 0
    """Connections made after the first; each is one of the next two."""
    resumes: int = 0
    """Sessions taken up again."""
    resets: int = 0
    """Sessions that could not be, so that new ones began."""
    resent: int = 0
    """Messages sent again, the very same, because their answer had not come or was INTERNAL."""
    duplicates: int = 0
    """Messages from others that came again, and were dropped."""
