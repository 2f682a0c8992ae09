"""The demo's files and tokens, and that no gateway serves them unless it is told to."""

import json
import logging
import time
from urllib.parse import urlencode

import pytest
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from gateway.admission.handshake import PATH
from gateway.client.connection import Connection
from gateway.client.turns import Turns
from gateway.client.waiting import Waiting
from gateway.demo import FILES, LOST, SOCKET_PATH, TOKEN_TTL_S, WEB, Pages
from tests.unit.gateway.client.clock import Clock
from tests.unit.gateway.client.harness import ANYBODY
from tests.unit.gateway.client.host import FakeHost
from tests.unit.gateway.client.transport import Socket
from tieline.verification.tokens import Tokens

SECRET = "a secret that is long enough for HMAC-SHA256"


@pytest.fixture(scope="module")
def pages() -> Pages:
    return Pages(SECRET)


def ask(pages: Pages, path: str, **headers: str) -> Response | None:
    return pages.answer(Request(path, Headers({"Host": "localhost:8080", **headers})))


def ask_token(pages: Pages, **query: str) -> Response:
    response = ask(pages, f"/token?{urlencode(query)}")
    assert response is not None
    return response


@pytest.mark.parametrize("path", FILES)
def test_its_files_are_served_as_they_are(path: str, pages: Pages) -> None:
    response = ask(pages, f"{path}?user=ann&room=demo")
    assert response is not None
    file, kind = FILES[path]
    assert response.status_code == 200
    assert response.body == (WEB / file).read_bytes()
    assert response.headers["Content-Type"] == f"{kind}; charset=utf-8"
    assert response.headers["Content-Length"] == str(len(response.body))


def test_every_file_of_the_demo_is_served() -> None:
    served = {file for file, _ in FILES.values()} | set(LOST.values())
    assert {f"demo/{path.name}" for path in (WEB / "demo").iterdir()} <= served


@pytest.mark.parametrize(
    "path",
    ["/ws", "/ws?token=x", "/demo/index.html", "/../pyproject.toml", "//", "http://[x"],
)
def test_other_paths_are_not_its_business(path: str, pages: Pages) -> None:
    assert ask(pages, path) is None
    assert ask(pages, path, Accept="application/json") is None


@pytest.mark.parametrize("path", ["/nothing", "/demo/index.html", "//", "/nothing/favicon.ico?a=b"])
@pytest.mark.parametrize(
    ("wanted", "file"),
    [("", "en"), ("fr, zh;q=0.5", "en"), ("zh-CN,zh;q=0.9,en;q=0.8", "zh"), ("ZH", "zh")],
)
def test_a_person_who_is_lost_gets_a_page(pages: Pages, path: str, wanted: str, file: str) -> None:
    headers = {"Accept": "text/html,*/*;q=0.8", **({"Accept-Language": wanted} if wanted else {})}
    response = ask(pages, path, **headers)
    assert response is not None
    assert response.status_code == 404
    assert response.body == (WEB / LOST[file]).read_bytes()
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"


def test_under_the_path_of_the_socket_the_gateway_answers(pages: Pages) -> None:
    assert SOCKET_PATH == PATH
    assert ask(pages, SOCKET_PATH, Accept="text/html") is None


def test_neither_is_an_upgrade(pages: Pages) -> None:
    assert ask(pages, "/", Upgrade="websocket") is None


def test_a_page_may_load_nothing_from_elsewhere(pages: Pages) -> None:
    response = ask(pages, "/")
    assert response is not None
    assert "default-src 'self'" in response.headers["Content-Security-Policy"]


def test_its_tokens_admit_the_user_asked_for_to_the_room_asked_for(pages: Pages) -> None:
    response = ask_token(pages, user="晓 &", room="tea/1")
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"
    assert response.body is not None
    content = json.loads(response.body)
    claims = Tokens(SECRET).verify(content["token"], time.time())
    assert (claims.sub, claims.rooms, claims.voice) == ("晓 &", ("tea/1",), True)
    assert content["expiresAt"] == claims.exp * 1000 <= (time.time() + TOKEN_TTL_S) * 1000


@pytest.mark.parametrize(
    ("host", "is_own"),
    [
        ("localhost", True),
        ("localhost:8080", True),
        ("LocalHost:1", True),
        ("demo.localhost", True),
        ("127.0.0.1:8080", True),
        ("192.168.1.7", True),
        ("[::1]:8080", True),
        ("demo.example:8080", True),
        ("Demo.Example", True),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("demo.example.evil.example", False),
        ("evil.example#localhost", False),
        ("evil.example/localhost", False),
        ("notlocalhost", False),
        ("[::1", False),
        ("", False),
    ],
)
def test_tokens_are_given_under_names_of_its_own_alone(host: str, is_own: bool) -> None:
    own = Pages(SECRET, frozenset(("demo.example",)))
    response = own.answer(Request("/token?user=ann&room=demo", Headers({"Host": host})))
    assert response is not None
    assert response.status_code == (200 if is_own else 421)
    assert (b"token" in (response.body or b"")) is True
    assert (b"ey" in (response.body or b"")) is is_own


def test_tokens_are_given_only_to_who_names_one_host() -> None:
    anywhere = Pages(SECRET, None)
    for hosts, status in ([], 421), (["a.example"], 200), (["localhost", "localhost"], 421):
        request = Request("/token?user=ann&room=demo", Headers([("Host", host) for host in hosts]))
        response = anywhere.answer(request)
        assert response is not None
        assert response.status_code == status


def test_each_token_that_is_given_is_said(pages: Pages, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    request = Request("/token?user=ann&room=demo", Headers({"Host": "localhost"}))
    for _ in range(2):
        pages.answer(request, "203.0.113.7")
    assert [record.message for record in caplog.records] == ["demo token given"] * 2
    said = vars(caplog.records[0])
    assert (said["user"], said["room"], said["address"]) == ("ann", "demo", "203.0.113.7")


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"user": "ann"},
        {"room": "demo"},
        {"user": "", "room": "demo"},
        {"user": "a" * 129, "room": "demo"},
        {"user": "ann", "room": "\n"},
    ],
    ids=str,
)
def test_a_token_is_for_a_user_and_a_room(query: dict[str, str], pages: Pages) -> None:
    response = ask_token(pages, **query)
    assert response.status_code == 400
    assert response.body is not None
    assert json.loads(response.body)["reason"] == "MALFORMED"


class Browser:
    """A connection of a gateway that may serve the demo."""

    def __init__(self, pages: Pages | None) -> None:
        self.socket = Socket()
        self.requests: list[str] = []
        """The paths of the requests that were left to the gateway."""
        self._clock = Clock()
        loop = self._clock.loop
        turns, waiting = Turns(loop, self._clock.time), Waiting(1 << 30)
        connection = Connection(
            loop, ANYBODY, FakeHost(), self._on_request, lambda _: None, turns, waiting, pages
        )
        connection.connection_made(self.socket)
        self._connection = connection

    def _on_request(self, _connection: Connection, request: Request, _response: Response) -> None:
        self.requests.append(request.path)

    def get(self, path: str) -> bytes:
        request = f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode()
        self._connection.get_buffer(-1)[: len(request)] = request
        self._connection.buffer_updated(len(request))
        self._clock.settle()
        return self.socket.taken()


def test_a_connection_answers_with_a_page_and_closes(pages: Pages) -> None:
    browser = Browser(pages)
    head, _, body = browser.get("/").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert body == (WEB / "demo/index.html").read_bytes()
    assert browser.socket.is_closing()
    assert browser.requests == []


def test_a_connection_leaves_all_other_requests_to_the_gateway(pages: Pages) -> None:
    browser = Browser(pages)
    assert browser.get("/ws") == b""
    assert browser.requests == ["/ws"]


@pytest.mark.parametrize("path", ["/", "/token?user=ann&room=demo"])
def test_without_the_demo_there_are_neither_pages_nor_tokens(path: str) -> None:
    browser = Browser(None)
    assert browser.get(path) == b""
    assert browser.requests == [path]
