"""What all messages between two processes have in common."""

import msgspec


class Message(msgspec.Struct, frozen=True, array_like=True, tag=True, gc=False):
    """One message between two processes: positional, tagged by its class."""
