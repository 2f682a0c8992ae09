"""Of several failures to reach the broker a command tells the one that says what to do."""

from nats.errors import Error as NatsError

from tieline.cli.broker import PATIENCE_S, because, not_let_in

STRANGER = NatsError("nats: 'Authorization Violation'")


def test_what_is_known_is_told_before_what_came_last() -> None:
    """A broker that hangs up on a stranger may break the pipe before its reason is read."""
    told = because([STRANGER, BrokenPipeError(32, "Broken pipe")])
    assert "TIELINE_NATS_PASSWORD" in told


def test_the_last_failure_is_told_of_those_that_nobody_knows() -> None:
    assert because([OSError("one"), OSError("another")]) == ": another"


def test_a_failure_without_words_is_told_by_its_name() -> None:
    assert because([NatsError("")]) == ": Error('')"


def test_nothing_is_told_of_no_failure() -> None:
    assert because([]) == ""


def test_how_long_it_was_tried_is_told_with_the_reason() -> None:
    assert not_let_in([OSError("one")]) == f"no broker has let us in within {PATIENCE_S:g} s: one"
