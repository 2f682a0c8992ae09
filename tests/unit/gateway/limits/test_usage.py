"""What one user has had done for it in the last minute."""

from gateway.limits.usage import Usage, Used


def test_what_was_done_is_counted_for_a_minute() -> None:
    usage = Usage()
    usage.add(1.0, 100.0)
    usage.carry(500, 100.0)
    usage.add(2.5, 120.0)
    assert usage.last_minute(125.0) == Used(1, 500, 3.5)
    usage.add(4.0, 131.0)
    usage.carry(60, 131.0)
    assert usage.last_minute(140.0) == Used(2, 560, 7.5)
    assert usage.last_minute(165.0) == Used(1, 60, 4.0)
    assert usage.last_minute(200.0) == Used(0, 0, 0.0)


def test_silence_is_forgotten() -> None:
    usage = Usage()
    usage.add(3.0, 100.0)
    usage.add(1.0, 1000.0)
    assert usage.last_minute(1001.0).units == 1.0


def test_a_message_begins_a_new_half_as_well() -> None:
    usage = Usage()
    usage.carry(500, 100.0)
    usage.carry(60, 131.0)
    assert usage.last_minute(165.0) == Used(1, 60, 0.0)
