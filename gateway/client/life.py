"""The states of one client's connection. Changed by `connection` and by nothing else.

                 welcome          close, by us           the client closes too, or is lost
    HANDSHAKE ───────────▶ OPEN ───────────────▶ CLOSING ─────────────────────────────────┐
        │                   │                                                             ▼
        │                   │ the client closes, breaks the protocol, or is lost     all that it said
        │                   └───────────────────────────────────────────────────▶ LEFT ─────────▶ GONE
        │ refused, or lost                                                          ▲  is answered
        └───────────────────────────────────────────────────────────────────────────┘

What leaves OPEN has `CLOSING_S` until its socket is cut, whatever the client sends meanwhile.

Whether its socket is read at the moment is another matter: it is not while the handshake is decided, or while
too many of the client's messages wait. So is the state of the WebSocket, which the library keeps: it decides
what may still be written.
"""

import enum


class Life(enum.Enum):
    """How far a connection has come."""

    HANDSHAKE = enum.auto()
    """It has no session: its upgrade request is awaited, or decided on."""
    OPEN = enum.auto()
    """It has a session, and what the client says is acted on."""
    CLOSING = enum.auto()
    """We have sent a close frame; nothing more that the client says counts, but its own close frame."""
    LEFT = enum.auto()
    """The client will say nothing more, even if its socket is open. What it said is still carried out."""
    GONE = enum.auto()
    """All of that is answered, and those around the connection know that it has ended."""
