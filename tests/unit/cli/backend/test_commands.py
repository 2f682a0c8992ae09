"""What operators ask over the API, and what they read."""

import json

import pytest

from api.callers import find, read_keys
from tests.unit.cli.backend.asked import Api, api, run
from tieline.api.bodies import Event, EventData
from tieline.api.variables import API_KEY_VARIABLE, API_URL_VARIABLE
from tieline.cli.backend.tail import line
from tieline.wire import server_sent

__all__ = ["api"]

EVENTS: tuple[tuple[str, dict[str, object]], ...] = (
    ("member.joined", {"room": "hall", "user": "alice"}),
    ("call.offered", {"caller": "alice", "callee": "bob", "call": "c1"}),
    (
        "call.ended",
        {
            "caller": "alice",
            "callee": "bob",
            "by": "bob",
            "reason": "hangup",
            "durationSeconds": 7.25,
            "call": "c1",
        },
    ),
    ("later.kind", {}),
)

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
            "u was not there, and is no member of r",
        ),
        (
            ["ban", "u", "--for", "60"],
            'PUT /v1/users/u/ban {"seconds":60.0}',
            "u is disconnected, and may not connect for 60 s",
            "u may not connect for 60 s",
        ),
        (["ban", "u", "--lift"], "DELETE /v1/users/u/ban", "u may connect", "u may connect"),
        (
            ["close", "r"],
            'POST /v1/rooms/r/close {"seconds":0.0}',
            "1 of r are out: r has no members",
            "0 of r are out: r has no members",
        ),
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


def test_an_address_with_the_path_of_an_operation_is_known(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    api.status = 404
    api.answer = {"title": "Not Found", "status": 404, "detail": "Not Found", "reason": "NOT_FOUND"}
    assert run("rooms") == 1
    assert "is TIELINE_API_URL the API's address, without `/v1` and what follows?" in capsys.readouterr().err


def test_no_answer_is_said_with_the_address(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    api.status = 503
    assert run("close", "hall") == 1
    told = capsys.readouterr().err
    assert "no answer: http://api/v1/" in told
    assert "is TIELINE_API_URL the address of an API that runs?" in told


def test_an_api_that_cannot_answer_says_why(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    api.status = 503
    api.answer = {"title": "No", "status": 503, "detail": "presence is away", "reason": "UNAVAILABLE"}
    assert run("close", "hall") == 1
    assert capsys.readouterr().err == (
        "tieline close: no answer: http://api/v1/: it answers 503: presence is away;"
        " the API runs: do presence and NATS?\n"
    )


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


def told(*events: tuple[str, dict[str, object]]) -> bytes:
    """Write these as the API does."""
    common = {"id": "e", "subject": "s", "time": "2026-03-01T12:00:09.250Z"}
    bodies = [{**common, "type": f"tieline.{kind}", "data": data} for kind, data in events]
    return b"".join(server_sent.event(at, json.dumps(body).encode()) for at, body in enumerate(bodies, 1))


def test_what_happens_is_a_line_each(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    api.stream = [server_sent.opening(0) + server_sent.gap(2) + told(*EVENTS)]
    api.answer, api.status = {"title": "No", "status": 403, "detail": "no", "reason": "SCOPE_MISSING"}, 403
    assert run("tail", "--user", "alice", "--room", "hall") == 1
    said = capsys.readouterr()
    assert [line.split(" ", 1)[1] for line in said.out.splitlines()] == [
        "member.joined    alice  in hall",
        "call.offered     alice -> bob  (c1)",
        "call.ended       alice -> bob  hangup  by bob  after 7.2 s  (c1)",
        "later.kind",
    ]
    assert "2 events are gone" in said.err
    assert "give the key of" in said.err
    assert api.asked == ["GET /v1/events"] * 2


def test_events_are_lines_of_json_for_programs(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    api.stream = [told(*EVENTS[:2])]
    api.answer, api.status = {"title": "No", "status": 501, "detail": "none", "reason": "NO_EVENTS"}, 501
    assert run("tail", "--json") == 1
    said = capsys.readouterr()
    lines = [json.loads(line) for line in said.out.splitlines()]
    assert [(line["type"], line["data"]) for line in lines] == [
        (f"tieline.{kind}", data) for kind, data in EVENTS[:2]
    ]
    assert "NO_EVENTS" in said.err


@pytest.mark.parametrize(("kind", "colour"), [("call.refused", "31"), ("member.joined", "32")])
def test_on_a_terminal_kinds_have_colours(kind: str, colour: str) -> None:
    event = Event(id="e", type=f"tieline.{kind}", subject="s", time="soon", data=EventData(user="\x1b[2J"))
    assert line(event, is_coloured=True).startswith(f"soon \x1b[{colour}m{kind}")
    assert "\x1b" not in line(event, is_coloured=False)


def test_a_room_that_is_still_being_closed_is_said_to_be(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    api.answer, api.status = {"affected": 300, "left": 700}, 202
    assert run("close", "hall") == 0
    told = capsys.readouterr().out
    assert told == "300 of hall are out, 700 are left, who are being put out: nobody comes in\n"
