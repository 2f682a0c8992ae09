"""Fetching keys from a real web server, and keeping them when it fails."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.admission.key_server import LONGEST_BYTES, MIN_INTERVAL_S, KeyServer, is_url
from gateway.admission.tokens import BadToken, Tokens
from tests.unit.gateway.admission.issuer import EC, NOW, RSA, Issuer, key_set
from tests.unit.gateway.admission.key_site import KeySite, key_site
from tieline.cli.dev.ports import hold_ports

SET = key_set(RSA.jwk())

PATIENCE_S = 10


class Desk:
    """Tokens, and the key server that keeps their keys."""

    def __init__(self, site: KeySite, tasks: asyncio.TaskGroup, min_interval_s: float) -> None:
        self.tokens = Tokens(fetches=True)
        self.server = KeyServer(site.url, self.tokens, tasks, min_interval_s)

    def knows(self, issuer: Issuer) -> bool:
        try:
            self.tokens.verify(issuer.token(), NOW)
        except BadToken:
            return False
        return True


@asynccontextmanager
async def open_desk(site: KeySite, min_interval_s: float = MIN_INTERVAL_S) -> AsyncIterator[Desk]:
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
        yield Desk(site, tasks, min_interval_s)


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
        ("", False),
    ],
)
def test_keys_are_fetched_over_http_alone(url: str, usable: bool) -> None:
    assert is_url(url) is usable
