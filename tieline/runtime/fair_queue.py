"""What waits for its turn, shared out among those who ask, and bounded in number and in bytes. Pure.

Each owner has a turn after the other, so that one that asks for much waits behind itself alone. What nobody
waits for any more is dropped unread, and so is what there is no room for: of those who have more than one
thing waiting first. Times are seconds of a monotonic clock. `pool` carries out what is taken from here.
"""

from collections import deque
from typing import Generic, Literal, NamedTuple, TypeVar

T = TypeVar("T")

Drop = Literal["full", "late", "repeated"]
"""Why something was dropped: no room for it; nobody waits for it any more; it is a copy of
one that waits, which is waited for as long as for the copy."""


class Waiting(NamedTuple, Generic[T]):
    """One thing that waits."""

    owner: str
    name: str
    """What the asker calls it: the same again is a copy."""
    item: T
    size: int
    """What it takes in memory, in bytes."""
    until: float
    """After this time nobody waits for it any more."""


class FairQueue(Generic[T]):
    """Things that wait, by owner; of one owner in the order in which they came."""

    def __init__(self, most: int, most_bytes: int, most_of_one: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._most_of_one = most_of_one
        """How much of one owner's may be under way at once."""
        self._waiting: dict[str, dict[str, Waiting[T]]] = {}
        """By owner, then by name."""
        self._turns: deque[str] = deque()
        """The owners of which something waits, and may be begun; each once."""
        self._heavy: dict[str, None] = {}
        """The owners of which more than one thing waits."""
        self._under_way: dict[str, int] = {}
        self._count = 0
        self._bytes = 0

    def __len__(self) -> int:
        return self._count

    @property
    def bytes(self) -> int:
        """What all that waits takes in memory."""
        return self._bytes

    def put(self, new: Waiting[T]) -> list[tuple[Waiting[T], Drop]]:
        """Let something wait; returns what is dropped for it, which may be itself."""
        mine = self._waiting.get(new.owner)
        if mine is not None and new.name in mine:
            mine[new.name] = mine[new.name]._replace(until=new.until)
            return [(new, "repeated")]
        dropped: list[tuple[Waiting[T], Drop]] = []
        while self._count >= self._most or self._bytes + new.size > self._most_bytes:
            if mine or not self._heavy:
                return [*dropped, (new, "full")]
            dropped.append((self._newest_of(next(iter(self._heavy))), "full"))
        self._add(new)
        return dropped

    def take(self, now: float) -> tuple[Waiting[T] | None, list[Waiting[T]]]:
        """Take what is next, and what came before it that nobody waits for any more.

        What is taken is under way until its owner is given to `ended`.
        """
        late: list[Waiting[T]] = []
        while self._turns:
            owner = self._turns.popleft()
            mine = self._waiting[owner]
            found = self._remove(mine[next(iter(mine))])
            is_late = found.until < now
            if not is_late:
                self.began(owner)
            if owner in self._waiting and self._may_begin(owner):
                self._turns.append(owner)
            if not is_late:
                return found, late
            late.append(found)
        return None, late

    def may_begin(self, owner: str) -> bool:
        """Whether something of an owner may be begun without waiting, as far as it alone is concerned."""
        return owner not in self._waiting and self._may_begin(owner)

    def began(self, owner: str) -> None:
        """Note that something of an owner is under way."""
        self._under_way[owner] = self._under_way.get(owner, 0) + 1

    def ended(self, owner: str) -> None:
        """Note that something of an owner is under way no more."""
        left = self._under_way[owner] - 1
        if left:
            self._under_way[owner] = left
        else:
            del self._under_way[owner]
        if left == self._most_of_one - 1 and owner in self._waiting:
            self._turns.append(owner)

    def _may_begin(self, owner: str) -> bool:
        return self._under_way.get(owner, 0) < self._most_of_one

    def _add(self, new: Waiting[T]) -> None:
        mine = self._waiting.get(new.owner)
        if mine is None:
            mine = self._waiting[new.owner] = {}
            if self._may_begin(new.owner):
                self._turns.append(new.owner)
        mine[new.name] = new
        if len(mine) > 1:
            self._heavy[new.owner] = None
        self._count += 1
        self._bytes += new.size

    def _newest_of(self, owner: str) -> Waiting[T]:
        mine = self._waiting[owner]
        return self._remove(mine[next(reversed(mine))])

    def _remove(self, old: Waiting[T]) -> Waiting[T]:
        mine = self._waiting[old.owner]
        del mine[old.name]
        if len(mine) == 1:
            self._heavy.pop(old.owner, None)
        elif not mine:
            del self._waiting[old.owner]
        self._count -= 1
        self._bytes -= old.size
        return old
