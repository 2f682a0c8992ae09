"""Plain requests, read and answered past the library: exactly as the library reads and answers them."""

import pytest
from websockets.datastructures import Headers
from websockets.http11 import Request
from websockets.server import ServerProtocol

from gateway.admission.handshake import select_subprotocol
from gateway.client.plain_request import MOST_LINES, answer_plain, read_plain
from tieline.runtime.request_head import HEAD_BYTES, bound_head

KEY = "dGhlIHNhbXBsZSBub25jZQ=="

FIELDS = {
    "Host": "gateway.example:8080",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}


def request(path: str = "/ws?acks=1", more: str = "", **changed: str) -> bytes:
    """An upgrade request, in which some fields have other values, or stand twice."""
    fields = FIELDS | {name.replace("_", "-"): value for name, value in changed.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"GET {path} HTTP/1.1\r\n{lines}{more}\r\n".encode("iso-8859-1")


def library() -> ServerProtocol:
    """The library's protocol, bounded as a gateway's is."""
    protocol = ServerProtocol(select_subprotocol=select_subprotocol)
    bound_head(protocol)
    return protocol


def read_by_library(data: bytes) -> Request | None:
    """What the library reads; None: it is no request, or not all of one, or more than one."""
    protocol = library()
    protocol.receive_data(data)
    match protocol.events_received():
        case [Request() as read] if not protocol.close_expected() and not protocol.reader.buffer:
            return read
        case _:
            return None


def same(one: Request, other: Request) -> bool:
    """Whether two requests say the same, in the same order."""
    ours, theirs = (list(each.headers.raw_items()) for each in (one, other))
    return (one.path, one.method, one.protocol, ours) == (other.path, other.method, other.protocol, theirs)


PLAIN = [
    request(),
    request(Connection="keep-alive, Upgrade"),
    request(Connection="UPGRADE", Upgrade="WebSocket"),
    request(more="Origin: https://app.example\r\n"),
    request(more="Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"),
    request(more="Sec-WebSocket-Protocol: tieline.v1, bearer.a-b_c.d.e\r\n"),
    request(more="Sec-WebSocket-Protocol: chat\r\n"),
    request(more="Cookie: a=1\r\nCookie: b=2\r\n"),
    request(more="X-Odd:  \t spaces around \t \r\nX-None:\r\nX-Latin: \xe9\xff\r\n"),
    request(more="X-Forwarded-For: 10.0.0.1, 10.0.0.2\r\n"),
    request("/ws?token=" + "x" * 16_384),
]


@pytest.mark.parametrize("data", PLAIN, ids=range(len(PLAIN)))
def test_a_plain_request_is_read_as_the_library_reads_it(data: bytes) -> None:
    read, by_library = read_plain(data), read_by_library(data)

    assert read is not None
    assert by_library is not None
    assert same(read, by_library)


@pytest.mark.parametrize("data", PLAIN, ids=range(len(PLAIN)))
def test_a_plain_request_is_answered_as_the_library_answers_it(data: bytes) -> None:
    read = read_plain(data)
    assert read is not None
    answer = answer_plain(read)
    assert answer is not None

    response = library().accept(read)

    assert response.status_code == 101
    assert response.headers["Sec-WebSocket-Accept"] == answer.accept
    chosen = select_subprotocol(library(), list(answer.offered))
    assert response.headers.get("Sec-WebSocket-Protocol") == chosen


OTHERS = [
    b"",
    b"\r\n\r\n",
    request()[:-2],
    request()[:-1],
    request() + b"\x89\x80",
    request() + request(),
    request().replace(b"\r\n", b"\n"),
    request().replace(b"GET", b"POST"),
    request().replace(b"HTTP/1.1", b"HTTP/1.0"),
    request().replace(b"HTTP/1.1", b"HTTP/2"),
    request().replace(b"GET ", b"GET  "),
    request("/w s"),
    request("/w\xe9"),
    request("/w\x7f"),
    request(""),
    request(more="no colon\r\n"),
    request(more=": no name\r\n"),
    request(more="Two words: x\r\n"),
    request(more=" X: begins with a space\r\n"),
    request(more="X : ends with one\r\n"),
    request(more="X: \x00\r\n"),
    request(more="X: a\rb\r\n"),
    request(more="X: a\nY: b\r\n"),
    request(more="X\xe9: x\r\n"),
    request(more="X: folded\r\n over lines\r\n"),
    request(more="Transfer-Encoding: chunked\r\n"),
    request(more="content-length: 0\r\n"),
    request(more="Content-Length: 5\r\n"),
    request(more="X: x\r\n" * MOST_LINES),
    request(more=f"X: {'x' * HEAD_BYTES}\r\n"),
]


@pytest.mark.parametrize("data", OTHERS, ids=range(len(OTHERS)))
def test_what_is_not_plain_is_left_to_the_library(data: bytes) -> None:
    assert read_plain(data) is None


UNUSUAL = [
    {"Connection": "Upgrade, close"},
    {"Connection": "close"},
    {"Upgrade": "websocket, h2c"},
    {"Upgrade": "h2c"},
    {"Sec-WebSocket-Key": "short"},
    {"Sec-WebSocket-Key": f"{KEY[:-2]}AA"},
    {"Sec-WebSocket-Version": "8"},
    {"Sec-WebSocket-Protocol": "tieline.v1,bearer.x"},
    {"Sec-WebSocket-Protocol": "no token()"},
    {"Sec-WebSocket-Protocol": ""},
]


@pytest.mark.parametrize("changed", UNUSUAL, ids=range(len(UNUSUAL)))
def test_an_unusual_request_is_answered_by_the_library(changed: dict[str, str]) -> None:
    assert answer_plain(Request("/ws", Headers(FIELDS | changed))) is None


@pytest.mark.parametrize("name", [*FIELDS, "Origin", "Sec-WebSocket-Protocol"][1:])
def test_a_field_that_stands_twice_is_the_librarys_to_judge(name: str) -> None:
    headers = Headers(FIELDS)
    headers[name] = FIELDS.get(name, "chat")
    if name not in FIELDS:
        assert answer_plain(Request("/ws", headers)) is not None
        headers[name] = "chat"

    assert answer_plain(Request("/ws", headers)) is None


@pytest.mark.parametrize("name", list(FIELDS)[1:])
def test_a_field_that_is_not_there_is_the_librarys_to_judge(name: str) -> None:
    headers = Headers({field: value for field, value in FIELDS.items() if field != name})

    assert answer_plain(Request("/ws", headers)) is None


@pytest.mark.parametrize(("method", "protocol"), [("POST", "HTTP/1.1"), ("GET", "HTTP/1.0")])
def test_another_method_or_version_is_the_librarys_to_judge(method: str, protocol: str) -> None:
    assert answer_plain(Request("/ws", Headers(FIELDS), method, protocol)) is None
