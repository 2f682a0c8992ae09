"""What is asked of the API is counted, by what it was and how it was answered."""

import asyncio

import pytest
from litestar import get

from api.problems import Refusal
from tests.support.api import client_of
from tests.support.metrics import value_of
from tieline import metrics

BEGUN, GOES_ON = asyncio.Event(), asyncio.Event()


@get("/things", operation_id="getThing")
async def thing() -> str:
    return "so"


@get("/refused", operation_id="getRefused")
async def refused() -> str:
    raise Refusal(409, "BUSY", "not now")


@get("/slow", operation_id="getSlow")
async def slow() -> str:
    BEGUN.set()
    await GOES_ON.wait()
    return "so"


def counted(op: str, status: str) -> float:
    return value_of(metrics.API_REQUESTS.labels(op, status))


@pytest.mark.parametrize(
    ("path", "op", "status"),
    [("things", "getThing", "200"), ("refused", "getRefused", "409"), ("nothing", "none", "404")],
)
async def test_a_request_is_counted_by_operation_and_status(path: str, op: str, status: str) -> None:
    before = counted(op, status)
    async with client_of([thing, refused]) as client:
        await client.get(f"/v1/{path}")
    assert counted(op, status) == before + 1


async def test_a_refusal_is_counted_by_its_reason() -> None:
    before = value_of(metrics.API_REFUSED.labels("BUSY"))
    async with client_of([refused]) as client:
        await client.get("/v1/refused")
    assert value_of(metrics.API_REFUSED.labels("BUSY")) == before + 1


async def test_every_operation_is_there_before_it_is_asked_for() -> None:
    async with client_of([slow]):
        families = metrics.API_REQUESTS.collect()
    seen = {(sample.labels["op"], sample.labels["status"]) for each in families for sample in each.samples}
    assert seen >= {("getSlow", "200"), ("getSlow", "503")}


async def test_who_does_not_wait_for_the_answer_is_counted_too() -> None:
    before, in_flight = counted("getSlow", "499"), value_of(metrics.API_IN_FLIGHT)
    async with client_of([slow]) as client:
        asking = asyncio.create_task(client.get("/v1/slow"))
        await BEGUN.wait()
        assert value_of(metrics.API_IN_FLIGHT) == in_flight + 1
        asking.cancel()
        await asyncio.wait((asking,))
    assert counted("getSlow", "499") == before + 1
    assert value_of(metrics.API_IN_FLIGHT) == in_flight
