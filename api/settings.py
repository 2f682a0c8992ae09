"""What an API process is told by its environment (docs/configuration.md#api)."""

from typing import Annotated

import msgspec

from api.callers import BadEntry, Keys, read_keys
from tieline.runtime.settings import (
    NotNegative,
    Password,
    Port,
    ProcessSettings,
    SettingsError,
    SigningSecret,
)
from tieline.tokens import MadeFor


class ApiSettings(ProcessSettings, frozen=True, kw_only=True):
    """What an API process is told by its environment."""

    api_host: str = "127.0.0.1"
    """Where the API is served; 0.0.0.0 inside a container."""
    api_port: Port = 8090
    """0: any free port; the log names it."""
    api_keys: Password = ""
    """Who may ask: `NAME:SHA256[:SCOPE+SCOPE...]`, several with commas or line ends between them
    (`tieline api-key` makes one)."""
    api_event_streams: Annotated[int, msgspec.Meta(ge=0, le=512, description="a whole number, 0 to 512")] = 64
    """Callers who follow the events here at a time: at most half of the connections that there may be."""
    api_token_secret: SigningSecret = ""
    """Signs the tokens with which a caller may come instead of a key; empty: none are taken."""
    api_token_secret_previous: SigningSecret = ""
    """The one before, while it is changed."""
    webhook_private: bool = False
    """Whether webhooks may be in private networks, and speak http://, as the workers have it."""
    jwt_secret: SigningSecret = ""
    """Signs the admission tokens that are minted; empty: none are."""
    jwt_audience: str = ""
    jwt_issuer: str = ""
    jwt_type: str = ""
    """What gateways demand of those tokens, the first of each list (see `GatewaySettings`)."""
    token_max_life: NotNegative = 0
    """For how many seconds such a token is good at most, as gateways have it; 0: any time."""

    @property
    def made_for(self) -> MadeFor:
        """What gateways demand of the admission tokens that are minted."""
        demanded = self.jwt_audience, self.jwt_issuer, self.jwt_type
        audience, issuer, kind = (text.split(",")[0].strip() for text in demanded)
        return MadeFor(audience, issuer, kind, self.token_max_life)


def keys_of(settings: ApiSettings) -> Keys:
    """Read who may ask.

    Raises:
        SettingsError: an entry cannot be used, or nobody may ask.
    """
    try:
        keys = read_keys(settings.api_keys)
    except BadEntry as problem:
        raise SettingsError(f"TIELINE_API_KEYS: {problem}") from None
    signing = {settings.api_token_secret, settings.api_token_secret_previous} - {""}
    if settings.jwt_secret in signing:
        raise SettingsError(
            "TIELINE_API_TOKEN_SECRET is TIELINE_JWT_SECRET: gateways would let in whoever has a token for"
            " the API, as the user whom it names"
        )
    if not keys and not settings.api_token_secret:
        raise SettingsError(
            "neither TIELINE_API_KEYS nor TIELINE_API_TOKEN_SECRET is set: nobody could ask anything"
            " (`tieline api-key` makes a key)"
        )
    return keys
