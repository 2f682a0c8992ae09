"""After how long without an answer another process is asked: by what answers have taken lately. Pure.

A process that is gone never answers; one that has more to do than it can do answers late. If another one is
asked too early, work is done twice where there is too much of it already. So who waits for answers that take
longer waits longer, as TCP does by its round trips. Times are seconds, given
(docs/decisions/0137-patience-grows-with-what-answers-take.md).
"""

from typing import Final

LEAST_S: Final = 0.5
"""Hundreds of times the usual answer: a process that has not answered by then is most likely dead."""

MOST_S: Final = 1.5
"""However slow answers are: of the 5 s for which most requests are repeated, two more attempts are left."""

_TIMES: Final = 4
"""Of the usual answer: the slowest of many that wait for one another takes about twice the middle one."""

_SHARE: Final = 1 / 8
"""Of the newest answer in what is usual: a slow one by itself changes little, ten of them all."""


class AnswerTime:
    """How long answers of one kind take, smoothed."""

    __slots__ = ("_least_s", "_most_s", "_usual_s")

    def __init__(self, least_s: float = LEAST_S, most_s: float = MOST_S) -> None:
        """Take the least and the most that is ever waited."""
        self._least_s = least_s
        self._most_s = most_s
        self._usual_s = 0.0

    @property
    def enough_s(self) -> float:
        """After so long without an answer another process may be asked."""
        return min(max(self._least_s, _TIMES * self._usual_s), self._most_s)

    def note(self, took_s: float) -> None:
        """Take note of how long an answer took; of a repeated request, since its last attempt.

        Which attempt is answered is not known: so that is too little rather than too much, and a process that
        hangs makes nobody wait longer.
        """
        self._usual_s += _SHARE * (took_s - self._usual_s)
