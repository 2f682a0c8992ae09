"""For how long the asker of a request waits, and how it says so to who answers. Pure."""

from typing import Final

from tieline.runtime.message import Message

PATIENCE_S: Final = 5.0
"""Total time before the caller is told that nobody answered."""

_PATIENCE: Final = b"Tieline-Patience"
"""The header of a request that says for how many milliseconds more its asker waits. They count from its
arrival, so that no two clocks are compared; what it took to arrive is not known, and little."""

_MAX_DIGITS: Final = 9
"""Of that number: a million seconds are more than anybody waits, and a number may be as long as a message."""


def patience_of(message: Message, usual_s: float = PATIENCE_S) -> float:
    """Return for how many seconds the asker of a request waits from now on; `usual_s` if it does not say."""
    if not message.headers:
        return usual_s
    said = message.header(_PATIENCE)
    return min(int(said) / 1000, usual_s) if said.isdecimal() and len(said) <= _MAX_DIGITS else usual_s


def waiting_for(seconds: float) -> bytes:
    """Write the headers that say how long an answer is still waited for (`patience_of`)."""
    return b"NATS/1.0\r\n%b: %d\r\n\r\n" % (_PATIENCE, max(0, int(seconds * 1000)))
