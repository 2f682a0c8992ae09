"""What each thing that a client may ask for costs all processes together, beside its frame. Pure values.

In units: 1 is what a small candidate of an established pair costs, which is what a frame is charged for
(`gateway/client/budget.py`). The figures are those of `python -m bench.prices`, rounded up
(docs/performance.md#prices). What is cheaper than a candidate, such as PING, costs its frame alone.
"""

from typing import Final

OFFER: Final = 15.0
"""A record is written, and a timer."""

ANSWER: Final = 6.0
HANGUP: Final = 12.0

ANSWER_AGAIN: Final = 18.0
"""The very answer that came before: it brings along what it released."""

HELD: Final = 6.0
"""A candidate that is held: it is written into the pair's record."""

KEPT: Final = 24.0
"""An offer that is kept for who is not there, beside `OFFER`: presence is asked twice, and writes down who
waits for whom, and the frame; when that user comes, one more record is written."""

REFUSED: Final = 3.0
"""A refusal that presence makes: it reads twice, so that no replica that lags refuses anything."""

JOIN: Final = 12.0
"""With the LEAVE that follows some time."""

JOIN_MEMBER: Final = 0.1
"""For each member who is told of both. Told together with other changes, they cost less."""

LIST: Final = 1.0
"""A list of members, also for who joins again."""

LIST_MEMBER: Final = 0.02
"""For each member on it."""

LEAVE: Final = 1.0
"""Of who is in the room or not; the rest is paid with JOIN."""

REFRESH: Final = 2.0

STATUS: Final = 3.0
"""Of who wants to be seen to be in a call, or not any more: a record is written."""

STATUS_ROOM: Final = 0.5
"""For each room that is told."""

CONNECT: Final = 11.0
"""A session begins, and will end."""

CONNECT_ROOM: Final = 5.0
"""Of each room in which the session is from its beginning: told to others, and again at its end."""

RESUME: Final = 15.0
"""A session goes on, and others are told."""

INFO: Final = 3.0
"""Presence reads, and writes nothing, but for the first of a call, which says that it rings."""

SIGNALS: Final = {
    "WEBRTC_OFFER": OFFER,
    "WEBRTC_ANSWER": ANSWER,
    "WEBRTC_HANGUP": HANGUP,
    "WEBRTC_INFO": INFO,
}
"""Of the signals that cost more than a candidate."""
