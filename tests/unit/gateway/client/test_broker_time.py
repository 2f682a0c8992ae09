"""What a gateway takes the broker's time to be, between two answers that say it."""

from gateway.client.broker_time import BrokerTime


def test_a_time_that_nobody_has_said_is_unknown() -> None:
    assert BrokerTime().ms_at(12.0) == 0


def test_the_time_goes_on_by_the_monotonic_clock() -> None:
    time = BrokerTime()
    time.note(1_700_000_000.5, at=10.0)
    assert time.ms_at(10.0) == 1_700_000_000_500
    assert time.ms_at(12.25) == 1_700_000_002_750


def test_what_was_said_last_counts() -> None:
    time = BrokerTime()
    time.note(1_700_000_000.0, at=10.0)
    time.note(1_700_000_100.0, at=20.0)
    assert time.ms_at(20.5) == 1_700_000_100_500
