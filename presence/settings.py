"""What a presence process is told by its environment (docs/configuration.md#presence)."""

from typing import Annotated, Literal

import msgspec

from presence.mailbox import MAX_BYTES, MIN_BYTES
from presence.rules.negotiation import CandidatePolicy
from tieline.runtime.settings import Count, Positive, ProcessSettings, Seconds


class PresenceSettings(ProcessSettings, frozen=True, kw_only=True):
    """What a presence process is told by its environment."""

    storage: Literal["file", "memory"] = "file"
    replicas: Annotated[int, msgspec.Meta(ge=1, le=5, description="a whole number, 1 to 5")] = 1
    mailbox_max_bytes: Annotated[
        int, msgspec.Meta(ge=MIN_BYTES, description="a whole number of bytes, 1048576 or more")
    ] = MAX_BYTES
    offer_timeout: Seconds = 60
    offline_retention: Seconds = 300
    gateway_lease: Seconds = 10
    resume_window: Seconds = 30
    room_max_members: Positive = 1000
    max_rooms: Count = 100
    """Of one user; 0: no limit."""
    candidates: CandidatePolicy = "hold"
