"""Users: where they are, and what they may do."""

from litestar import delete, get, post, put
from litestar.params import JSONBody
from litestar.types import ControllerRouterHandler

from api.authority import demands
from api.presence import Presence, changed, told
from api.problems import problems
from api.requests import Ask, IdempotencyKey, UserPath, is_there, named, status, user_id
from tieline.api.bodies import BanOrder, Call, Changed, User, VoiceOrder
from tieline.wire.internal.backend import Ban, Disconnect, LookAtUser, SetVoice, UserSeen

TAGS = ["users"]


def user_routes(presence: Presence) -> list[ControllerRouterHandler]:
    """Make the routes."""

    @get(
        "/users/{user:str}",
        operation_id="getUser",
        tags=TAGS,
        summary="Look at a user",
        opt=demands("users:read"),
        responses=problems(503),
        raises=[],
    )
    async def get_user(user: UserPath) -> User:
        """Say what is known of a user; one who was never here is offline."""
        name = user_id(user)
        seen = await told(presence, LookAtUser(user=name), UserSeen)
        return User(
            user=name,
            status=status(seen.status),
            rooms=sorted(seen.rooms),
            given=sorted(seen.given),
            voice=seen.voice,
            voice_revoked=seen.is_silenced,
            calls=[
                Call(peer=call.peer, established=call.is_established, call=call.call) for call in seen.calls
            ],
            banned_until=seen.banned_until,
        )

    @post(
        "/users/{user:str}/disconnect",
        operation_id="disconnectUser",
        tags=TAGS,
        summary="Disconnect a user",
        opt=demands("users:write"),
        responses=problems(422, 503),
        raises=[],
        status_code=200,
    )
    async def disconnect(request: Ask, user: UserPath, idempotency_key: IdempotencyKey = None) -> Changed:
        """End a user's session and its calls, and close its connection with 4502.

        A client does not come again by itself then; whoever has a token that is good may.
        """
        return await changed(presence, Disconnect(*named(request, idempotency_key), user=user_id(user)))

    @put(
        "/users/{user:str}/ban",
        operation_id="banUser",
        tags=TAGS,
        summary="Ban a user",
        opt=demands("users:write"),
        responses=problems(409, 422, 503),
        raises=[],
    )
    async def ban(
        request: Ask, data: JSONBody[BanOrder], user: UserPath, idempotency_key: IdempotencyKey = None
    ) -> Changed:
        """Disconnect a user, and refuse it with 403 `BANNED` from now on, for so long."""
        order = Ban(*named(request, idempotency_key), user=user_id(user), for_s=data.seconds)
        return await changed(presence, order, is_there(request))

    @delete(
        "/users/{user:str}/ban",
        operation_id="unbanUser",
        tags=TAGS,
        summary="Lift a ban",
        opt=demands("users:write"),
        responses=problems(409, 422, 503),
        raises=[],
        status_code=200,
    )
    async def unban(request: Ask, user: UserPath, idempotency_key: IdempotencyKey = None) -> Changed:
        """Let a user connect again."""
        order = Ban(*named(request, idempotency_key), user=user_id(user), for_s=0.0)
        return await changed(presence, order, is_there(request))

    @put(
        "/users/{user:str}/voice",
        operation_id="setVoice",
        tags=TAGS,
        summary="Revoke or restore voice",
        opt=demands("users:write"),
        responses=problems(409, 422, 503),
        raises=[],
    )
    async def set_voice(
        request: Ask, data: JSONBody[VoiceOrder], user: UserPath, idempotency_key: IdempotencyKey = None
    ) -> Changed:
        """Let a user start no voice connections, whatever its token says, and end those that it has.

        Allowed again, it may do what its token says.
        """
        order = SetVoice(*named(request, idempotency_key), user=user_id(user), is_allowed=data.allowed)
        return await changed(presence, order, is_there(request))

    return [get_user, disconnect, ban, unban, set_voice]
