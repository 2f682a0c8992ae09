"""Webhooks over HTTP."""

import pytest

from api.resources.webhooks import webhook_routes
from tests.support.api import READING_KEY, WITH_KEY, client_of
from tieline.event_stream import NoStream
from tieline.webhook_bucket import NOTHING, Conflict, Record, Unavailable
from tieline.wire import webhooks
from tieline.wire.webhooks import MOST_ENDPOINTS, Endpoint, EndpointId

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


def endpoint_in(bucket: FakeBucket, name: str = "orders") -> Endpoint:
    endpoint = webhooks.read_endpoint(bucket.records[f"endpoint.{name}"].value)
    assert endpoint is not None
    return endpoint


class Stream:
    """The stream of events, as far as it says where it is."""

    def __init__(self) -> None:
        self.last = 7
        self.problem: Exception | None = None

    async def place(self) -> int:
        if self.problem is not None:
            raise self.problem
        return self.last


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
        nonce = endpoint_in(bucket).made
        assert endpoint_in(bucket) == Endpoint(
            EndpointId("orders"), URL, ("new " + SECRET, SECRET), ("call.*",), is_paused=True, made=nonce
        )
        for _ in range(2):
            gone = await client.delete("/v1/webhooks/orders", headers=WITH_KEY)
            assert gone.status_code == 204
        assert (await client.get("/v1/webhooks", headers=WITH_KEY)).json() == {"webhooks": []}


async def test_a_webhook_begins_where_the_stream_is_when_it_is_made() -> None:
    bucket, stream = FakeBucket(), Stream()
    async with client_of(webhook_routes(bucket, may_be_private=False, place=stream.place)) as client:
        await client.put("/v1/webhooks/orders", json=GOOD, headers=WITH_KEY)
        first = endpoint_in(bucket)
        stream.last = 9
        await client.put("/v1/webhooks/orders", json={**GOOD, "paused": True}, headers=WITH_KEY)
        changed = endpoint_in(bucket)
        await client.delete("/v1/webhooks/orders", headers=WITH_KEY)
        await client.put("/v1/webhooks/orders", json=GOOD, headers=WITH_KEY)
        anew = endpoint_in(bucket)
    assert (first.since, changed.since, anew.since) == (7, 7, 9)
    assert first.made == changed.made != anew.made


async def test_without_a_stream_of_events_a_webhook_can_be_made() -> None:
    bucket, stream = FakeBucket(), Stream()
    stream.problem = NoStream()
    async with client_of(webhook_routes(bucket, may_be_private=False, place=stream.place)) as client:
        assert (await client.put("/v1/webhooks/orders", json=GOOD, headers=WITH_KEY)).status_code == 200
        assert endpoint_in(bucket).since == 0
        stream.problem = Unavailable()  # but who can not know where it is does not guess
        assert (await client.put("/v1/webhooks/other", json=GOOD, headers=WITH_KEY)).status_code == 503
        assert (await client.put("/v1/webhooks/orders", json=GOOD, headers=WITH_KEY)).status_code == 200


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


async def test_there_are_no_more_than_workers_can_serve() -> None:
    bucket = FakeBucket()
    async with client_of(webhook_routes(bucket, may_be_private=False)) as client:

        async def put(name: str) -> tuple[int, str]:
            answer = await client.put(f"/v1/webhooks/{name}", json=GOOD, headers=WITH_KEY)
            return answer.status_code, answer.json().get("reason", "")

        for number in range(MOST_ENDPOINTS):
            assert await put(f"n{number}") == (200, "")
        assert await put("more") == (409, "TOO_MANY_WEBHOOKS")
        assert await put("n0") == (200, "")
        await client.delete("/v1/webhooks/n0", headers=WITH_KEY)
        assert await put("more") == (200, "")
