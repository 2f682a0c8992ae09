"""Why JetStream does not make what it is asked for, in words."""

from typing import Final

from nats.js.errors import APIError

NOBODY_ANSWERS: Final = (
    "nobody answers for JetStream: is it switched on"
    " (`nats-server --jetstream`, or `jetstream` in its configuration)?"
)


def why_refused(error: APIError) -> str:
    """Say it as the broker does; where no broker has answered, nats-py has no text."""
    return error.description or NOBODY_ANSWERS
