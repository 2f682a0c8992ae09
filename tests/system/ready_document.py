"""What the ready file of `tieline dev` says of its processes."""

from tests.support.running_dev import ReadyDocument

KINDS = ["nats", "gateway", "router", "presence", "api"]


def pids(document: ReadyDocument) -> list[int]:
    """List the ids of all processes."""
    return [pid for kind in KINDS for pid in document["pids"][kind]]


def but_pid(document: ReadyDocument, kind: str) -> dict[str, object]:
    """Leave out the first process of one kind, which may have changed."""
    kept = {**document["pids"], kind: document["pids"][kind][1:]}
    return {**document, "pids": kept}
