"""Rooms and their members: who is there, who comes in, and who has to go."""

from litestar import Response, delete, get, post, put
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody
from litestar.types import ControllerRouterHandler

from api.authority import demands
from api.presence import Presence, changed, told
from api.problems import Refusal, problems
from api.requests import (
    FIRST_LIMIT,
    After,
    Ask,
    IdempotencyKey,
    Limit,
    RoomPath,
    UserPath,
    is_there,
    named,
    room_id,
    status,
    user_id,
)
from tieline.api.bodies import (
    Changed,
    CloseOrder,
    KickOrder,
    Member,
    MemberPage,
    Room,
    RoomPage,
)
from tieline.wire.internal.backend import (
    AddMember,
    CloseRoom,
    ListRooms,
    LookAtRoom,
    MemberSeen,
    RemoveMember,
    RoomSeen,
    RoomsSeen,
)

TAGS = ["rooms"]


def room_routes(presence: Presence) -> list[ControllerRouterHandler]:
    """Make the routes."""

    @get(
        "/rooms",
        operation_id="listRooms",
        tags=TAGS,
        summary="List rooms",
        opt=demands("rooms:read"),
        responses=problems(503),
        raises=[],
    )
    async def list_rooms(after: After = None, limit: Limit = FIRST_LIMIT) -> RoomPage:
        """List the rooms that have members, a page at a time, in the order of their names."""
        seen = await told(presence, ListRooms(after=after or "", limit=limit), RoomsSeen)
        rooms = [Room(room=room, members=count) for room, count in seen.rooms]
        return RoomPage(rooms=rooms, count=seen.count, next=seen.next)

    @get(
        "/rooms/{room:str}",
        operation_id="getRoom",
        tags=TAGS,
        summary="Look at a room",
        opt=demands("rooms:read"),
        responses=problems(404, 503),
        raises=[],
    )
    async def get_room(room: RoomPath) -> Room:
        """Say how many members a room has; one without is not there."""
        name = room_id(room)
        seen = await told(presence, LookAtRoom(room=name, limit=1), RoomSeen)
        if not seen.count:
            raise Refusal(404, "NO_SUCH_ROOM", "nobody is a member of this room")
        return Room(room=name, members=seen.count)

    @get(
        "/rooms/{room:str}/members",
        operation_id="listMembers",
        tags=TAGS,
        summary="List members",
        opt=demands("rooms:read"),
        responses=problems(503),
        raises=[],
    )
    async def list_members(room: RoomPath, after: After = None, limit: Limit = FIRST_LIMIT) -> MemberPage:
        """List a room's members, a page at a time, in the order of their names.

        Those who will be members when they connect are listed, too.
        """
        ask = LookAtRoom(room=room_id(room), after=after or "", limit=limit)
        seen = await told(presence, ask, RoomSeen)
        members = [_member(each) for each in seen.members]
        return MemberPage(members=members, count=seen.count, next=members[-1].user if seen.has_more else "")

    @get(
        "/rooms/{room:str}/members/{user:str}",
        operation_id="getMember",
        tags=TAGS,
        summary="Look at a member",
        opt=demands("rooms:read"),
        responses=problems(404, 503),
        raises=[],
    )
    async def get_member(room: RoomPath, user: UserPath) -> Member:
        """Look at one member of a room."""
        name, wanted = room_id(room), user_id(user)
        seen = await told(presence, LookAtRoom(room=name, only=wanted), RoomSeen)
        if seen.members:
            return _member(seen.members[0])
        raise Refusal(404, "NO_SUCH_MEMBER", "the user is no member of this room")

    @put(
        "/rooms/{room:str}/members/{user:str}",
        operation_id="addMember",
        tags=TAGS,
        summary="Add a member",
        opt=demands("rooms:write"),
        responses=problems(409, 422, 503),
        raises=[],
    )
    async def add_member(
        request: Ask, room: RoomPath, user: UserPath, idempotency_key: IdempotencyKey = None
    ) -> Changed:
        """Make a user a member of a room, whatever its token says: now, and whenever it is connected.

        It need never have been here. A user who leaves the room comes back into it with its next session, or
        when it is added again.
        """
        order = AddMember(*named(request, idempotency_key), user=user_id(user), room=room_id(room))
        return await changed(presence, order, is_there(request))

    @delete(
        "/rooms/{room:str}/members/{user:str}",
        operation_id="removeMember",
        tags=TAGS,
        summary="Remove a member",
        opt=demands("rooms:write"),
        responses=problems(409, 422, 503),
        raises=[],
        status_code=200,
    )
    async def remove_member(
        request: Ask, room: RoomPath, user: UserPath, idempotency_key: IdempotencyKey = None
    ) -> Changed:
        """Put a user out of a room, and make it no member of it any more.

        Its calls with users with whom it shares no other room end. If its token lets it, it may come again.
        """
        order = RemoveMember(*named(request, idempotency_key), user=user_id(user), room=room_id(room))
        return await changed(presence, order, is_there(request))

    @post(
        "/rooms/{room:str}/members/{user:str}/kick",
        operation_id="kickMember",
        tags=TAGS,
        summary="Kick a member",
        opt=demands("rooms:write"),
        responses=problems(409, 422, 503),
        raises=[],
        status_code=200,
    )
    async def kick_member(
        request: Ask,
        data: JSONBody[KickOrder],
        room: RoomPath,
        user: UserPath,
        idempotency_key: IdempotencyKey = None,
    ) -> Changed:
        """Put a user out of a room as `removeMember` does, and keep it out for a while."""
        order = RemoveMember(
            *named(request, idempotency_key),
            user=user_id(user),
            room=room_id(room),
            kept_out_s=data.seconds,
        )
        return await changed(presence, order, is_there(request))

    @post(
        "/rooms/{room:str}/close",
        operation_id="closeRoom",
        tags=TAGS,
        summary="Close a room",
        opt=demands("rooms:write"),
        responses={
            202: ResponseSpec(
                Changed,
                generate_examples=False,
                description="nobody comes in any more, and those who are `left` are being put out",
            ),
            **problems(409, 422, 503),
        },
        raises=[],
        status_code=200,
    )
    async def close_room(
        request: Ask, data: JSONBody[CloseOrder], room: RoomPath, idempotency_key: IdempotencyKey = None
    ) -> Response[Changed]:
        """Put everybody out of a room who is in it, or would be; nobody comes in meanwhile.

        Of many it takes longer than a request does: then the answer is 202, and says how many are `left`.
        That goes on by itself. The same request with the same `Idempotency-Key` says how far it has got, and
        200 in the end; without a key each request closes the room once more.
        """
        order = CloseRoom(*named(request, idempotency_key), room=room_id(room), kept_out_s=data.seconds)
        done = await changed(presence, order, is_there(request))
        return Response(done, status_code=202 if done.left else 200)

    return [
        list_rooms,
        get_room,
        list_members,
        get_member,
        add_member,
        remove_member,
        kick_member,
        close_room,
    ]


def _member(seen: MemberSeen) -> Member:
    return Member(
        user=seen.user,
        status=status(seen.status),
        voice=seen.voice,
        given=seen.is_given,
        joined_at=seen.joined_at,
    )
