"""Which presence process is asked about two users: the same one, by preference, not by necessity. Pure.

A process that judges all of a pair knows what the pair negotiates, loses no compare-and-set to another one,
and judges together what comes together (docs/decisions/0104-one-judge-for-a-pair.md). Which processes there
are, their verdicts say; every router prefers the same one of them. One that does not answer is left out for
a while, and any process may be asked about any pair, as ever. Times are seconds, given.
"""

import hashlib
from typing import Final

from tieline.runtime.answer_time import LEAST_S, AnswerTime
from tieline.wire.ids import UserId

KNOWN_S: Final = 60.0
"""For how long a process is preferred that is not heard of: it may be gone, and is asked in vain once."""

AVOIDED_S: Final = 60.0
"""For how long one that did not answer is not preferred: it is overloaded, cut off, or may not be asked."""

ANYBODY_EVERY: Final = 16
"""One question in so many goes to any process: so those that are new are heard of, at the cost that a pair is
judged by another one now and then."""

MOST: Final = 64
"""Processes that are known: several times as many as there are."""


class Judges:
    """The presence processes that one router has heard of."""

    def __init__(self, least_s: float = LEAST_S) -> None:
        """Take how long at least one has for its answer."""
        self._least_s = least_s
        self._heard: dict[str, float] = {}
        """When each was heard of last, by name."""
        self._avoided: dict[str, float] = {}
        """Until when each is left out."""
        self._usual: dict[str, AnswerTime] = {}
        self._asked = 0

    def __len__(self) -> int:
        """Count those that are known."""
        return len(self._heard)

    def note(self, name: str, now: float) -> None:
        """Take note that a process has answered; "": it may not be asked by itself."""
        until = self._avoided.get(name, 0.0)
        if not name or now < until or (len(self._heard) >= MOST and name not in self._heard):
            return
        self._avoided.pop(name, None)
        self._heard[name] = now

    def avoid(self, name: str, now: float) -> None:
        """Leave a process out for a while, which did not answer."""
        self._heard.pop(name, None)
        self._avoided = {other: until for other, until in self._avoided.items() if now < until}
        self._avoided[name] = now + AVOIDED_S

    def usual_of(self, name: str) -> AnswerTime:
        """Find how long the answers of a process take."""
        if name not in self._usual:
            self._usual = {other: usual for other, usual in self._usual.items() if other in self._heard}
            self._usual[name] = AnswerTime(self._least_s)
        return self._usual[name]

    def prefer(self, one: UserId, other: UserId, now: float) -> str | None:
        """Name the process to be asked about two users; None: any is as good."""
        self._asked += 1
        if len(self._heard) < 2 or self._asked % ANYBODY_EVERY == 0:
            return None
        self._heard = {name: at for name, at in self._heard.items() if now - at < KNOWN_S}
        pair = " ".join(sorted((one, other)))
        return max(self._heard, key=lambda name: _weight(name, pair), default=None)


def _weight(name: str, pair: str) -> bytes:
    """Weigh a process for a pair, as every router does: the heaviest is preferred (rendezvous hashing)."""
    return hashlib.blake2b(f"{name} {pair}".encode(), digest_size=8).digest()
