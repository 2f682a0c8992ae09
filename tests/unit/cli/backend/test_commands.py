"""What operators ask over the API, and what they read."""

import json

import pytest

from api.callers import find, read_keys
from tests.unit.cli.backend.asked import Api, api, run
from tieline.api.variables import API_KEY_VARIABLE, API_URL_VARIABLE

__all__ = ["api"]

MEMBER = {"user": "alice", "status": "online", "voice": True, "given": False, "joinedAt": 1_700_000_000_000}
GONE = {"user": "bob", "status": "offline", "voice": False, "given": True}


@pytest.mark.parametrize(
    ("words", "asked", "said", "nothing"),
    [
        (["kick", "u"], "POST /v1/users/u/disconnect", "u is disconnected", "u is not connected"),
        (
            ["kick", "u", "--room", "r", "--for", "5"],
            'POST /v1/rooms/r/members/u/kick {"seconds":5.0}',
            "u is out of r",
            "u is not in r",
        ),
        (
            ["ban", "u", "--for", "60"],
            'PUT /v1/users/u/ban {"seconds":60.0}',
            "u is disconnected, and may not connect for 60 s",
            "u may not connect for 60 s",
        ),
        (["ban", "u", "--lift"], "DELETE /v1/users/u/ban", "u may connect", "u may connect"),
        (["close", "r"], 'POST /v1/rooms/r/close {"seconds":0.0}', "1 of r are out", "0 of r are out"),
        (
            ["send", "--room", "r", '{"a":1}'],
            'POST /v1/rooms/r/messages {"data":{"a":1}}',
            "sent to 1",
            "nobody is there: sent to none",
        ),
        (
            ["send", "--user", "u", "1"],
            'POST /v1/users/u/messages {"data":1}',
            "sent to 1",
            "nobody is there: sent to none",
        ),
    ],
)
def test_a_change_is_asked_for_and_told(
    words: list[str], asked: str, said: str, nothing: str, api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words) == 0
    assert capsys.readouterr().out == f"{said}\n"
    api.answer = {"affected": 0}
    assert run(*words) == 0
    assert capsys.readouterr().out == f"{nothing}\n"
    assert api.asked == [asked] * 2


def test_rooms_are_a_table_or_json(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    api.answer = {
        "rooms": [{"room": "hall", "members": 12}, {"room": "a long room", "members": 3}],
        "count": 2,
    }
    assert run("rooms") == 0
    assert capsys.readouterr().out.splitlines() == [
        "room         members",
        "hall         12",
        "a long room  3",
    ]
    assert run("rooms", "--json") == 0
    assert json.loads(capsys.readouterr().out)[0] == {"room": "hall", "members": 12}


def test_members_are_a_table_or_json(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    api.answer = {"members": [MEMBER, GONE], "count": 2}
    assert run("members", "hall") == 0
    heads, alice, bob = capsys.readouterr().out.splitlines()
    assert heads.split() == ["user", "status", "voice", "given", "since"]
    assert alice.split()[:4] == ["alice", "online", "yes", "no"]
    assert bob.split() == ["bob", "offline", "no", "yes"]
    assert run("members", "hall", "--json") == 0
    assert json.loads(capsys.readouterr().out) == [MEMBER, GONE]


@pytest.mark.parametrize("variable", [API_URL_VARIABLE, API_KEY_VARIABLE])
def test_where_the_api_is_not_known_it_is_said_what_to_set(
    variable: str, api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(variable)
    assert run("rooms") == 2
    assert f"set {API_URL_VARIABLE}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("status", "advice"),
    [(401, "`tieline api-key` makes one"), (403, "give the key"), (409, "it is full (ROOM_FULL)")],
)
def test_a_refusal_says_why_and_what_to_do(
    status: int, advice: str, api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    api.status = status
    api.answer = {"title": "No", "status": status, "detail": "it is full", "reason": "ROOM_FULL"}
    assert run("rooms") == 1
    assert advice in capsys.readouterr().err


def test_no_answer_is_said_with_the_address(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    api.status = 503
    assert run("close", "hall") == 1
    assert "no answer: http://api/v1/" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["kick", "u", "--for", "5"], "--for goes with --room"),
        (["send", "--user", "u", "{"], "is no JSON"),
        (["api-key", "a b"], "SHA-256"),
        (["api-key", "a", "--scope", "rooms"], "'rooms' is no scope: there are rooms:read, rooms:write, "),
    ],
)
def test_options_that_make_no_sense_are_refused(
    words: list[str], said: str, api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words) == 2
    assert said in capsys.readouterr().err
    assert api.asked == []


def test_a_key_is_made_with_the_entry_that_fits(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("api-key", "backend", "--scope", "rooms:read", "users:write") == 0
    told = dict(line.split("=", 1) for line in capsys.readouterr().out.splitlines())
    caller = find(read_keys(told["TIELINE_API_KEYS"]), told[API_KEY_VARIABLE])
    assert caller is not None
    assert (caller.name, caller.scopes) == ("backend", ("rooms:read", "users:write"))


@pytest.mark.parametrize(
    "words",
    [
        ["kick", "u", "--room", ""],
        ["kick", ""],
        ["kick", "\udcff"],
        ["ban", "u ", "--lift"],
        ["close", "r\u202e"],
        ["members", "r" * 129],
        ["send", "--room", "", "1"],
        ["send", "--user", "", "1"],
    ],
)
def test_what_is_no_id_is_asked_of_nobody(
    words: list[str], api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(*words)
    assert "is no id: 1 to 128 bytes" in capsys.readouterr().err
    assert api.asked == []


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        (API_URL_VARIABLE, "http://[::1"),
        (API_URL_VARIABLE, "http://api:99999"),
        (API_URL_VARIABLE, "api:8090"),
        (API_URL_VARIABLE, "http://"),
        (API_URL_VARIABLE, "http://a\nb"),
        (API_KEY_VARIABLE, "schl\xfcssel"),
        (API_KEY_VARIABLE, "a\nb"),
    ],
)
def test_what_is_no_address_or_key_is_said_so(
    variable: str,
    value: str,
    api: Api,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(variable, value)
    assert run("rooms") == 2
    assert variable in capsys.readouterr().err
    assert api.asked == []
