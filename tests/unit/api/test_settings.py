"""What an API process is told by its environment."""

import pytest

from api.callers import entry
from api.settings import ApiSettings, keys_of
from tieline.runtime.settings import SettingsError, read_settings
from tieline.tokens import MadeFor


def settings(**given: str) -> ApiSettings:
    return read_settings(ApiSettings, {f"TIELINE_{name}": value for name, value in given.items()})


def test_keys_are_read() -> None:
    (key,) = keys_of(settings(API_KEYS=entry("a", "b")))
    assert key.caller.name == "a"


def test_who_takes_signed_tokens_needs_no_keys() -> None:
    assert not keys_of(settings(API_TOKEN_SECRET="a secret that nobody guesses, 32 b"))


def test_an_api_that_nobody_may_ask_does_not_start() -> None:
    with pytest.raises(SettingsError, match="nobody could ask"):
        keys_of(settings())


def test_an_entry_that_cannot_be_used_is_named() -> None:
    with pytest.raises(SettingsError, match=r"TIELINE_API_KEYS: the entry 'a' has no SHA-256"):
        keys_of(settings(API_KEYS="a:b"))


def test_minted_tokens_say_the_first_of_what_gateways_demand() -> None:
    found = settings(JWT_AUDIENCE="one, two", JWT_ISSUER="me", TOKEN_MAX_LIFE="60").made_for
    assert found == MadeFor("one", "me", "", 60)


@pytest.mark.parametrize("name", ["API_TOKEN_SECRET", "API_TOKEN_SECRET_PREVIOUS"])
def test_a_token_for_the_api_admits_nobody_to_gateways(name: str) -> None:
    secret = "a secret that nobody guesses, 32 b"
    with pytest.raises(SettingsError, match="TIELINE_API_TOKEN_SECRET is TIELINE_JWT_SECRET"):
        keys_of(settings(API_KEYS=entry("a", "b"), JWT_SECRET=secret, **{name: secret}))
