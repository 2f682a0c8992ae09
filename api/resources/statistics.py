"""How much there is."""

from litestar import get
from litestar.types import ControllerRouterHandler

from api.authority import demands
from api.presence import Presence, told
from api.problems import problems
from tieline.api.bodies import Statistics
from tieline.wire.internal.backend import CountAll, Counted


def statistics_routes(presence: Presence) -> list[ControllerRouterHandler]:
    """Make the routes."""

    @get(
        "/statistics",
        operation_id="getStatistics",
        tags=["statistics"],
        summary="Count what there is",
        opt=demands("statistics:read"),
        responses=problems(503),
        raises=[],
    )
    async def get_statistics() -> Statistics:
        """Count gateways, sessions, rooms, members and calls, about: for people, and not for bills.

        Calls that have ended count for a minute more, and for five where events are kept (`TIELINE_EVENTS`).
        """
        seen = await told(presence, CountAll(), Counted)
        return Statistics(
            gateways=seen.gateways,
            sessions=seen.sessions,
            rooms=seen.rooms,
            members=seen.members,
            calls=seen.calls,
        )

    return [get_statistics]
