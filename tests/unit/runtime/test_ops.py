import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.server import Server

from tests.support.metrics import value_of
from tieline import metrics
from tieline.cli.dev.ports import hold_ports
from tieline.runtime.logs import JsonLines
from tieline.runtime.metrics import READY
from tieline.runtime.ops import MOST_AT_ONCE, Ready, bound_port, serve_ops
from tieline.runtime.request_head import HEAD_BYTES
from tieline.runtime.settings import SettingsError

HOST = "127.0.0.1"
PATIENCE_S = 20


class Process:
    """What a process would tell about itself."""

    def __init__(self) -> None:
        self.problem = ""

    def why_not_ready(self) -> str:
        return self.problem


class Answer:
    """An HTTP answer, read to the end of its connection."""

    def __init__(self, raw: bytes) -> None:
        head, _, self.body = raw.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        self.status = int(status.split()[1])
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


async def talk(server: Server, request: bytes) -> Answer:
    async with asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection(HOST, bound_port(server))
        try:
            writer.write(request)
            return Answer(await reader.read())
        finally:
            writer.close()
            await writer.wait_closed()


async def get(server: Server, path: str) -> Answer:
    return await talk(server, f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())


async def test_a_process_may_have_pages_of_its_own(process: Process) -> None:
    async def page() -> bytes:
        return b'{"found":1}'

    pages: dict[str, Callable[[], Awaitable[bytes]]] = {}
    async with await serve_ops(HOST, 0, process.why_not_ready, pages) as server:
        assert (await get(server, "/found")).status == 404
        pages["/found"] = page
        answer = await get(server, "/found?in=vain")
        assert (await get(server, "/lost")).body == b"there are /metrics, /healthz, /readyz and /found\n"
    assert (answer.status, json.loads(answer.body)) == (200, {"found": 1})
    assert answer.headers["content-type"].startswith("application/json")


@pytest.fixture
def process() -> Process:
    return Process()


@pytest.fixture
async def ops(process: Process) -> AsyncIterator[Server]:
    async with await serve_ops(HOST, 0, process.why_not_ready) as server:
        yield server


async def test_the_metrics_are_what_prometheus_reads(ops: Server) -> None:
    metrics.SIGNALS.labels("PING", "ok").inc()

    answer = await get(ops, "/metrics")

    assert answer.status == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = {family.name: family for family in text_string_to_metric_families(answer.body.decode())}
    assert all(name.startswith("tieline_") for name in families)
    (sample,) = (
        sample
        for sample in families["tieline_signals"].samples
        if sample.name == "tieline_signals_total" and sample.labels == {"cmd": "PING", "outcome": "ok"}
    )
    assert sample.value >= 1


async def test_metrics_are_rendered_once_a_second_however_many_ask(ops: Server) -> None:
    first, second = await get(ops, "/metrics"), await get(ops, "/metrics")

    assert first.headers["etag"] == second.headers["etag"] == '"1"'
    assert first.body == second.body


async def test_health_is_being_alive_whether_ready_or_not(ops: Server, process: Process) -> None:
    for problem in ("", "the broker is away"):
        process.problem = problem
        answer = await get(ops, "/healthz")
        assert (answer.status, answer.body) == (200, b"alive\n")


async def test_readiness_is_200_or_503_with_the_reason_as_of_now(ops: Server, process: Process) -> None:
    for problem, expected in (
        ("", (200, b"ready\n")),
        ("the broker is away", (503, b"the broker is away\n")),
        ("stopping", (503, b"stopping\n")),
        ("", (200, b"ready\n")),
    ):
        process.problem = problem
        answer = await get(ops, "/readyz")
        assert (answer.status, answer.body) == expected


@pytest.mark.parametrize(
    "path", ["/", "/metric", "/metrics/", "/healthz/x", "/favicon.ico", "/ws", "//readyz"]
)
async def test_another_path_is_404_and_says_which_there_are(ops: Server, path: str) -> None:
    answer = await get(ops, path)

    assert answer.status == 404
    assert b"/metrics, /healthz and /readyz" in answer.body


@pytest.mark.parametrize("path", ["/metrics?name[]=x", "/healthz?verbose", "/readyz?"])
async def test_a_query_does_not_matter(ops: Server, path: str) -> None:
    assert (await get(ops, path)).status == 200


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz", "/nothing"])
async def test_an_answer_says_how_long_it_is_and_ends_the_connection(ops: Server, path: str) -> None:
    answer = await get(ops, path)

    assert int(answer.headers["content-length"]) == len(answer.body)
    assert answer.headers["connection"] == "close"
    assert answer.headers["content-type"].startswith("text/plain")


async def test_a_websocket_is_not_given_here(ops: Server) -> None:
    for path, status in (("/healthz", 200), ("/ws", 404)):
        answer = await talk(
            ops,
            f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode(),
        )
        assert answer.status == status


async def test_many_at_once_are_answered(ops: Server) -> None:
    async with asyncio.TaskGroup() as asking:
        answers = [asking.create_task(get(ops, "/healthz")) for _ in range(50)]

    assert {answer.result().status for answer in answers} == {200}


async def test_connections_that_ask_for_nothing_make_room_for_those_that_do(ops: Server) -> None:
    silent = [await asyncio.open_connection(HOST, bound_port(ops)) for _ in range(MOST_AT_ONCE)]
    try:
        assert (await get(ops, "/healthz")).status == 200
        async with asyncio.timeout(PATIENCE_S):
            with contextlib.suppress(ConnectionResetError):
                assert await silent[0][0].read() == b""
        assert not silent[1][0].at_eof()
    finally:
        for _, writer in silent:
            writer.close()


async def test_a_request_without_an_end_is_cut_short(ops: Server) -> None:
    async with asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection(HOST, bound_port(ops))
        writer.write(b"GET /metrics HTTP/1.1\r\n" + b"X: " + b"y" * HEAD_BYTES)
        assert (await reader.read()).startswith(b"HTTP/1.1 431 ")
        writer.close()


@pytest.mark.parametrize("request_", [b"\x16\x03\x01\x02\x00\r\n\r\n", b"hello\r\n\r\n", b"GET /metrics"])
async def test_rubbish_harms_nobody(ops: Server, request_: bytes) -> None:
    await talk_rubbish(ops, request_)

    assert (await get(ops, "/healthz")).status == 200


async def test_a_readiness_that_fails_is_500_and_one_line_of_json(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail() -> str:
        raise LookupError("a bug of ours")

    async with await serve_ops(HOST, 0, fail) as server:
        assert (await get(server, "/readyz")).status == 500
        assert (await get(server, "/healthz")).status == 200

    (record,) = caplog.records
    line = json.loads(JsonLines("ops").format(record))
    assert line["level"] == "error"
    assert line["exception"].endswith("LookupError: a bug of ours")


async def talk_rubbish(server: Server, request: bytes) -> None:
    """Send what deserves no answer, and wait until the server hangs up."""
    async with asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection(HOST, bound_port(server))
        writer.write(request)
        writer.write_eof()
        await reader.read()
        writer.close()
        await writer.wait_closed()


async def test_a_port_that_is_taken_is_named_with_its_setting(ops: Server, process: Process) -> None:
    with pytest.raises(SettingsError, match=r"TIELINE_OPS_PORT.*address already in use"):
        await serve_ops(HOST, bound_port(ops), process.why_not_ready)


async def test_when_closed_its_port_is_free_again(process: Process) -> None:
    with hold_ports(1, HOST) as (port,):  # no other test is given it meanwhile
        first = await serve_ops(HOST, port, process.why_not_ready)
        first.close()
        await first.wait_closed()

        async with await serve_ops(HOST, port, process.why_not_ready) as second:
            assert bound_port(second) == port
            assert (await get(second, "/healthz")).status == 200


def test_readiness_is_a_metric_too() -> None:
    ready = Ready("starting", "the broker is away")
    shown = []
    for reason in ("starting", "the broker is away"):
        shown.append(value_of(READY))
        ready.clear(reason)
    shown.append(value_of(READY))
    ready.hold("draining")
    shown.append(value_of(READY))
    assert shown == [0, 0, 1, 0]
