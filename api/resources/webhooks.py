"""Webhooks: where events are told, beside the endpoint that stands in the settings of the workers.

An endpoint is a record in the bucket of webhooks, which a worker serves within seconds (`webhooks`). To put
it again changes nothing, so no key is needed for that.
"""

import secrets
from collections.abc import Awaitable, Callable
from typing import Annotated, Final, Protocol

import msgspec
from litestar import delete, get, put
from litestar.openapi.spec import Example
from litestar.params import JSONBody, PathParameter
from litestar.types import ControllerRouterHandler

from api.authority import demands
from api.problems import Refusal, problems
from tieline.api.bodies import FieldProblem, Webhook, WebhookOrder, Webhooks
from tieline.event_stream import NoStream
from tieline.webhook_bucket import Conflict, Record, Unavailable
from tieline.wire import cloud_events, webhooks
from tieline.wire.signatures import problem_of_secret
from tieline.wire.webhooks import MOST_ENDPOINTS, SETTINGS, Endpoint, EndpointId, Keys, problem_of_url

TAGS: Final = ["webhooks"]

TRIES: Final = 5
"""Rounds of read and compare-and-set: nobody else changes an endpoint but for a backend that asks twice."""

WebhookPath = Annotated[
    str,
    PathParameter(
        pattern="^[A-Za-z0-9_-]{1,64}$",
        description="letters of ASCII, digits, _ and -",
        examples=[Example(value="history")],
    ),
]


class Store(Protocol):
    """The bucket of webhooks, as far as endpoints go; `tieline.webhook_bucket.Bucket` is one."""

    async def read(self, *patterns: str) -> dict[str, Record]:
        """Read all that match."""
        ...

    async def read_one(self, key: str) -> Record:
        """Read one key."""
        ...

    async def write(self, key: str, value: bytes, revision: int) -> int:
        """Replace the record of that revision."""
        ...

    async def remove(self, key: str, revision: int) -> None:
        """Remove the record of that revision."""
        ...


Place = Callable[[], Awaitable[int]]
"""Find where the stream of events is now; `tieline.event_stream.EventStream.begin` is one."""


async def unknown_place() -> int:
    """Leave it to the worker that takes an endpoint up where that begins."""
    return 0


def webhook_routes(
    store: Store, *, may_be_private: bool, place: Place = unknown_place
) -> list[ControllerRouterHandler]:
    """Make the routes. `may_be_private`: endpoints may be in private networks, as the workers have it.

    A webhook that is made begins at the `place` that the stream of events has reached.
    """

    @get(
        "/webhooks",
        operation_id="listWebhooks",
        tags=TAGS,
        summary="List the webhooks",
        opt=demands("webhooks:read"),
        responses=problems(503),
        raises=[],
    )
    async def list_webhooks() -> Webhooks:
        """List all that were made here; not the one in the settings of the workers, and no secrets."""
        try:
            shown = [_shown(endpoint) for endpoint in await _all(store)]
        except Unavailable:
            raise _unavailable() from None
        return Webhooks(webhooks=sorted(shown, key=lambda each: each.webhook))

    @put(
        "/webhooks/{webhook:str}",
        operation_id="putWebhook",
        tags=TAGS,
        summary="Make or change a webhook",
        opt=demands("webhooks:write"),
        responses=problems(409, 503),
        raises=[],
    )
    async def put_webhook(data: JSONBody[WebhookOrder], webhook: WebhookPath) -> Webhook:
        """Have events told to an address from now on, within seconds; or change what is told, and how.

        With two secrets each delivery is signed by both: so one is changed for the next. One that is paused
        is told later what happens meanwhile, for as long as events are kept. One that is made after another
        one of its name was removed is told nothing that waited for that one.
        """
        wanted = _endpoint(data, EndpointId(webhook), may_be_private=may_be_private)
        for _ in range(TRIES):
            try:
                stored = await store.read_one(Keys.endpoint(wanted.id))
                if not stored.value and len(await _all(store)) >= MOST_ENDPOINTS:
                    raise Refusal(409, "TOO_MANY_WEBHOOKS", f"there are {MOST_ENDPOINTS} webhooks already")
                endpoint = await _made(wanted, webhooks.read_endpoint(stored.value), place)
                value = webhooks.encode(endpoint)
                if stored.value != value:
                    await store.write(Keys.endpoint(endpoint.id), value, stored.revision)
            except Conflict:
                continue
            except Unavailable:
                raise _unavailable() from None
            return _shown(endpoint)
        raise _unavailable()

    @delete(
        "/webhooks/{webhook:str}",
        operation_id="deleteWebhook",
        tags=TAGS,
        summary="Remove a webhook",
        opt=demands("webhooks:write"),
        responses=problems(503),
        raises=[],
    )
    async def delete_webhook(webhook: WebhookPath) -> None:
        """Tell an address nothing more, within seconds; one that is not there is none already."""
        key = Keys.endpoint(EndpointId(webhook))
        for _ in range(TRIES):
            try:
                stored = await store.read_one(key)
                if stored.value:
                    await store.remove(key, stored.revision)
            except Conflict:
                continue
            except Unavailable:
                raise _unavailable() from None
            return
        raise _unavailable()

    return [list_webhooks, put_webhook, delete_webhook]


async def _all(store: Store) -> list[Endpoint]:
    """Read all that were made here. Raises `Unavailable`."""
    found = await store.read(Keys.endpoints())
    read = (webhooks.read_endpoint(record.value) for record in found.values())
    return [endpoint for endpoint in read if endpoint is not None]


def _endpoint(order: WebhookOrder, name: EndpointId, *, may_be_private: bool) -> Endpoint:
    """Read what is wanted.

    Raises:
        Refusal: it cannot be.
    """
    if name == SETTINGS:
        raise _bad("webhook", f"{SETTINGS} is what the endpoint of the workers' settings is called")
    problem = problem_of_url(order.url, may_be_private=may_be_private)
    if problem is not None:
        raise _bad("url", problem)
    for secret in order.secrets:
        if (problem := problem_of_secret(secret)) is not None:
            raise _bad("secrets", problem)
    for kind in order.events:
        if not any(Endpoint(name, "", (), (kind,)).wants(known) for known in cloud_events.KINDS):
            raise _bad("events", f"there are no events {kind!r}; there are {', '.join(cloud_events.KINDS)}")
    return Endpoint(name, order.url, tuple(order.secrets), tuple(order.events), is_paused=order.paused)


async def _made(wanted: Endpoint, there: Endpoint | None, place: Place) -> Endpoint:
    """Let an endpoint be the one that is there, or a new one, which begins where the stream is now.

    Raises:
        Unavailable: the stream does not answer.
    """
    if there is not None:
        return msgspec.structs.replace(wanted, made=there.made, since=there.since)
    try:
        since = await place()
    except NoStream:  # it begins where the stream is that a worker finds
        since = 0
    return msgspec.structs.replace(wanted, made=secrets.token_hex(8), since=since)


def _shown(endpoint: Endpoint) -> Webhook:
    return Webhook(
        webhook=endpoint.id, url=endpoint.url, events=list(endpoint.kinds), paused=endpoint.is_paused
    )


def _bad(field: str, detail: str) -> Refusal:
    return Refusal(400, "BAD_WEBHOOK", detail, errors=[FieldProblem(detail=detail, field=field)])


def _unavailable() -> Refusal:
    detail = "the bucket of webhooks does not answer: does a webhook worker run? Send the same request again"
    return Refusal(503, "UNAVAILABLE", detail, {"Retry-After": "1"})
