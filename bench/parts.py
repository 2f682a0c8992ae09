"""The processes of a Tieline, by the part of the system that the tables name. Pure."""

from collections.abc import Iterable, Mapping
from typing import Final

from tieline.cli.dev.local_system import GATEWAY, NATS, PRESENCE, ROUTER

GATEWAYS: Final = "gateways"
"""The part whose memory an idle connection is."""

PARTS: Final[Mapping[str, str]] = {
    GATEWAY: GATEWAYS,
    ROUTER: "router + presence",
    PRESENCE: "router + presence",
    NATS: "broker",
}
"""By the kind of process; one of another kind, such as the backend's API, is a part of its own."""


def in_parts(pids: Mapping[str, Iterable[int]]) -> dict[str, list[int]]:
    """Put the ids of processes of every kind together by their part: the gateways first, no kind left out."""
    parts: dict[str, list[int]] = {part: [] for part in PARTS.values()}
    for kind, members in pids.items():
        parts.setdefault(PARTS.get(kind, kind), []).extend(members)
    return parts
