"""Share the endpoints out among the workers that live. Pure.

Each worker finds the same by itself: of all workers the one whose name, hashed with the endpoint's, is the
highest serves it. So one that comes or goes moves only its own part. That two believe to serve one endpoint
for a moment is kept apart by a lease (`webhooks.workers`).
"""

import hashlib
from collections.abc import Iterable

from tieline.wire.webhooks import EndpointId


def server_of(endpoint: EndpointId, workers: Iterable[str]) -> str | None:
    """Name the worker that is to serve an endpoint; None: there is none."""
    return max(workers, key=lambda worker: _weight(endpoint, worker), default=None)


def _weight(endpoint: EndpointId, worker: str) -> tuple[bytes, str]:
    return hashlib.blake2b(f"{endpoint}\n{worker}".encode(), digest_size=8).digest(), worker
