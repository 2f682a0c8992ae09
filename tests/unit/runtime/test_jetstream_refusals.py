from nats.js.errors import APIError, ServiceUnavailableError

from tieline.runtime.jetstream_refusals import NOBODY_ANSWERS, why_refused


def test_what_the_broker_says_is_said() -> None:
    assert why_refused(APIError(code=500, description="insufficient resources")) == "insufficient resources"


def test_a_broker_without_jetstream_is_named() -> None:
    assert why_refused(ServiceUnavailableError()) == NOBODY_ANSWERS
