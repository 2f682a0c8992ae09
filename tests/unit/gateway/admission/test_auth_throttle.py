"""How many bad tokens one address may try."""

from gateway.admission.auth_throttle import MAX_ADDRESSES, MOST, WINDOW_S, AuthThrottle


def too_many(throttle: AuthThrottle, count: int, now: float, address: str = "a") -> list[bool]:
    return [throttle.is_one_too_many(address, now) for _ in range(count)]


def test_thirty_a_minute_are_tried_and_no_more() -> None:
    throttle = AuthThrottle()

    assert too_many(throttle, 35, now=1000) == [False] * 30 + [True] * 5
    assert too_many(throttle, 1, now=1000 + WINDOW_S - 0.001) == [True]


def test_after_a_minute_as_many_may_be_tried_as_have_grown_old() -> None:
    throttle = AuthThrottle()
    too_many(throttle, 20, now=1000)
    too_many(throttle, 20, now=1030)

    assert too_many(throttle, 21, now=1000 + WINDOW_S) == [False] * 20 + [True]
    assert too_many(throttle, 11, now=1030 + WINDOW_S) == [False] * 10 + [True]


def test_every_address_is_counted_for_itself() -> None:
    throttle = AuthThrottle()
    too_many(throttle, MOST, now=1000)

    assert throttle.is_one_too_many("b", 1000) is False
    assert throttle.is_one_too_many("a", 1000) is True


def test_of_too_many_addresses_the_longest_quiet_ones_are_forgotten() -> None:
    throttle = AuthThrottle()
    for address in ("first", "second"):
        too_many(throttle, MOST, now=1000, address=address)
    for number in range(MAX_ADDRESSES - 2):
        throttle.is_one_too_many(f"other-{number}", 1001)
    assert throttle.is_one_too_many("first", 1001) is True
    throttle.is_one_too_many("one more", 1001)

    assert throttle.is_one_too_many("first", 1001) is True
    assert throttle.is_one_too_many("second", 1001) is False
