"""`tieline top`: what several gateways say, added up."""

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gateway.admission.handshake import denied
from tieline.cli.__main__ import main
from tieline.cli.top import LONGEST_BYTES
from tieline.wire.codes import HandshakeError

ANN = {"name": "ann", "messages": 3, "bytes": 2048, "cpuSeconds": 0.5}
BEN = {"name": "ben", "messages": 9, "bytes": 1024, "cpuSeconds": 0.75}
HALL = {"name": "hall", "messages": 12, "bytes": 3072, "cpuSeconds": 1.25}


@contextmanager
def gateway(body: bytes, status: int = 200) -> Iterator[str]:
    """An ops port that answers everything alike; gives its URL."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the library's name
            self.send_response(status if self.path == "/heaviest" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_words: object) -> None:
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def says(users: list[dict[str, object]], rooms: list[dict[str, object]]) -> bytes:
    """What a gateway says at /heaviest."""
    return json.dumps({"seconds": 60, "users": users, "rooms": rooms}).encode()


def test_what_gateways_say_is_added_up(capsys: pytest.CaptureFixture[str]) -> None:
    with gateway(says([BEN, ANN], [HALL])) as one, gateway(says([ANN], [])) as other:
        assert main(["top", one, other, "--once", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["users"] == [
        {"name": "ann", "messages": 6, "bytes": 4096, "cpuSeconds": 1.0},
        BEN,
    ]
    assert shown["rooms"] == [HALL]


def test_it_is_shown_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    with gateway(says([BEN, ANN], [HALL])) as one:
        assert main(["top", one, "--once", "--count", "1"]) == 0
    assert capsys.readouterr().out.split("\n") == [
        "the last 60 s; CPU is that of everything asked for, signals are WEBRTC messages",
        "",
        "   signals        KiB    CPU s  user",
        "         9          1    0.750  ben",
        "",
        "   signals        KiB    CPU s  room",
        "        12          3    1.250  hall",
        "",
    ]


@pytest.mark.parametrize(("body", "status"), [(b"nothing", 200), (b"not here", 404)])
def test_what_does_not_answer_is_named(body: bytes, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    with gateway(body, status) as broken, gateway(says([ANN], [])) as sound:
        assert main(["top", broken, sound, "--once"]) == 1
    told = capsys.readouterr()
    assert "ann" in told.out
    assert told.err.startswith(f"tieline top: {broken}: ")


@pytest.mark.parametrize(
    "body",
    [
        says([{**ANN, "name": "ann\x1b[2J"}], []),
        says([], [{**HALL, "name": ""}]),
        says([{**ANN, "messages": 1e300}], []),
        says([{**ANN, "cpuSeconds": -1}], []),
        says([], []).replace(b"60", b"1" * 400),
        b'{"seconds":60,"users":[],"rooms":[],"more":' + b"[" * 60_000,
        says([ANN], []).ljust(LONGEST_BYTES + 1),
    ],
)
def test_what_no_gateway_says_is_not_shown(body: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    with gateway(body) as broken, gateway(says([BEN], [])) as sound:
        assert main(["top", broken, sound, "--once", "--json"]) == 1
    told = capsys.readouterr()
    assert json.loads(told.out)["users"] == [BEN]
    assert told.err.startswith(f"tieline top: {broken}: ")
    assert "\x1b" not in told.err
    assert told.err.count("\n") == 1


def test_what_is_away_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with gateway(b"") as away:
        pass
    assert main(["top", away.removeprefix("http://"), "--once"]) == 1
    told = capsys.readouterr()
    assert told.err == f"tieline top: {away.removeprefix('http://')}: Connection refused\n"
    assert told.out == "no gateway has answered\n"


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        (b"there are /metrics, /healthz and /readyz\n", "only gateways have /heaviest, on their ops ports"),
        (denied(HandshakeError.NOT_FOUND).body, "this is the port for clients: name the gateway's ops port"),
    ],
)
def test_a_port_of_another_kind_is_named_as_that(
    body: bytes, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with gateway(body, 404) as other:
        assert main(["top", other, "--once"]) == 1
    assert f"status 404; {hint}" in capsys.readouterr().err


def test_that_nobody_is_there_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with gateway(says([], [])) as one:
        assert main(["top", one, "--once"]) == 0
    assert capsys.readouterr().out == "nobody has asked for anything in the last 60 s\n"


def test_whole_numbers_are_printed_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    part = {"name": "ann", "messages": 1.5, "bytes": 512.0, "cpuSeconds": 0.25}
    with gateway(says([part], [])) as one, gateway(says([part], [])) as other:
        assert main(["top", one, other, "--once", "--json"]) == 0
    assert '"messages":3,"bytes":1024,' in capsys.readouterr().out


@pytest.mark.parametrize("url", ["http://h:x", "http://[h", "http://h:99999"])
def test_what_is_no_url_is_named(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["top", url, "--once"]) == 1
    assert capsys.readouterr().err.startswith(f"tieline top: {url}: ")
