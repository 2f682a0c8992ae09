"""What a presence process is told by its environment (docs/configuration.md#presence)."""

from typing import Annotated, Final, Literal

import msgspec

from presence.mailbox import MAX_BYTES, MIN_BYTES
from presence.rules.entitled import APART_S
from presence.rules.negotiation import CandidatePolicy
from tieline.runtime.settings import Count, Positive, Seconds, SettingsError
from tieline.verification.settings import TokenSettings, names_keys, read_tokens
from tieline.verification.tokens import Tokens

ANY_NUMBER: Final = 0
"""Of rooms that a token may name: that limit is the gateways' own, and may be higher with one of them."""


LONGEST_WAKE_S: Final = 3_600.0
"""An hour: longer than anybody lets it ring. What is kept takes up room in the bucket for so long."""


class PresenceSettings(TokenSettings, frozen=True, kw_only=True):
    """What a presence process is told by its environment."""

    storage: Literal["file", "memory"] = "file"
    replicas: Annotated[int, msgspec.Meta(ge=1, le=5, description="a whole number, 1 to 5")] = 1
    mailbox_max_bytes: Annotated[
        int, msgspec.Meta(ge=MIN_BYTES, description="a whole number of bytes, 1048576 or more")
    ] = MAX_BYTES
    offer_timeout: Seconds = 60
    wake_window: Annotated[
        float, msgspec.Meta(ge=0, le=LONGEST_WAKE_S, description="a number of seconds, 0 to 3600")
    ] = 0
    """How long an offer to a member who is not connected is kept; 0: it is refused."""
    offline_retention: Seconds = 300
    gateway_lease: Seconds = 10
    resume_window: Seconds = 30
    room_max_members: Positive = 1000
    max_rooms: Count = 100
    """Of one user; 0: no limit."""
    candidates: CandidatePolicy = "hold"
    events: Literal["off", "on"] = "off"
    """Whether what happens is kept in the stream of events, for backends and webhooks."""
    events_max_age: Seconds = 259_200
    events_max_bytes: Annotated[
        int, msgspec.Meta(ge=MIN_BYTES, description="a whole number of bytes, 1048576 or more")
    ] = 256 * 1024 * 1024
    verify_tokens: Literal["off", "transition", "on"] = "off"
    """Whether presence looks itself at the tokens by which sessions begin, which costs up to a tenth of an
    arrival. transition: it does, and who gives no token is believed, as older gateways are."""

    @property
    def looks_at_tokens(self) -> bool:
        """See `ProcessSettings`."""
        return self.verify_tokens != "off"


def demand_events(settings: PresenceSettings) -> None:
    """Keep no offers where nobody is told whom to wake.

    Raises:
        SettingsError: it is so.
    """
    if settings.wake_window and settings.events == "off":
        raise SettingsError(
            f"TIELINE_WAKE_WINDOW is {settings.wake_window:g}, but TIELINE_EVENTS is off: offers would be"
            " kept for users whom nobody wakes"
        )


def tokens_of(settings: PresenceSettings) -> Tokens | None:
    """Read what tokens are verified with; None: gateways are believed.

    Raises:
        SettingsError: something of it cannot be used, or is missing.
    """
    if not settings.looks_at_tokens:
        return None
    if not names_keys(settings):
        raise SettingsError(
            f"TIELINE_VERIFY_TOKENS is {settings.verify_tokens}, but none of TIELINE_JWT_SECRET,"
            " TIELINE_JWT_PUBLIC_KEY and TIELINE_JWKS_URL is set: by what would tokens be verified?"
        )
    return read_tokens(settings, ANY_NUMBER, APART_S)
