"""How much one user may ask for: the limits that are on by default, and none at all. Pure values.

They are far above what browsers do: recorded traffic is
replayed against them in tests/unit/gateway/limits/test_honest_traffic.py.
"""

from typing import Final, NamedTuple

from gateway.limits.rate import UNLIMITED, Rate, rate

AT_ONCE_S: Final = 20.0
"""So many seconds' worth of messages and bytes may come at once: a page that is reloaded in a room of six
sets up five calls in a moment, and pages are reloaded again before that is over."""

PAIR_AT_ONCE_S: Final = 12.0
"""The same to one other user, whose mailbox is what is protected: it holds what one sender alone may send
while it is kept, and that still leaves room for others."""

PAIR_BYTES_AT_ONCE_S: Final = 32.0
"""The same in bytes."""

MINUTE_S: Final = 60.0


class Rates(NamedTuple):
    """The limits of every user alike. Where nothing else is said, of one user on all its connections."""

    units: Rate = rate(50, 50 * AT_ONCE_S)
    """What is done for it, in small messages' worth (`prices`)."""
    size: Rate = rate(65_536, 65_536 * AT_ONCE_S)
    """Bytes of its WEBRTC messages."""
    pair_messages: Rate = rate(20, 20 * PAIR_AT_ONCE_S)
    """Its WEBRTC messages to one other user."""
    pair_size: Rate = rate(16_384, 16_384 * PAIR_BYTES_AT_ONCE_S)
    """The bytes of those."""
    offers: Rate = rate(120 / MINUTE_S, 120)
    pair_offers: Rate = rate(30 / MINUTE_S, 30)
    """Offers to one other user."""
    refreshes: Rate = rate(20 / MINUTE_S, 20)
    connects: Rate = rate(60 / MINUTE_S, 30)
    resumes: Rate = rate(30 / MINUTE_S, 15)
    rooms: int = 100
    """In which it may be at a time; 0: in any number."""


NO_LIMITS: Final = Rates(
    units=UNLIMITED,
    size=UNLIMITED,
    pair_messages=UNLIMITED,
    pair_size=UNLIMITED,
    offers=UNLIMITED,
    pair_offers=UNLIMITED,
    refreshes=UNLIMITED,
    connects=UNLIMITED,
    resumes=UNLIMITED,
    rooms=0,
)
"""What TIELINE_LIMITS=off makes of them."""
