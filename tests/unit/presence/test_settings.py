"""What a presence process makes of its environment. Defaults are compared with the documents elsewhere."""

import pytest

from presence.settings import PresenceSettings, demand_events, tokens_of
from tests.unit.presence.rules.frames import NOW
from tests.unit.verification.issuer import EC
from tieline.runtime.settings import SettingsError, read_settings
from tieline.runtime.weak_secrets import doubts_about


def settings(**variables: str) -> PresenceSettings:
    """What the environment says."""
    return read_settings(PresenceSettings, {f"TIELINE_{name}": value for name, value in variables.items()})


def test_each_setting_is_read() -> None:
    read = settings(STORAGE="memory", REPLICAS="3", OFFER_TIMEOUT="45", CANDIDATES="reject")
    assert (read.storage, read.replicas, read.offer_timeout, read.candidates) == ("memory", 3, 45, "reject")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STORAGE", "tape"),
        ("REPLICAS", "0"),
        ("REPLICAS", "6"),
        ("OFFER_TIMEOUT", "soon"),
        ("ROOM_MAX_MEMBERS", "0"),
        ("CANDIDATES", "drop"),
        ("WAKE_WINDOW", "-1"),
        ("WAKE_WINDOW", "3601"),
    ],
)
def test_an_unusable_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"TIELINE_{name}"):
        settings(**{name: value})


def test_offers_are_kept_only_where_somebody_is_told_whom_to_wake() -> None:
    demand_events(settings())
    demand_events(settings(WAKE_WINDOW="30", EVENTS="on"))
    with pytest.raises(SettingsError, match="TIELINE_EVENTS"):
        demand_events(settings(WAKE_WINDOW="30"))


@pytest.mark.parametrize("mode", ["", "off"])
def test_unless_it_is_told_to_presence_looks_at_no_tokens(mode: str) -> None:
    assert tokens_of(settings(JWT_PUBLIC_KEY=EC.pem, VERIFY_TOKENS=mode)) is None


@pytest.mark.parametrize("mode", ["transition", "on"])
def test_told_to_it_does_and_is_as_lenient_as_clocks_differ(mode: str) -> None:
    tokens = tokens_of(settings(JWT_PUBLIC_KEY=EC.pem, VERIFY_TOKENS=mode))
    assert tokens is not None
    rooms = [f"room-{number}" for number in range(300)]  # how many one may name is the gateways' business
    claims = tokens.verify(EC.token(exp=NOW / 1000, rooms=rooms), NOW / 1000 + 59)
    assert claims.sub == "alice"


@pytest.mark.parametrize(("mode", "is_judged"), [("off", False), ("transition", True), ("on", True)])
def test_a_secret_that_presence_does_not_use_is_not_judged(mode: str, *, is_judged: bool) -> None:
    """It may stand beside those of a gateway, in one environment."""
    read = settings(JWT_SECRET="short", ALLOW_WEAK_SECRETS="1", VERIFY_TOKENS=mode)
    assert bool(doubts_about(read)) is is_judged


def test_without_keys_there_is_nothing_to_look_with() -> None:
    with pytest.raises(SettingsError, match="TIELINE_JWT_PUBLIC_KEY"):
        tokens_of(settings(VERIFY_TOKENS="on"))
