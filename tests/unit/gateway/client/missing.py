"""What a client has missed, as a replay brings it."""

from gateway.client.deliveries import Missed
from gateway.client.duplicates import name_of
from tests.unit.gateway.client.harness import Harness, event


def missed(*fresh: str, known: tuple[str, ...] = ()) -> Missed:
    """What the mailbox had."""
    return Missed([name_of(event(name)) for name in known], [event(name) for name in fresh])


def welcomed(what: Missed) -> Harness:
    """Make a harness with a client that missed something, and has read its welcome and all that followed."""
    harness = Harness()
    harness.put(harness.request())
    harness.welcome(missed=what)
    harness.look()
    return harness


def names(harness: Harness) -> list[str]:
    """Return what has come, without the welcome."""
    return [name for name in harness.names() if name]
