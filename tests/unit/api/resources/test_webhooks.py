"""Webhooks over HTTP."""

import pytest

from api.resources.webhooks import webhook_routes
from tests.support.api import READING_KEY, WITH_KEY, client_of
from tieline.webhook_bucket import NOTHING, Conflict, Record, Unavailable
from tieline.wire import webhooks
from tieline.wire.webhooks import Endpoint, EndpointId

SECRET = "a secret of thirty-two bytes and more"
URL = "https://backend.example/hooks"
GOOD = {"url": URL, "secrets": [SECRET]}


class FakeBucket:
    """The bucket of webhooks in memory."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.conflicts = 0
        self.is_away = False

    async def read(self, *patterns: str) -> dict[str, Record]:
        assert patterns == ("endpoint.*",)
        self._look()
        return dict(self.records)

    async def read_one(self, key: str) -> Record:
        self._look()
        return self.records.get(key, NOTHING)

    async def write(self, key: str, value: bytes, revision: int) -> int:
        self._look()
        if self.conflicts or self.records.get(key, NOTHING).revision != revision:
            self.conflicts -= 1
            raise Conflict
        self.records[key] = Record(value, revision + 1)
        return revision + 1

    async def remove(self, key: str, revision: int) -> None:
        await self.write(key, b"", revision)

    def _look(self) -> None:
        if self.is_away:
            raise Unavailable


def endpoint_in(bucket: FakeBucket, name: str = "orders") -> Endpoint | None:
    return webhooks.read_endpoint(bucket.records[f"endpoint.{name}"].value)


async def test_a_webhook_is_made_changed_listed_and_removed() -> None:
    bucket = FakeBucket()
    async with client_of(webhook_routes(bucket, may_be_private=False)) as client:
        made = await client.put("/v1/webhooks/orders", json=GOOD, headers=WITH_KEY)
        assert made.status_code == 200
        shown = {"webhook": "orders", "url": URL, "events": [], "paused": False}
        assert made.json() == shown
        again = {**GOOD, "secrets": ["new " + SECRET, SECRET], "events": ["call.*"], "paused": True}
        assert (await client.put("/v1/webhooks/orders", json=again, headers=WITH_KEY)).status_code == 200
        listed = await client.get("/v1/webhooks", headers=WITH_KEY)
        assert listed.json() == {"webhooks": [{**shown, "events": ["call.*"], "paused": True}]}
        assert SECRET not in listed.text
        assert endpoint_in(bucket) == Endpoint(
            EndpointId("orders"), URL, ("new " + SECRET, SECRET), ("call.*",), is_paused=True
        )
        for _ in range(2):
            gone = await client.delete("/v1/webhooks/orders", headers=WITH_KEY)
            assert gone.status_code == 204
        assert (await client.get("/v1/webhooks", headers=WITH_KEY)).json() == {"webhooks": []}


async def test_the_same_again_writes_nothing() -> None:
    bucket = FakeBucket()
    async with client_of(webhook_routes(bucket, may_be_private=False)) as client:
        for _ in range(2):
            await client.put("/v1/webhooks/orders", json=GOOD, headers=WITH_KEY)
    assert bucket.records["endpoint.orders"].revision == 1


@pytest.mark.parametrize(
    ("name", "wrong", "field"),
    [
        ("orders", {"url": "http://backend.example"}, "url"),
        ("orders", {"url": "nonsense"}, "url"),
        ("orders", {"events": ["call.began"]}, "events"),
        ("orders", {"secrets": [SECRET, "whsec_" + SECRET]}, "secrets"),
        ("settings", {}, "webhook"),
    ],
)
async def test_what_cannot_be_is_refused(name: str, wrong: dict[str, object], field: str) -> None:
    bucket = FakeBucket()
    async with client_of(webhook_routes(bucket, may_be_private=False)) as client:
        answer = await client.put(f"/v1/webhooks/{name}", json={**GOOD, **wrong}, headers=WITH_KEY)
    assert answer.status_code == 400
    assert answer.json()["reason"] == "BAD_WEBHOOK"
    assert answer.json()["errors"][0]["field"] == field
    assert bucket.records == {}


@pytest.mark.parametrize("secrets", [[], ["short"], [SECRET, SECRET, SECRET]])
async def test_one_secret_or_two_are_wanted_and_none_to_guess(secrets: list[str]) -> None:
    async with client_of(webhook_routes(FakeBucket(), may_be_private=False)) as client:
        answer = await client.put("/v1/webhooks/o", json={**GOOD, "secrets": secrets}, headers=WITH_KEY)
    assert answer.status_code == 400


async def test_in_a_private_network_http_will_do() -> None:
    async with client_of(webhook_routes(FakeBucket(), may_be_private=True)) as client:
        answer = await client.put("/v1/webhooks/o", json={**GOOD, "url": "http://b:1"}, headers=WITH_KEY)
    assert answer.status_code == 200


async def test_a_change_that_was_overtaken_is_made_again() -> None:
    bucket = FakeBucket()
    bucket.conflicts = 2
    async with client_of(webhook_routes(bucket, may_be_private=False)) as client:
        assert (await client.put("/v1/webhooks/o", json=GOOD, headers=WITH_KEY)).status_code == 200
        bucket.conflicts = 99
        assert (await client.delete("/v1/webhooks/o", headers=WITH_KEY)).status_code == 503


async def test_without_the_bucket_it_says_so() -> None:
    bucket = FakeBucket()
    bucket.is_away = True
    async with client_of(webhook_routes(bucket, may_be_private=False)) as client:
        for answer in (
            await client.get("/v1/webhooks", headers=WITH_KEY),
            await client.put("/v1/webhooks/o", json=GOOD, headers=WITH_KEY),
            await client.delete("/v1/webhooks/o", headers=WITH_KEY),
        ):
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "1"


async def test_a_key_for_other_things_may_not() -> None:
    key = {"Authorization": f"Bearer {READING_KEY}"}
    async with client_of(webhook_routes(FakeBucket(), may_be_private=False)) as client:
        assert (await client.get("/v1/webhooks", headers=key)).status_code == 403
        assert (await client.put("/v1/webhooks/o", json=GOOD, headers=key)).status_code == 403
