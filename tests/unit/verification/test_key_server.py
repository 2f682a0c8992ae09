"""Fetching keys from a real web server, and keeping them when it fails."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest

from tests.unit.verification.issuer import EC, NOW, RSA, Issuer, key_set
from tests.unit.verification.key_site import KeySite, key_site
from tieline.cli.dev.ports import hold_ports
from tieline.verification import key_server
from tieline.verification.key_server import (
    LONGEST_BYTES,
    LONGEST_RETRY_S,
    MIN_INTERVAL_S,
    REFRESH_S,
    RETRY_S,
    KeyServer,
    fetch,
    is_safe,
    is_url,
    leads_to_the_same,
)
from tieline.verification.tokens import BadToken, Tokens

SET = key_set(RSA.jwk())

PATIENCE_S = 10


class Desk:
    """Tokens, and the key server that keeps their keys."""

    def __init__(
        self, site: KeySite, tasks: asyncio.TaskGroup, min_interval_s: float, retry_s: float, jitter: float
    ) -> None:
        self.tokens = Tokens(fetches=True)
        self.server = KeyServer(site.url, self.tokens, tasks, min_interval_s, retry_s, lambda: jitter)

    def knows(self, issuer: Issuer) -> bool:
        try:
            self.tokens.verify(issuer.token(), NOW)
        except BadToken:
            return False
        return True


@asynccontextmanager
async def open_desk(
    site: KeySite, min_interval_s: float = MIN_INTERVAL_S, retry_s: float = 0, jitter: float = 0
) -> AsyncIterator[Desk]:
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
        yield Desk(site, tasks, min_interval_s, retry_s, jitter)


async def test_keys_are_fetched_at_once_and_kept() -> None:
    async with key_site(SET) as site, open_desk(site) as desk:
        keeping = asyncio.ensure_future(desk.server.keep())
        await desk.server.good.wait()
        assert desk.knows(RSA)
        keeping.cancel()


async def test_an_unknown_key_is_asked_for_once_and_not_again_at_once() -> None:
    async with key_site(SET) as site, open_desk(site) as desk:
        assert await desk.server.refresh() is True
        assert desk.knows(RSA)
        site.document = key_set(EC.jwk())
        assert await desk.server.refresh() is True
        assert site.asked == 1
        assert not desk.knows(EC)


async def test_headers_that_go_on_and_on_are_too_late_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    is_over = asyncio.Event()

    async def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nX: ")
        await is_over.wait()
        writer.close()

    monkeypatch.setattr(key_server, "time", SimpleNamespace(monotonic=itertools.count(0.0, 2.0).__next__))
    async with asyncio.timeout(PATIENCE_S), await asyncio.start_server(begin, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(TimeoutError, match="not here within 3 s"):
            await asyncio.to_thread(fetch, f"http://127.0.0.1:{port}/keys")
        is_over.set()


async def test_a_server_that_fails_is_not_asked_again_at_once_either() -> None:
    async with key_site(SET) as site, open_desk(site) as desk:
        site.status = "500 Internal Server Error"
        assert [await desk.server.refresh() for _ in range(20)] == [False] * 20
        assert site.asked == 1


async def test_many_who_ask_at_once_wait_for_one_fetch() -> None:
    async with key_site(SET) as site, open_desk(site) as desk:
        site.may_answer.clear()
        waiting = [asyncio.ensure_future(desk.server.refresh()) for _ in range(20)]
        await site.was_asked.wait()
        site.may_answer.set()
        assert await asyncio.gather(*waiting) == [True] * 20
        assert site.asked == 1


async def test_a_waiter_that_gives_up_leaves_the_fetch_to_the_others() -> None:
    async with key_site(SET) as site, open_desk(site) as desk:
        site.may_answer.clear()
        impatient, patient = (asyncio.ensure_future(desk.server.refresh()) for _ in range(2))
        await site.was_asked.wait()
        impatient.cancel()
        site.may_answer.set()
        assert await patient is True
        assert desk.knows(RSA)


@pytest.mark.parametrize(
    ("status", "document"),
    [
        ("500 Internal Server Error", SET),
        ("404 Not Found", b""),
        ("200 OK", b"<html>"),
        ("200 OK", key_set()),
        ("200 OK", b" " * (LONGEST_BYTES + 1)),
        ("rubbish", b""),
    ],
)
async def test_a_failure_keeps_the_older_keys_and_is_said(status: str, document: bytes) -> None:
    async with key_site(SET) as site, open_desk(site, min_interval_s=0) as desk:
        assert await desk.server.refresh() is True
        site.status, site.document = status, document
        assert await desk.server.refresh() is False
        assert desk.knows(RSA)
        site.status, site.document = "200 OK", key_set(EC.jwk())
        assert await desk.server.refresh() is True
        assert (desk.knows(RSA), desk.knows(EC)) == (False, True)


async def test_a_server_that_is_away_is_a_failure_until_it_is_back() -> None:
    with hold_ports(1, "127.0.0.1") as (port,):
        async with key_site(SET, port) as site:
            pass
        async with open_desk(site, min_interval_s=0) as desk:
            assert await desk.server.refresh() is False
            assert not desk.server.good.is_set()
            async with key_site(SET, port):
                assert await desk.server.refresh() is True
            assert desk.server.good.is_set()


@pytest.mark.parametrize(
    ("url", "usable"),
    [
        ("https://issuer.example/keys", True),
        ("http://127.0.0.1:8/keys", True),
        ("file:///etc/passwd", False),
        ("ftp://issuer.example/keys", False),
        ("issuer.example/keys", False),
        ("https:///keys", False),
        ("https://[issuer/keys", False),
        ("https://issuer.example:port/keys", False),
        ("", False),
    ],
)
def test_keys_are_fetched_over_http_alone(url: str, usable: bool) -> None:
    assert is_url(url) is usable


async def test_the_server_hears_who_asks_and_what_for() -> None:
    async with key_site(SET) as site, open_desk(site) as desk:
        assert await desk.server.refresh() is True
    lines = [line.lower() for line in site.heads[0].splitlines()]
    assert any(line.startswith("user-agent: tieline/") for line in lines)
    assert not any("python" in line for line in lines)
    assert "accept: application/jwk-set+json, application/json" in lines


async def test_a_server_that_fails_for_long_is_asked_more_and_more_rarely() -> None:
    async with key_site(SET) as site, open_desk(site, 0, RETRY_S) as desk:
        site.status = "500 Internal Server Error"
        pauses = []
        for _ in range(6):
            await desk.server.fetch()
            pauses.append(desk.server.pause_s)
        assert pauses == [RETRY_S, 2 * RETRY_S, 4 * RETRY_S, 8 * RETRY_S, LONGEST_RETRY_S, LONGEST_RETRY_S]
        assert await desk.server.refresh() is False  # an unknown key makes it no sooner
        assert site.asked == 6
        site.status = "200 OK"
        await desk.server.fetch()
        assert desk.server.pause_s == REFRESH_S
        assert await desk.server.refresh() is True
        assert site.asked == 8


async def test_gateways_that_failed_together_do_not_ask_again_together() -> None:
    async with key_site(SET) as site, open_desk(site, 0, RETRY_S, jitter=1) as desk:
        site.status = "500 Internal Server Error"
        await desk.server.fetch()
        assert desk.server.pause_s == RETRY_S / 2


async def test_a_redirect_is_followed_on_the_same_host_alone() -> None:
    async with key_site(SET) as site, key_site(key_set(EC.jwk())) as other, open_desk(site, 0) as desk:
        site.location = "/moved"
        assert await desk.server.refresh() is True
        assert (desk.knows(RSA), site.asked) == (True, 2)
        for elsewhere in (
            other.url,
            f"http://localhost:{site.port}/moved",
            "file:///etc/passwd",
            "http://[x",
        ):
            site.location = elsewhere
            assert await desk.server.refresh() is False
        assert (desk.knows(RSA), desk.knows(EC), other.asked) == (True, False, 0)


@pytest.mark.parametrize(
    ("url", "target", "is_the_same"),
    [
        ("https://a.example/k", "https://a.example/other", True),
        ("https://a.example/k", "https://A.example:443/k", True),
        ("http://a.example/k", "https://a.example/k", True),
        ("http://a.example:8080/k", "https://a.example:8443/k", True),
        ("https://a.example/k", "http://a.example/k", False),
        ("https://a.example/k", "https://a.example:8443/k", False),
        ("https://a.example/k", "https://b.example/k", False),
        ("https://a.example/k", "https://a.example.b.example/k", False),
        ("https://a.example/k", "https://a.example@b.example/k", False),
        ("https://a.example/k", "ftp://a.example/k", False),
    ],
)
def test_a_redirect_leads_to_the_same_host_and_never_out_of_tls(
    url: str, target: str, is_the_same: bool
) -> None:
    assert leads_to_the_same(url, target) is is_the_same


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://issuer.example/keys", True),
        ("http://127.0.0.1:8/keys", True),
        ("http://127.9.9.9/keys", True),
        ("http://[::1]:8/keys", True),
        ("http://localhost/keys", True),
        ("http://keys.localhost/keys", True),
        ("http://issuer.example/keys", False),
        ("http://127.0.0.1.example/keys", False),
        ("http://localhost.example/keys", False),
        ("http://10.0.0.1/keys", False),
        ("http://[::2]/keys", False),
    ],
)
def test_without_tls_keys_are_safe_on_this_machine_alone(url: str, safe: bool) -> None:
    assert is_safe(url) is safe
