"""What a presence process makes of its environment. Defaults are compared with the documents elsewhere."""

import pytest

from presence.settings import PresenceSettings
from tieline.runtime.settings import SettingsError, read_settings


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
    ],
)
def test_an_unusable_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"TIELINE_{name}"):
        settings(**{name: value})
