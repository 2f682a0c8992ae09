"""What presence tells backends, audits and webhooks, in JSON. Pure.

What processes of Tieline tell each other is in `tieline.wire.internal`.
"""

import msgspec

from tieline.wire.ids import CallId, RoomId, UserId


class Happened(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What `events.>` carries, as JSON: for backends, audits and webhooks. The kind is in the subject.

    Told at least once (docs/architecture.md#events-for-backends).
    """

    at: int
    """Unix milliseconds."""
    user: UserId
    peer: UserId | None = None
    room: RoomId | None = None
    reason: str | None = None
    call: CallId | None = None
    """The call that was offered or answered, or that has ended."""
