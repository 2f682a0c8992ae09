"""Calls of two users."""

from litestar import post
from litestar.params import JSONBody
from litestar.types import ControllerRouterHandler

from api.authority import demands
from api.presence import Presence, changed
from api.problems import Refusal, problems
from api.requests import Ask, IdempotencyKey, PeerPath, UserPath, named, user_id
from tieline.api.bodies import Changed, EndCallOrder
from tieline.wire.ids import CallId
from tieline.wire.internal.backend import EndCall


def call_routes(presence: Presence) -> list[ControllerRouterHandler]:
    """Make the routes."""

    @post(
        "/users/{user:str}/calls/{peer:str}/end",
        operation_id="endCall",
        tags=["calls"],
        summary="End a call",
        opt=demands("calls:write"),
        responses=problems(409, 422, 503),
        raises=[],
        status_code=200,
    )
    async def end_call(
        request: Ask,
        data: JSONBody[EndCallOrder],
        user: UserPath,
        peer: PeerPath,
        idempotency_key: IdempotencyKey = None,
    ) -> Changed:
        """End what two users have or negotiate, and tell both: WEBRTC_HANGUP `kicked`."""
        one, other = user_id(user), user_id(peer)
        if one == other:
            raise Refusal(400, "BAD_ID", "a call is of two users")
        order = EndCall(*named(request, idempotency_key), user=one, peer=other, call=CallId(data.call))
        return await changed(presence, order)

    return [end_call]
