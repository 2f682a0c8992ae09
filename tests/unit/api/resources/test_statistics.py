"""How much there is, over HTTP."""

from api.resources.statistics import statistics_routes
from tests.support.api import WITH_KEY, FakePresence, client_of
from tieline.wire.internal.backend import Counted


async def test_what_there_is_is_counted() -> None:
    counted = Counted(gateways=1, sessions=2, rooms=3, members=4, calls=5)
    async with client_of(statistics_routes(FakePresence(counted))) as client:
        answer = await client.get("/v1/statistics", headers=WITH_KEY)
    assert answer.json() == {"gateways": 1, "sessions": 2, "rooms": 3, "members": 4, "calls": 5}
