import itertools

import pytest

from tieline.cli.call.timeline import StepFailed, Timeline


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def timeline(said: list[str]) -> Timeline:
    seconds = itertools.count(100, 0.0125)
    return Timeline(lambda: next(seconds), said.append, failures=(LookupError,))


def test_a_step_is_said_when_it_has_ended(timeline: Timeline, said: list[str]) -> None:
    with timeline.step("caller", "send the offer") as step:
        assert said == []
        step.result = "relayed"
    with timeline.step("callee", "listen"):
        pass
    assert said == ["     12.5 ms  caller  send the offer: relayed", "     25.0 ms  callee  listen"]
    assert timeline.under_way() == ""


def test_a_step_that_fails_says_whose_it_was_and_why(timeline: Timeline, said: list[str]) -> None:
    with (
        pytest.raises(StepFailed, match=r"^caller could not send the offer: nobody there$"),
        timeline.step("caller", "send the offer"),
    ):
        raise LookupError("nobody there")
    assert said == []


def test_a_bug_is_no_failure_of_the_step(timeline: Timeline) -> None:
    with pytest.raises(ZeroDivisionError), timeline.step("caller", "divide"):
        raise ZeroDivisionError


def test_what_was_under_way_when_time_was_up_is_known(timeline: Timeline) -> None:
    with (
        pytest.raises(TimeoutError),
        timeline.step("caller", "receive the answer"),
        timeline.step("callee", "send the answer"),
    ):
        raise TimeoutError
    assert timeline.under_way() == (
        "caller was still trying to receive the answer; callee was still trying to send the answer"
    )
