"""What one address may have, and how often."""

from gateway.limits.addresses import (
    MOST_REMEMBERED,
    NO_ADDRESS_LIMITS,
    Addresses,
    AddressLimits,
    connects_a_minute,
)
from gateway.limits.rate import UNLIMITED

HOME = "203.0.113.7"


def test_an_address_has_so_many_connections_and_no_more() -> None:
    addresses = Addresses(AddressLimits(connections=2))
    for _ in range(2):
        assert addresses.has_room(HOME)
        addresses.enter(HOME)

    assert not addresses.has_room(HOME)
    assert addresses.has_room("203.0.113.8")
    addresses.leave(HOME)
    assert addresses.has_room(HOME)
    addresses.leave(HOME)
    assert addresses.has_room(HOME)


def test_an_address_connects_so_often_a_minute_all_at_once_if_need_be() -> None:
    addresses = Addresses(AddressLimits(connects=connects_a_minute(60)))

    waits = [addresses.may_connect(HOME, 1000.0) for _ in range(61)]

    assert waits[:60] == [0] * 60
    assert 0 < waits[60] <= 1
    assert addresses.may_connect("203.0.113.8", 1000.0) == 0


def test_an_attempt_that_had_to_wait_is_not_counted() -> None:
    addresses = Addresses(AddressLimits(connects=connects_a_minute(60)))
    for _ in range(1000):
        addresses.may_connect(HOME, 1000.0)

    assert addresses.may_connect(HOME, 1001.1) == 0


def test_without_limits_an_address_may_do_anything() -> None:
    addresses = Addresses(NO_ADDRESS_LIMITS)
    for _ in range(10_000):
        assert addresses.may_connect(HOME, 1000.0) == 0
        addresses.enter(HOME)
    assert addresses.has_room(HOME)
    assert connects_a_minute(0) is UNLIMITED


def test_by_default_a_company_comes_back_three_times_a_minute() -> None:
    addresses = Addresses(AddressLimits())
    for attempt in range(6_000):
        assert addresses.may_connect(HOME, 1000.0 + attempt / 1000) == 0


def test_addresses_that_are_quiet_are_forgotten() -> None:
    addresses = Addresses(AddressLimits(connects=connects_a_minute(1)))
    addresses.may_connect(HOME, 1000.0)
    assert addresses.may_connect(HOME, 1000.0) > 0

    for number in range(MOST_REMEMBERED):
        addresses.may_connect(f"address {number}", 1000.0)

    assert addresses.may_connect(HOME, 1000.0) == 0
