import pytest

from tieline.client.gateway_pool import BACKOFF_CAP_S, RETRY_AFTER_CAP_S, STEADY_S, Backoff, Rotation


def never() -> float:
    return 0.0


def half() -> float:
    return 0.5


def almost() -> float:
    return 0.999


def test_waits_grow_up_to_the_cap_and_are_any_part_of_that() -> None:
    backoff = Backoff(half)
    assert [backoff.next_s() for _ in range(6)] == [0.5, 1, 2, 4, 4, 4]
    backoff.reset()
    assert backoff.next_s() == 0.5
    endless = Backoff(almost)
    assert max(endless.next_s() for _ in range(5000)) < BACKOFF_CAP_S


def test_a_good_connection_makes_the_waits_short_again_and_a_bad_one_does_not() -> None:
    rotation = Rotation(["a"], half)
    assert [rotation.wait_s(0) for _ in range(3)] == [0.5, 1, 2]
    rotation.connected(100)
    rotation.leave(100 + STEADY_S / 2)
    assert rotation.wait_s(200) == 4
    rotation.connected(200)
    rotation.leave(200 + STEADY_S)
    assert rotation.wait_s(300) == 0.5


@pytest.mark.parametrize(("number", "urls"), [(0.0, "bcab"), (0.5, "cbac"), (0.999, "cbac")])
def test_whoever_leaves_goes_to_any_of_the_others(number: float, urls: str) -> None:
    rotation = Rotation("abc", lambda: number)
    seen = ""
    for _ in urls:
        rotation.leave(0)
        seen += rotation.url
    assert seen == urls


def test_who_takes_nobody_is_followed_by_the_next() -> None:
    rotation = Rotation("abc", almost)
    seen = rotation.url
    for _ in range(3):
        rotation.failed(0, None)
        rotation.wait_s(0, at_once=True)
        seen += rotation.url
    assert seen == "abca"


def test_gateways_that_ask_for_time_are_left_out_until_it_is_over() -> None:
    rotation = Rotation("abc", never)
    rotation.failed(0, 9)
    rotation.failed(0, 5)
    assert (rotation.wait_s(1), rotation.url) == (0, "c")
    rotation.failed(1, 100)
    assert (rotation.wait_s(2), rotation.url) == (3, "b")
    rotation.failed(5, None)
    assert (rotation.wait_s(8), rotation.url) == (0, "b")
    rotation.failed(8, 1000)
    assert (rotation.wait_s(9), rotation.url) == (0, "a")


def test_the_wait_that_is_asked_for_comes_before_ones_own() -> None:
    rotation = Rotation("a", half)
    rotation.failed(0, 7)
    assert rotation.wait_s(0, at_once=True) == 7
    assert rotation.wait_s(0) == 7.5
    rotation.failed(0, 10 * RETRY_AFTER_CAP_S)
    assert rotation.wait_s(0, at_once=True) == RETRY_AFTER_CAP_S
