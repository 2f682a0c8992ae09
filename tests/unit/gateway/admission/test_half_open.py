"""Which half-open connection goes: the oldest of the address that has most."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from gateway.admission.half_open import HalfOpen


def test_of_nobody_nobody_goes() -> None:
    half_open = HalfOpen[int]()
    assert half_open.heaviest() is None
    half_open.remove(1)
    assert len(half_open) == 0


def test_the_oldest_of_the_address_that_has_most_goes() -> None:
    half_open = HalfOpen[int]()
    for guest, address in enumerate(["a", "b", "b", "a", "b", "c"]):
        half_open.add(guest, address)

    assert half_open.heaviest() == 1
    half_open.remove(1)
    half_open.remove(2)
    assert half_open.heaviest() == 0


def test_of_addresses_that_have_as_many_the_first_one_loses() -> None:
    half_open = HalfOpen[int]()
    for guest, address in enumerate(["a", "b", "c"]):
        half_open.add(guest, address)

    gone = []
    while (guest_ := half_open.heaviest()) is not None:
        gone.append(guest_)
        half_open.remove(guest_)
    assert gone == [0, 1, 2]


@given(st.lists(st.one_of(st.sampled_from("abcde"), st.none()), max_size=80))
def test_the_heaviest_is_of_an_address_that_none_exceeds(steps: list[str | None]) -> None:
    half_open = HalfOpen[int]()
    here: dict[int, str] = {}
    for guest, address in enumerate(steps):
        if address is not None:
            half_open.add(guest, address)
            here[guest] = address
        elif (going := half_open.heaviest()) is not None:
            sizes = Counter(here.values())
            assert sizes[here[going]] == max(sizes.values())
            assert going == min(other for other in here if here[other] == here[going])
            half_open.remove(going)
            del here[going]
        assert len(half_open) == len(here)
