"""What a webhook worker is told by its environment (docs/configuration.md#webhooks)."""

from typing import Annotated, Literal

import msgspec

from tieline.runtime.settings import ProcessSettings, Seconds, SettingsError, SigningSecret
from tieline.wire import cloud_events
from tieline.wire.signatures import problem_of_secret
from tieline.wire.webhooks import SETTINGS, Endpoint, problem_of_url


class WebhookSettings(ProcessSettings, frozen=True, kw_only=True):
    """What a webhook worker is told by its environment."""

    webhook_url: str = ""
    """Where events are told; empty: only to the endpoints that were made through the API."""
    webhook_secret: SigningSecret = ""
    """Signs what is told there."""
    webhook_secret_previous: SigningSecret = ""
    """The one before, while it is changed: it signs, too."""
    webhook_events: str = ""
    """The kinds that are told there, with commas between them; empty: all."""
    webhook_private: bool = False
    """Whether endpoints may be in private networks, and speak http://."""
    webhook_batch: Annotated[int, msgspec.Meta(ge=1, le=1000, description="a whole number, 1 to 1000")] = 100
    """Events in one delivery at most."""
    webhook_timeout: Seconds = 10
    webhook_retry_for: Seconds = 86_400
    storage: Literal["file", "memory"] = "file"
    replicas: Annotated[int, msgspec.Meta(ge=1, le=5, description="a whole number, 1 to 5")] = 1

    @property
    def looks_at_tokens(self) -> bool:
        """See `ProcessSettings`."""
        return False

    @property
    def longest_stop_s(self) -> float:
        """What is under way may take as long as a delivery may."""
        return 10.0 + self.webhook_timeout


def endpoint_of(settings: WebhookSettings) -> Endpoint | None:
    """Read the endpoint that stands in the settings; None: there is none.

    Raises:
        SettingsError: it cannot be used.
    """
    if not settings.webhook_url:
        return None
    problem = problem_of_url(settings.webhook_url, may_be_private=settings.webhook_private)
    if problem is not None:
        raise SettingsError(f"TIELINE_WEBHOOK_URL: {problem}")
    if not settings.webhook_secret:
        raise SettingsError("TIELINE_WEBHOOK_SECRET is not set: who could know what was told by us?")
    kinds = tuple(filter(None, (kind.strip() for kind in settings.webhook_events.split(","))))
    for kind in kinds:
        if not any(Endpoint(SETTINGS, "", (), (kind,)).wants(each) for each in cloud_events.KINDS):
            known = ", ".join(cloud_events.KINDS)
            raise SettingsError(f"TIELINE_WEBHOOK_EVENTS: there are no events {kind!r}; there are {known}")
    secrets = {
        "TIELINE_WEBHOOK_SECRET": settings.webhook_secret,
        "TIELINE_WEBHOOK_SECRET_PREVIOUS": settings.webhook_secret_previous,
    }
    for variable, secret in secrets.items():
        if (problem := problem_of_secret(secret)) is not None:
            raise SettingsError(f"{variable}: {problem}")
    return Endpoint(SETTINGS, settings.webhook_url, tuple(filter(None, secrets.values())), kinds)
