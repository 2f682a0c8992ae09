"""The greeting of `tieline dev`: all that one needs to begin, the most useful last."""

from pathlib import Path

import jwt
import pytest

from tieline.cli.dev.local_system import LocalSystem
from tieline.cli.dev.screen import greeting, restarted
from tieline.tokens import SECRET_VARIABLE

SECRET = "a secret that is long enough for HMAC-SHA256"
LOG = Path("/state/dev.log")

SYSTEM = LocalSystem(
    [],
    ["ws://127.0.0.1:8080/ws", "ws://127.0.0.1:8081/ws"],
    {
        "gateway": ["http://127.0.0.1:1", "http://127.0.0.1:2"],
        "router": ["http://127.0.0.1:3"],
        "presence": ["http://127.0.0.1:5"],
    },
    "nats://127.0.0.1:4",
    SECRET,
    has_demo=True,
)
PIDS = {"nats": [10], "gateway": [11, 12], "router": [13], "presence": [14]}


def lines(system: LocalSystem = SYSTEM, environ: dict[str, str] | None = None) -> list[str]:
    return greeting(system, 1.84, PIDS, LOG, environ or {}).splitlines()


def test_the_last_lines_are_the_most_useful() -> None:
    assert lines()[-6:] == [
        "gateway   ws://127.0.0.1:8080/ws  (process 11)",
        "gateway   ws://127.0.0.1:8081/ws  (process 12)",
        "demo      http://127.0.0.1:8080/",
        "demo      http://127.0.0.1:8081/",
        "logs      /state/dev.log",
        "Ctrl-C ends everything.",
    ]


def test_addresses_for_operators_come_before() -> None:
    assert lines()[:8] == [
        "",
        "Tieline is ready, after 1.8 s.",
        "broker    nats://127.0.0.1:4  (process 10)",
        "ops endpoints (/metrics, /healthz, /readyz; of gateways /heaviest):",
        "  gateway   http://127.0.0.1:1  (process 11)",
        "  gateway   http://127.0.0.1:2  (process 12)",
        "  router    http://127.0.0.1:3  (process 13)",
        "  presence  http://127.0.0.1:5  (process 14)",
    ]


def test_it_is_said_how_to_see_who_costs_most() -> None:
    (line,) = (line for line in lines() if line.startswith("who costs most: "))
    assert line.endswith("tieline top http://127.0.0.1:1 http://127.0.0.1:2")


@pytest.mark.parametrize(("limits", "is_said"), [("off", True), ("on", False), (None, False)])
def test_it_is_said_that_limits_are_off(limits: str | None, is_said: bool) -> None:
    said = lines(environ={} if limits is None else {"TIELINE_LIMITS": limits})
    assert any(line.startswith("limits are off (TIELINE_LIMITS)") for line in said) is is_said


def test_there_is_a_token_for_each_of_two_users() -> None:
    for user in ("alice", "bob"):
        (line,) = (line for line in lines() if line.split()[:1] == [user])
        claims = jwt.decode(line.split()[1], SECRET, algorithms=["HS256"])
        assert (claims["sub"], claims["rooms"], claims["exp"] - claims["iat"]) == (user, ["demo"], 86_400)


@pytest.mark.parametrize("is_known", [False, True])
def test_the_secret_is_printed_only_if_it_was_made_up(is_known: bool) -> None:
    printed = "\n".join(lines(environ={SECRET_VARIABLE: SECRET} if is_known else {}))
    assert (SECRET in printed) is not is_known


@pytest.mark.filterwarnings("ignore:The HMAC key is")  # as the command line ignores it
@pytest.mark.parametrize(("secret", "is_warned"), [("s" * 31, True), ("s" * 32, False)])
def test_a_secret_that_may_be_guessed_is_warned_of(secret: str, is_warned: bool) -> None:
    said = lines(SYSTEM._replace(secret=secret), {SECRET_VARIABLE: secret})
    warning = "TIELINE_JWT_SECRET is so short that it may be guessed: give it 32 bytes"
    assert (warning in said) is is_warned


def test_a_secret_with_blanks_is_warned_of() -> None:
    secret = "s" * 32 + " "
    said = lines(SYSTEM._replace(secret=secret), {SECRET_VARIABLE: secret})
    assert "TIELINE_JWT_SECRET begins or ends with blanks: whoever else has it may have it without" in said


def test_a_variable_that_is_no_setting_is_warned_of() -> None:
    environ = {"TIELINE_OFER_TIMEOUT": "3", "TIELINE_OFFER_TIMEOUT": "3", "TIELINE_PONG_TIMEOUT": "3"}
    said = [line for line in lines(environ=environ) if "no setting" in line]
    assert said == ["TIELINE_OFER_TIMEOUT is no setting: perhaps TIELINE_OFFER_TIMEOUT"]


def test_restarted_processes_are_named_with_their_new_ids() -> None:
    assert restarted(SYSTEM, PIDS, PIDS) == ""
    now = {"nats": [20], "gateway": [11, 22], "router": [23], "presence": [24]}
    assert restarted(SYSTEM, PIDS, now).splitlines() == [
        "broker    nats://127.0.0.1:4  (process 20)",
        "gateway   ws://127.0.0.1:8081/ws  (process 22)",
        "router    http://127.0.0.1:3  (process 23)",
        "presence  http://127.0.0.1:5  (process 24)",
    ]


def test_pages_are_named_only_if_they_are_served() -> None:
    assert not any(line.startswith("demo ") for line in lines(SYSTEM._replace(has_demo=False)))


def test_it_is_said_where_a_backend_asks_and_how_to_look() -> None:
    system = SYSTEM._replace(api_urls=["http://127.0.0.1:6"], api_key="a key")
    text = greeting(system, 1.84, {**PIDS, "api": [15]}, LOG, {}).splitlines()
    assert "api       http://127.0.0.1:6  (process 15)" in text
    assert "API key   a key" in text
    (line,) = (line for line in text if line.startswith("who is there: "))
    assert "TIELINE_API_URL=http://127.0.0.1:6 TIELINE_API_KEY=a key " in line
    assert not any("API" in line for line in lines())


def test_the_tokens_that_are_printed_are_let_in() -> None:
    printed = lines(environ={"TIELINE_TOKEN_MAX_LIFE": "3600"})
    (heading,) = (nth for nth, line in enumerate(printed) if line.startswith("tokens for"))
    assert printed[heading] == "tokens for the room demo, for 3600 s:"
    claims = jwt.decode(printed[heading + 1].split()[1], SECRET, algorithms=["HS256"])
    assert claims["exp"] - claims["iat"] == 3600
    assert "tokens for the room demo, for a day:" in lines()


def test_a_secret_for_webhooks_is_shown_only_if_it_was_made_up(tmp_path: Path) -> None:
    system = SYSTEM._replace(webhook_secret="whsec_bWFkZSB1cA==")
    file = tmp_path / "secret"
    file.write_text(system.webhook_secret)
    assert "webhooks  signed with whsec_bWFkZSB1cA==" in lines(system)
    for given in (
        {"TIELINE_WEBHOOK_SECRET": system.webhook_secret},
        {"TIELINE_WEBHOOK_SECRET_FILE": str(file)},
    ):
        assert "webhooks  signed with TIELINE_WEBHOOK_SECRET" in lines(system, given)
