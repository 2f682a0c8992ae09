"""nats-py without aiohttp, which it imports for connections by WebSocket: ours never are.

A third of the CPU time that a gateway takes to start went into that, and 9 of its 58 MB of memory. Entry
points import this before anything that imports nats-py; elsewhere it changes nothing.
"""

import sys

if "aiohttp" not in sys.modules:
    sys.modules["aiohttp"] = None  # type: ignore[assignment]  # so an import fails, as if it were not installed
    try:
        import nats  # noqa: F401
    finally:
        del sys.modules["aiohttp"]  # webhook workers post with it
