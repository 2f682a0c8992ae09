"""The connections whose request has not been read yet, and which of them goes when there are too many. Pure.

The oldest of the address that has most of them goes: who opens hundreds and says nothing displaces its
own, and a newcomer that asks at once has been read long before it is its turn.
"""

from collections.abc import Hashable
from typing import Generic, TypeVar

GuestT = TypeVar("GuestT", bound=Hashable)


class HalfOpen(Generic[GuestT]):
    """Guests by the address that they come from; each step takes the same time however many there are."""

    def __init__(self) -> None:
        self._address: dict[GuestT, str] = {}
        self._guests: dict[str, dict[GuestT, None]] = {}
        self._by_size: dict[int, dict[str, None]] = {}
        self._largest = 0

    def __len__(self) -> int:
        return len(self._address)

    def add(self, guest: GuestT, address: str) -> None:
        """Take note of one that has come."""
        guests = self._guests.setdefault(address, {})
        self._resize(address, len(guests), len(guests) + 1)
        guests[guest] = None
        self._address[guest] = address

    def remove(self, guest: GuestT) -> None:
        """Forget one that has asked, or gone; nothing if it is not here."""
        address = self._address.pop(guest, None)
        if address is None:
            return
        guests = self._guests[address]
        self._resize(address, len(guests), len(guests) - 1)
        del guests[guest]
        if not guests:
            del self._guests[address]

    def heaviest(self) -> GuestT | None:
        """Choose the one that is to go, the oldest of the address that has most; None: there is none."""
        if not self._address:
            return None
        address = next(iter(self._by_size[self._largest]))
        return next(iter(self._guests[address]))

    def _resize(self, address: str, before: int, after: int) -> None:
        if before:
            peers = self._by_size[before]
            del peers[address]
            if not peers:
                del self._by_size[before]
        if after:
            self._by_size.setdefault(after, {})[address] = None
        if after > self._largest or self._largest not in self._by_size:
            self._largest = after
