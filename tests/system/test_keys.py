"""Tokens of public keys: given, or fetched from an issuer who changes them and is not always there."""

import time
from pathlib import Path

import pytest

from tests.support.frames import new_id
from tests.support.people import Person
from tests.support.raw_client import RawClient, Refused
from tests.support.system import System
from tests.support.waiting import until, until_true
from tests.system.conftest import NewGateway
from tests.unit.verification.issuer import EC, ED, RSA, Issuer, key_set
from tests.unit.verification.key_site import key_site

one = pytest.mark.parametrize("system", ["one"], indirect=True)


def good(issuer: Issuer, user: str | None = None) -> str:
    return issuer.token(user or new_id("user"), exp=int(time.time()) + 600)


async def status(port: int, token: str) -> int:
    """Ask to be let in; returns the HTTP status."""
    try:
        client = await RawClient.open(port, f"/ws?token={token}")
    except Refused as refused:
        return refused.answer.status
    await client.drop()
    return 101


async def connected(port: int, user: str) -> Person:
    """Connect with a token of the RSA key."""
    person = Person(user, await RawClient.open(port, f"/ws?token={good(RSA, user)}"), acks=False)
    await person.hear()
    return person


@one
async def test_a_public_key_admits_without_a_secret(new_gateway: NewGateway, tmp_path: Path) -> None:
    file = tmp_path / "issuer.pem"
    file.write_text(RSA.pem)
    for key, issuer, other in ((str(file), RSA, ED), (ED.pem, ED, EC), (EC.pem, EC, RSA)):
        port = new_gateway(JWT_SECRET="", JWT_SECRET_PREVIOUS="", JWT_PUBLIC_KEY=key).port
        assert await status(port, good(issuer)) == 101
        assert await status(port, good(other)) == 401
        assert await status(port, issuer.token(exp=time.time() - 1)) == 401


@one
async def test_an_issuer_may_change_its_keys_and_fail_for_a_while(system: System) -> None:
    async with key_site(key_set(RSA.jwk())) as site:
        own = {"JWT_SECRET": "", "JWT_SECRET_PREVIOUS": "", "JWKS_URL": site.url}
        with system.starting("gateway", **own) as gateway:
            await until(gateway.is_ready)  # not in one go: the keys come from here
            assert await status(gateway.port, good(RSA)) == 101
            site.document = key_set(RSA.jwk(), ED.jwk())

            async def answers(issuer: Issuer, expected: int) -> bool:
                return await status(gateway.port, good(issuer)) == expected

            # An unknown key is asked for once in ten seconds at the most.
            await until_true(lambda: answers(ED, 101))
            assert site.asked == 2
            alice = await connected(gateway.port, new_id("alice"))
            reply = await alice.asks("REFRESH_TOKEN", {"token": good(ED, alice.user)})
            await alice.connection.drop()
            assert reply["expiresAt"] > time.time() * 1000
            site.status = "503 Service Unavailable"
            await until_true(lambda: answers(EC, 503))
            assert site.asked == 3
            assert [await status(gateway.port, good(issuer)) for issuer in (RSA, ED)] == [101, 101]


@one
async def test_a_gateway_that_has_no_keys_yet_waits_for_them(system: System) -> None:
    async with key_site() as site:
        site.status = "503 Service Unavailable"
        settings = {"JWT_SECRET": "", "JWT_SECRET_PREVIOUS": "", "JWKS_URL": site.url}
        with system.starting("gateway", **settings) as gateway:
            await until(lambda: site.asked > 0)
            await until(lambda: gateway.get("/healthz")[0] == 200)
            assert gateway.get("/readyz")[0] == 503
            site.status, site.document = "200 OK", key_set(EC.jwk())
            await until(lambda: gateway.get("/readyz")[0] == 200)
            assert await status(gateway.port, good(EC)) == 101
            fetches = "tieline_key_fetches_total"
            assert system.count("gateway", fetches, outcome="failed") >= 1
            assert system.count("gateway", fetches, outcome="ok") >= 1


@one
async def test_an_issuer_that_cannot_be_asked_makes_no_token_bad(
    new_gateway: NewGateway,
) -> None:
    async with key_site() as site:
        site.status = "500 Internal Server Error"
        port = new_gateway(JWKS_URL=site.url).port  # it has a secret, too, so it is ready
        assert await status(port, good(RSA)) == 503
        site.status, site.document = "200 OK", key_set(RSA.jwk())

        async def is_let_in() -> bool:
            return await status(port, good(RSA)) == 101

        await until_true(is_let_in)  # it is not asked again at once
