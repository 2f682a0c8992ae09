"""In which order one connection asks presence: a number that only grows. Pure.

What is asked may reach presence once more, after any time, when it had to be sent again or was given up. From
then on what the connection asks has a higher number, and presence refuses what has a lower one
(`presence/rules/order.py`). As long as each request is answered the first time it is sent, the number stays:
then there are no copies, and presence need not remember anything.
"""


class Numbering:
    """The numbers of one connection's requests."""

    __slots__ = ("_is_open", "_number")

    def __init__(self) -> None:
        self._number = 0
        self._is_open = False
        """A request of this number may still be under way."""

    @property
    def is_settled(self) -> bool:
        """Whether nothing that was asked may still be carried out."""
        return not self._is_open

    def next(self) -> int:
        """Number a request that is sent now. Of those before it some may still be under way."""
        if self._is_open:
            self._number += 1
        self._is_open = True
        return self._number

    def answered(self, number: int, attempts: int) -> None:
        """Take note that a request is answered which was sent so many times."""
        if number == self._number and attempts <= 1:
            self._is_open = False
