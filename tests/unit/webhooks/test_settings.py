"""What a webhook worker is told by its environment."""

import pytest

from tieline.runtime.settings import SettingsError, read_settings
from tieline.runtime.weak_secrets import doubts_about
from tieline.wire.webhooks import SETTINGS, Endpoint
from webhooks.settings import WebhookSettings, endpoint_of

SECRET = "a secret of thirty-two bytes and more"
GOOD = {"TIELINE_WEBHOOK_URL": "https://backend.example/hooks", "TIELINE_WEBHOOK_SECRET": SECRET}


def test_without_a_url_there_is_no_endpoint_of_its_own() -> None:
    assert endpoint_of(read_settings(WebhookSettings, {})) is None


def test_an_endpoint_has_both_secrets_and_its_kinds() -> None:
    more = {"TIELINE_WEBHOOK_SECRET_PREVIOUS": "old", "TIELINE_WEBHOOK_EVENTS": "call.*, member.left"}
    assert endpoint_of(read_settings(WebhookSettings, {**GOOD, **more})) == Endpoint(
        SETTINGS, "https://backend.example/hooks", (SECRET, "old"), ("call.*", "member.left")
    )


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"TIELINE_WEBHOOK_URL": "ftp://backend.example"}, "TIELINE_WEBHOOK_URL"),
        ({"TIELINE_WEBHOOK_URL": "http://backend.example"}, "TIELINE_WEBHOOK_PRIVATE"),
        ({"TIELINE_WEBHOOK_SECRET": ""}, "TIELINE_WEBHOOK_SECRET"),
        ({"TIELINE_WEBHOOK_SECRET": "whsec_" + SECRET}, "TIELINE_WEBHOOK_SECRET: behind whsec_"),
        ({"TIELINE_WEBHOOK_SECRET_PREVIOUS": "whsec_"}, "TIELINE_WEBHOOK_SECRET_PREVIOUS: behind whsec_"),
        ({"TIELINE_WEBHOOK_EVENTS": "call.began"}, "call.offered"),
    ],
)
def test_what_cannot_be_used_is_named(wrong: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        endpoint_of(read_settings(WebhookSettings, {**GOOD, **wrong}))


@pytest.mark.parametrize("variable", ["TIELINE_WEBHOOK_SECRET", "TIELINE_WEBHOOK_SECRET_PREVIOUS"])
def test_a_secret_that_anybody_can_guess_signs_nothing(variable: str) -> None:
    with pytest.raises(SettingsError, match=f"{variable} has 6 bytes"):
        doubts_about(read_settings(WebhookSettings, {**GOOD, variable: "secret"}))
    assert doubts_about(read_settings(WebhookSettings, GOOD)) == []


def test_in_a_private_network_http_will_do() -> None:
    private = {**GOOD, "TIELINE_WEBHOOK_URL": "http://backend:8080", "TIELINE_WEBHOOK_PRIVATE": "1"}
    assert endpoint_of(read_settings(WebhookSettings, private)) is not None


def test_a_stop_waits_for_a_delivery() -> None:
    settings = read_settings(WebhookSettings, {"TIELINE_WEBHOOK_TIMEOUT": "30"})
    assert settings.longest_stop_s > 30
    assert not settings.looks_at_tokens
