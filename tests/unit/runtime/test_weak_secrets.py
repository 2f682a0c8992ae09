"""What is said of secrets that may be guessed, or are not what somebody meant."""

import pytest

from tieline.runtime.settings import Password, ProcessSettings, SettingsError, SigningSecret, read_settings
from tieline.runtime.weak_secrets import BLANKS, TOO_SHORT, UNSEEN, Doubt, doubts_about


class Sample(ProcessSettings, frozen=True, kw_only=True):
    """Settings of a process that does not exist."""

    jwt_secret: SigningSecret = ""
    other_password: Password = ""


def doubts(**variables: str) -> list[Doubt]:
    return doubts_about(
        read_settings(Sample, {f"TIELINE_{name}": value for name, value in variables.items()})
    )


def events(**variables: str) -> list[str]:
    return [doubt.event for doubt in doubts(**variables)]


def test_of_good_secrets_and_of_none_nothing_is_said() -> None:
    assert doubts() == []
    assert doubts(JWT_SECRET="s" * 32, OTHER_PASSWORD="p", NATS_PASSWORD="q") == []


def test_a_secret_that_signs_and_is_short_is_warned_of() -> None:
    fields = {"variable": "TIELINE_JWT_SECRET", "bytes": 16, "bytes_at_least": 32}
    assert doubts(JWT_SECRET="s" * 16) == [Doubt(TOO_SHORT, fields)]
    assert events(JWT_SECRET="界" * 5 + "s" * 16) == [TOO_SHORT]
    assert events(JWT_SECRET="界" * 11) == []


@pytest.mark.parametrize("secret", ["q", "q" * 15, " " * 40, "\n" + "q" * 15 + " " * 40])
def test_a_secret_that_anybody_can_guess_starts_nothing(secret: str) -> None:
    with pytest.raises(SettingsError, match=r"TIELINE_JWT_SECRET has [0-9]+ bytes") as found:
        doubts(JWT_SECRET=secret)
    assert secret not in str(found.value)
    assert "TIELINE_ALLOW_WEAK_SECRETS=1" in str(found.value)
    assert TOO_SHORT in events(JWT_SECRET=secret, ALLOW_WEAK_SECRETS="1")


@pytest.mark.parametrize("blank", [" ", "\n", "\r\n", "\t", "\u00a0"])
def test_blanks_at_an_end_are_warned_of_and_kept(blank: str) -> None:
    for secret in (blank + "s" * 32, "s" * 32 + blank):
        assert doubts(JWT_SECRET=secret) == [Doubt(BLANKS, {"variable": "TIELINE_JWT_SECRET"})]
        assert doubts(NATS_PASSWORD=secret) == [Doubt(BLANKS, {"variable": "TIELINE_NATS_PASSWORD"})]
    assert doubts(JWT_SECRET="s" * 16 + blank + "s" * 16) == []


@pytest.mark.parametrize("mark", ["\ufeff", "\u200b", "\u2060"])
def test_characters_that_nobody_sees_are_warned_of_and_kept(mark: str) -> None:
    """An editor may begin a file with one."""
    for secret in (mark + "s" * 32, "s" * 16 + mark + "s" * 16):
        assert doubts(JWT_SECRET=secret) == [Doubt(UNSEEN, {"variable": "TIELINE_JWT_SECRET"})]
