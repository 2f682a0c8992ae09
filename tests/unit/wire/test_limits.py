"""The shared numbers are those that the protocol promises."""

from pathlib import Path

from tieline.wire.limits import MAX_MISSED, RETRY_WINDOW_S

PROTOCOL = Path(__file__).parents[3].joinpath("docs/protocol.md").read_text(encoding="utf-8")


def test_a_retry_is_one_for_as_long_as_the_protocol_says() -> None:
    assert f"from the same sender within {RETRY_WINDOW_S:g} s, is a retry" in PROTOCOL


def test_as_many_messages_may_be_missed_as_the_protocol_says() -> None:
    assert f"more than {MAX_MISSED} messages" in PROTOCOL
