from pathlib import Path
from typing import Literal

import msgspec
import pytest

from gateway.settings import GatewaySettings
from presence.settings import PresenceSettings
from tieline.runtime.settings import (
    LONGEST_S,
    BrokerLogin,
    Count,
    Password,
    Port,
    Positive,
    ProcessSettings,
    Seconds,
    SettingsError,
    SigningSecret,
    is_secret,
    misspelt,
    read_settings,
    usage,
)

SECRET = "correct horse battery staple"


class Sample(ProcessSettings, frozen=True, kw_only=True):
    """Settings of a process that does not exist, one of each kind."""

    jwt_secret: str
    jwt_secret_previous: str | None = None
    secret_port: Port = 1
    offer_timeout: Seconds = 60
    listen_port: Port = 8080
    max_connections: Count = 0
    room_max_members: Positive = 1000
    storage: Literal["file", "memory"] = "file"
    replicas: Literal[1, 3, 5] = 1
    demo: bool = False


def read(**environ: str) -> Sample:
    return read_settings(Sample, {"TIELINE_JWT_SECRET": SECRET} | environ)


def problem_of(**environ: str) -> str:
    with pytest.raises(SettingsError) as problem:
        read(**environ)
    return str(problem.value)


def test_every_process_starts_with_no_settings_at_all() -> None:
    assert read_settings(ProcessSettings, {}) == ProcessSettings(
        nats_url="nats://127.0.0.1:4222",
        namespace="tieline",
        ops_host="127.0.0.1",
        ops_port=0,
        log_level="info",
    )


def test_a_setting_is_the_variable_of_its_name_in_its_own_type() -> None:
    settings = read(
        TIELINE_NATS_URL="nats://a:1,nats://b:2",
        TIELINE_OFFER_TIMEOUT="0.5",
        TIELINE_LISTEN_PORT="0",
        TIELINE_MAX_CONNECTIONS="10000",
        TIELINE_ROOM_MAX_MEMBERS="7",
        TIELINE_STORAGE="memory",
        TIELINE_REPLICAS="3",
        TIELINE_JWT_SECRET_PREVIOUS="7",
    )

    assert settings == Sample(
        jwt_secret=SECRET,
        jwt_secret_previous="7",
        nats_url="nats://a:1,nats://b:2",
        offer_timeout=0.5,
        listen_port=0,
        max_connections=10_000,
        room_max_members=7,
        storage="memory",
        replicas=3,
    )


def test_other_variables_do_not_matter() -> None:
    assert read(PATH="/bin", LISTEN_PORT="1", tieline_listen_port="2", TIELINE_UNHEARD_OF="3") == read()


def test_a_variable_like_a_setting_is_taken_for_misspelt() -> None:
    environ = {
        "TIELINE_OFER_TIMEOUT": "5",
        "TIELINE_NATSURL": "nats://a",
        "TIELINE_OFFER_TIMEOUT": "6",
        "TIELINE_GATEWAY_PORT_8080_TCP": "what Kubernetes adds",
        "TIELINE_TURN_TTL": "of another process",
        "OFFER_TIMEOUTS": "of another program",
    }

    assert misspelt(environ, Sample) == {
        "TIELINE_OFER_TIMEOUT": "TIELINE_OFFER_TIMEOUT",
        "TIELINE_NATSURL": "TIELINE_NATS_URL",
    }


def test_all_settings_are_listed_with_their_defaults() -> None:
    lines = usage(Sample).splitlines()

    assert "  TIELINE_JWT_SECRET" in lines
    assert "  TIELINE_NATS_URL (nats://127.0.0.1:4222)" in lines
    assert len(lines) == len(msgspec.structs.fields(Sample))


@pytest.mark.parametrize("variable", ["TIELINE_NATS_URL", "TIELINE_LISTEN_PORT", "TIELINE_LOG_LEVEL"])
def test_an_empty_variable_counts_as_unset(variable: str) -> None:
    assert read(**{variable: ""}) == read()


def test_a_required_variable_that_is_missing_is_named() -> None:
    with pytest.raises(SettingsError, match="TIELINE_JWT_SECRET is not set"):
        read_settings(Sample, {})


def test_a_required_variable_that_is_empty_is_missing() -> None:
    assert problem_of(TIELINE_JWT_SECRET="") == "TIELINE_JWT_SECRET is not set, and has no default"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TIELINE_OFFER_TIMEOUT", "soon"),
        ("TIELINE_OFFER_TIMEOUT", "0"),
        ("TIELINE_OFFER_TIMEOUT", "-1"),
        ("TIELINE_OFFER_TIMEOUT", "60s"),
        ("TIELINE_OFFER_TIMEOUT", "nan"),
        ("TIELINE_OFFER_TIMEOUT", "inf"),
        ("TIELINE_OFFER_TIMEOUT", "1e400"),
        ("TIELINE_LISTEN_PORT", "65536"),
        ("TIELINE_LISTEN_PORT", "-1"),
        ("TIELINE_LISTEN_PORT", "80.5"),
        ("TIELINE_LISTEN_PORT", "http"),
        ("TIELINE_OPS_PORT", " 1"),
        ("TIELINE_MAX_CONNECTIONS", "-1"),
        ("TIELINE_ROOM_MAX_MEMBERS", "0"),
        ("TIELINE_STORAGE", "disk"),
        ("TIELINE_REPLICAS", "2"),
        ("TIELINE_LOG_LEVEL", "loud"),
        ("TIELINE_LOG_LEVEL", "INFO"),
        ("TIELINE_LOG_LEVEL", "info\n"),
    ],
)
def test_an_unusable_value_is_shown_with_the_name_of_its_variable(variable: str, value: str) -> None:
    problem = problem_of(**{variable: value})

    assert problem.startswith(f"{variable}: {value!r} is unusable: ")


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("TIELINE_OFFER_TIMEOUT", "a number of seconds above 0, at most a year"),
        ("TIELINE_LISTEN_PORT", "a port, 0 to 65535"),
        ("TIELINE_MAX_CONNECTIONS", "a whole number, 0 or more"),
        ("TIELINE_STORAGE", "one of file, memory"),
        ("TIELINE_REPLICAS", "one of 1, 3, 5"),
        ("TIELINE_LOG_LEVEL", "one of debug, info, warning, error"),
        ("TIELINE_NAMESPACE", "letters of ASCII, digits, _ and -"),
        ("TIELINE_DEMO", "0 or 1"),
    ],
)
def test_an_unusable_value_is_told_with_what_is_allowed(variable: str, expected: str) -> None:
    assert problem_of(**{variable: "a b"}) == f"{variable}: 'a b' is unusable: expected {expected}"


@pytest.mark.parametrize("kind", [GatewaySettings, PresenceSettings, ProcessSettings])
def test_every_setting_that_can_be_unusable_says_what_is_allowed(kind: type[msgspec.Struct]) -> None:
    for field in msgspec.structs.fields(kind):
        if field.type is str or is_secret(field.type):
            continue
        with pytest.raises(SettingsError, match="is unusable: expected "):
            read_settings(kind, {f"TIELINE_{field.name.upper()}": "a b"})


def test_what_another_process_knows_is_not_misspelt() -> None:
    environ = {"TIELINE_REPLICA": "3", "TIELINE_REPLICAS": "3"}

    assert misspelt(environ, ProcessSettings, Sample) == {"TIELINE_REPLICA": "TIELINE_REPLICAS"}


def test_the_longest_duration_is_still_one() -> None:
    assert read(TIELINE_OFFER_TIMEOUT=str(LONGEST_S)).offer_timeout == LONGEST_S


def test_a_secret_is_never_shown_not_even_when_it_is_unusable() -> None:
    problem = problem_of(TIELINE_SECRET_PORT=SECRET)

    assert problem.startswith("TIELINE_SECRET_PORT: its value is unusable: ")
    assert SECRET not in problem


def test_a_password_is_as_secret_as_a_secret() -> None:
    settings = read(TIELINE_NATS_USER="gateway", TIELINE_NATS_PASSWORD=SECRET, TIELINE_NATS_CA="ca.crt")

    assert settings.nats_login == BrokerLogin("gateway", SECRET, "ca.crt")
    assert SECRET not in repr(settings.nats_login)


def test_a_problem_with_one_variable_shows_no_secret_one() -> None:
    assert SECRET not in problem_of(TIELINE_LISTEN_PORT="http")


def test_the_cause_that_a_traceback_would_print_is_cut_off() -> None:
    with pytest.raises(SettingsError) as problem:
        read(TIELINE_SECRET_PORT=SECRET)

    assert problem.value.__cause__ is None
    assert problem.value.__suppress_context__


# Secrets that stand in files.


class Secretive(ProcessSettings, frozen=True, kw_only=True):
    """Settings with secrets, one that must be there."""

    jwt_secret: SigningSecret
    turn_secret: Password = ""


def keep(folder: Path, text: str) -> str:
    file = folder / "secret"
    file.write_text(text)
    return str(file)


def test_a_secret_may_stand_in_a_file_that_a_variable_names(tmp_path: Path) -> None:
    file = keep(tmp_path, f"{SECRET}\n")

    settings = read_settings(Secretive, {"TIELINE_JWT_SECRET_FILE": file, "TIELINE_TURN_SECRET_FILE": ""})

    assert (settings.jwt_secret, settings.turn_secret) == (SECRET, "")
    login = read_settings(ProcessSettings, {"TIELINE_NATS_PASSWORD_FILE": file}).nats_login
    assert login.password == SECRET


def test_one_of_a_secret_and_its_file_may_be_given(tmp_path: Path) -> None:
    file = keep(tmp_path, SECRET)
    both = {"TIELINE_JWT_SECRET": SECRET, "TIELINE_JWT_SECRET_FILE": file}
    with pytest.raises(SettingsError) as problem:
        read_settings(Secretive, both)
    assert str(problem.value).startswith("TIELINE_JWT_SECRET and TIELINE_JWT_SECRET_FILE are both set")
    for one in ({"TIELINE_JWT_SECRET_FILE": ""}, {"TIELINE_JWT_SECRET_FILE": f"-{tmp_path}/nowhere"}):
        assert read_settings(Secretive, both | one).jwt_secret == SECRET


def test_a_file_without_a_secret_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^TIELINE_JWT_SECRET_FILE: .*No such file"):
        read_settings(Secretive, {"TIELINE_JWT_SECRET_FILE": f"{tmp_path}/nowhere"})
    with pytest.raises(SettingsError, match=r"^TIELINE_JWT_SECRET is not set"):
        read_settings(Secretive, {"TIELINE_JWT_SECRET_FILE": f"-{tmp_path}/nowhere"})


def test_only_a_secret_stands_in_a_file(tmp_path: Path) -> None:
    file = keep(tmp_path, "debug")
    assert read(TIELINE_LOG_LEVEL_FILE=file).log_level == "info"


def test_the_variables_of_files_are_known_and_listed() -> None:
    assert "  TIELINE_NATS_PASSWORD or TIELINE_NATS_PASSWORD_FILE" in usage(ProcessSettings).splitlines()
    environ = {"TIELINE_NATS_PASSWORD_FILE": "x", "TIELINE_NATS_PASSWORD_FIL": "y"}
    assert misspelt(environ, ProcessSettings) == {"TIELINE_NATS_PASSWORD_FIL": "TIELINE_NATS_PASSWORD_FILE"}


@pytest.mark.parametrize("kind", [GatewaySettings, PresenceSettings, ProcessSettings])
def test_everything_called_a_secret_or_a_password_is_one(kind: type[msgspec.Struct]) -> None:
    for field in msgspec.structs.fields(kind):
        is_called_so = field.name.endswith("password") or "_secret" in field.name
        assert is_secret(field.type) is (is_called_so and field.name != "allow_weak_secrets")
