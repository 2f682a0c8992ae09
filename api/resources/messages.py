"""An application's own messages: the event MESSAGE, to a user or to a room (docs/protocol.md#3-commands)."""

from typing import Final

import msgspec
from litestar import post
from litestar.params import JSONBody
from litestar.types import ControllerRouterHandler

from api.authority import demands
from api.presence import Presence, changed
from api.problems import Refusal, problems
from api.requests import Ask, IdempotencyKey, RoomPath, UserPath, named, room_id, user_id
from tieline.api.bodies import Changed, MessageOrder
from tieline.wire.internal.backend import MessageRoom, MessageUser

MOST_BYTES: Final = 60_000
"""Of a message's data, as JSON: what clients are sent has 65,536 bytes at most, its envelope among them."""

_encode = msgspec.json.Encoder().encode


def message_routes(presence: Presence) -> list[ControllerRouterHandler]:
    """Make the routes."""

    @post(
        "/users/{user:str}/messages",
        operation_id="messageUser",
        tags=["messages"],
        summary="Send a user a message",
        opt=demands("messages:write"),
        responses=problems(413, 422, 503),
        raises=[],
        status_code=200,
    )
    async def to_user(
        request: Ask, data: JSONBody[MessageOrder], user: UserPath, idempotency_key: IdempotencyKey = None
    ) -> Changed:
        """Send a user a message, in order with all else that it is sent; it is kept while the user is away.

        To a user who is offline nothing is sent: `affected` is 0.
        """
        order = MessageUser(*named(request, idempotency_key), user=user_id(user), data=_data(data))
        return await changed(presence, order)

    @post(
        "/rooms/{room:str}/messages",
        operation_id="messageRoom",
        tags=["messages"],
        summary="Send a room a message",
        opt=demands("messages:write"),
        responses=problems(413, 422, 503),
        raises=[],
        status_code=200,
    )
    async def to_room(
        request: Ask, data: JSONBody[MessageOrder], room: RoomPath, idempotency_key: IdempotencyKey = None
    ) -> Changed:
        """Send a message to every member of a room who is connected or away."""
        order = MessageRoom(*named(request, idempotency_key), room=room_id(room), data=_data(data))
        return await changed(presence, order)

    return [to_user, to_room]


def _data(order: MessageOrder) -> bytes:
    data = _encode(order.data)
    if len(data) > MOST_BYTES:
        raise Refusal(413, "TOO_LARGE", f"a message has at most {MOST_BYTES} bytes of JSON")
    return data
