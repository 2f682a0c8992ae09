"""`tieline token`: the token that it prints, and the options that it refuses."""

from pathlib import Path

import jwt
import pytest

from tieline.cli.__main__ import main
from tieline.tokens import SECRET_VARIABLE

SECRET = "a secret that is long enough for HMAC-SHA256"


def claims_of(token: str) -> dict[str, object]:
    claims: dict[str, object] = jwt.decode(token, SECRET, algorithms=["HS256"])
    return claims


def test_the_command_prints_a_token(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(SECRET_VARIABLE, SECRET)
    words = "token alice --room demo other --room third --join demo --ttl 120 --no-voice"
    assert main(words.split()) == 0
    claims = claims_of(capsys.readouterr().out.removesuffix("\n"))
    issued = claims.pop("iat")
    assert isinstance(issued, int)
    assert claims == {
        "sub": "alice",
        "exp": issued + 120,
        "rooms": ["demo", "other", "third"],
        "voice": False,
        "join": ["demo"],
    }


def test_a_token_of_no_room_is_made_for_who_asks_for_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(SECRET_VARIABLE, SECRET)
    assert main(["token", "alice", "--no-rooms"]) == 0
    assert claims_of(capsys.readouterr().out.strip())["rooms"] == []


@pytest.mark.parametrize(("ttl", "life", "said"), [("120", 60, "it is good for 60 s"), ("60", 60, "")])
def test_a_shorter_life_than_was_asked_for_is_said(
    ttl: str, life: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(SECRET_VARIABLE, SECRET)
    monkeypatch.setenv("TIELINE_TOKEN_MAX_LIFE", "60")
    assert main(["token", "alice", "--room", "demo", "--ttl", ttl]) == 0
    printed = capsys.readouterr()
    claims = claims_of(printed.out.strip())
    assert isinstance(claims["iat"], int)
    assert claims["exp"] == claims["iat"] + life
    assert said in printed.err
    assert bool(printed.err) is bool(said)


def test_the_secret_may_stand_in_an_option(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(SECRET_VARIABLE, "another secret, which the option wins against")
    assert main(["token", "alice", "--room", "demo", "--secret", SECRET]) == 0
    assert claims_of(capsys.readouterr().out.strip())["sub"] == "alice"


def test_the_secret_may_stand_in_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n")
    monkeypatch.delenv(SECRET_VARIABLE, raising=False)
    monkeypatch.setenv(f"{SECRET_VARIABLE}_FILE", str(file))
    assert main(["token", "alice", "--room", "demo"]) == 0
    assert claims_of(capsys.readouterr().out.strip())["sub"] == "alice"
    file.write_text("")
    assert main(["token", "alice", "--room", "demo"]) == 2
    assert "TIELINE_JWT_SECRET_FILE" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:The HMAC key is")  # as the command line ignores it
@pytest.mark.parametrize(("secret", "is_warned"), [("s" * 31, True), ("s" * 32, False)])
def test_a_secret_that_may_be_guessed_is_warned_of(
    secret: str, is_warned: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["token", "alice", "--room", "demo", "--secret", secret]) == 0
    told = "tieline token: --secret is so short that it may be guessed: give it 32 bytes\n"
    assert capsys.readouterr().err == (told if is_warned else "")


@pytest.mark.parametrize(
    ("secret", "doubts"),
    [
        ("s" * 32 + " ", ["begins or ends with blanks: whoever else has it may have it without"]),
        ("\t" + "s" * 32, ["begins or ends with blanks: whoever else has it may have it without"]),
        (
            " " + "s" * 31,
            [
                "begins or ends with blanks: whoever else has it may have it without",
                "is so short that it may be guessed: give it 32 bytes",
            ],
        ),
    ],
)
def test_what_is_odd_about_a_secret_is_said(
    secret: str, doubts: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(SECRET_VARIABLE, secret)
    assert main(["token", "alice", "--room", "demo"]) == 0
    told = capsys.readouterr().err.splitlines()
    assert told == [f"tieline token: {SECRET_VARIABLE} {doubt}" for doubt in doubts]


@pytest.mark.parametrize(
    ("secret", "words", "complaint"),
    [
        ("", "token alice --room demo", SECRET_VARIABLE),
        ("", "token alice --room demo", "TIELINE_JWT_SECRET_FILE to a file with it"),
        (SECRET, "token alice", "--room"),
        (SECRET, "token alice", "--no-rooms, if the API gives them"),
        (SECRET, "token alice --join demo --no-rooms", "--no-rooms goes with neither"),
        (SECRET, "token " + "u" * 129 + " --room demo", "is no user id"),
    ],
)
def test_the_command_says_what_is_wrong(
    secret: str,
    words: str,
    complaint: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(SECRET_VARIABLE, secret)
    assert main(words.split()) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert complaint in captured.err
