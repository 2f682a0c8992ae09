"""How many sockets of clients a process may have open: all its descriptors but a reserve.

Without a reserve clients could take the descriptors by which it answers its probes, and reaches the broker.
"""

import contextlib
import resource
from typing import Final

RESERVE: Final = 128
"""For the ops port's connections, the broker's, a fetch of keys, the log, and what the loop needs itself."""

MOST: Final = 1_048_576
"""Where the system sets no limit, or more than this: more than one process serves."""


def sockets_allowed() -> int:
    """Raise this process's limit of descriptors as far as it may, and return how many clients may take."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    with contextlib.suppress(OSError, ValueError):  # some systems allow less than they say
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return left_for_clients(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def left_for_clients(descriptors: int) -> int:
    """Return how many of so many descriptors clients may take; at least half are theirs."""
    return descriptors - min(RESERVE, descriptors // 2)
