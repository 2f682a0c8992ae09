"""What of connections is left when they have ended, as long as no collector of cycles clears it away."""

import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

OURS: Final = ("gateway.", "websockets.", "uvloop.loop")
"""Modules of the types of which a connection consists."""


def kinds() -> Counter[str]:
    """Count what there is of them, but for what is frozen."""
    types = Counter(type(thing) for thing in gc.get_objects())
    named = Counter({f"{kind.__module__}.{kind.__name__}": count for kind, count in types.items()})
    return Counter({name: count for name, count in named.items() if name.startswith(OURS)})


@contextmanager
def nothing_is_left() -> Iterator[None]:
    """Do without the collector in the block, and find what the block has made and is there at its end.

    What was there before is hidden from the collector: there may be very much of it in a long run of tests.
    """
    gc.disable()
    gc.freeze()
    try:
        yield
        assert dict(kinds()) == {}
    finally:
        gc.unfreeze()
        gc.enable()


@contextmanager
def no_more_is_left() -> Iterator[None]:
    """Do the same where something newer may take the place of what was there before."""
    gc.collect()
    gc.disable()
    try:
        before = kinds()
        yield
        assert dict(kinds() - before) == {}
    finally:
        gc.enable()
