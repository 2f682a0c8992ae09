"""How long the same message counts as a duplicate."""

from tieline.client.duplicates import Duplicates
from tieline.wire.limits import RETRY_WINDOW_S


def test_the_same_within_a_minute_is_a_duplicate() -> None:
    duplicates = Duplicates()
    assert duplicates.is_new(b"x", 0)
    assert duplicates.is_new(b"y", 1)
    assert not duplicates.is_new(b"x", RETRY_WINDOW_S - 0.1)
    assert duplicates.is_new(b"x", RETRY_WINDOW_S)
    assert not duplicates.is_new(b"y", RETRY_WINDOW_S)
    assert not duplicates.is_new(b"x", 2 * RETRY_WINDOW_S - 0.1)


def test_a_duplicate_does_not_prolong_the_minute() -> None:
    duplicates = Duplicates()
    assert duplicates.is_new(b"x", 0)
    assert not duplicates.is_new(b"x", RETRY_WINDOW_S / 2)
    assert duplicates.is_new(b"x", RETRY_WINDOW_S)


def test_one_byte_more_is_another_message() -> None:
    duplicates = Duplicates()
    assert duplicates.is_new(b"x", 0)
    assert duplicates.is_new(b"x ", 0)


def test_a_burst_is_forgotten_as_a_whole() -> None:
    duplicates, burst = Duplicates(), [b"%d" % number for number in range(100)]
    assert all(duplicates.is_new(frame, 0) for frame in burst)
    assert not any(duplicates.is_new(frame, 1) for frame in burst)
    assert all(duplicates.is_new(frame, RETRY_WINDOW_S) for frame in burst)
