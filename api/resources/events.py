"""What happens, as it happens: the stream of events over HTTP (docs/webhooks.md#following-events)."""

import time
from typing import Annotated, Final

from litestar import get
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import HeaderParameter, QueryParameter
from litestar.types import ControllerRouterHandler

from api.authority import demands
from api.event_response import EventResponse
from api.following import Following, Full
from api.presence import RETRY_AFTER
from api.problems import Refusal, problems
from api.requests import Ask, room_in_query, user_in_query
from tieline.event_stream import NoStream
from tieline.webhook_bucket import Unavailable
from tieline.wire.server_sent import MEDIA_TYPE

LONGEST_PLACE: Final = 19
"""Digits of a place in the stream: it is a number of 64 bits."""

LastEventId = Annotated[
    str | None,
    HeaderParameter(
        name="Last-Event-ID",
        required=False,
        pattern=f"^[0-9]{{1,{LONGEST_PLACE}}}$",
        description="go on behind the event of this id; without it: from now on",
    ),
]

OfUser = Annotated[
    str | None,
    QueryParameter(
        required=False, min_length=1, description="only what names this user: as a member, caller or callee"
    ),
]

OfRoom = Annotated[
    str | None,
    QueryParameter(required=False, min_length=1, description="only what names this room"),
]


def event_routes(following: Following) -> list[ControllerRouterHandler]:
    """Make the routes."""

    @get(
        "/events",
        operation_id="followEvents",
        tags=["events"],
        summary="Follow what happens",
        opt=demands("events:read"),
        responses={
            200: ResponseSpec(
                str,
                generate_examples=False,
                description="server-sent events, until the caller closes the connection",
                media_type=MEDIA_TYPE,
            ),
            **problems(501, 503),
        },
        raises=[],
    )
    async def follow(
        request: Ask, user: OfUser = None, room: OfRoom = None, last_event_id: LastEventId = None
    ) -> EventResponse:
        """Tell what happens as it happens, as server-sent events whose data are CloudEvents.

        The `id` of each is its place in the stream, in the order of which they come; with it as
        `Last-Event-ID` a caller goes on where it was. Nothing is kept for a caller who does not read: after
        10 s it is cut off, and so is one whose signed token ends. Before the API itself ends a stream it says
        why, in an event `end`; an event `gap` says that events are gone which were too old to be kept.
        """
        wanted_user = "" if user is None else user_in_query(user)
        wanted_room = "" if room is None else room_in_query(room)
        after = None if last_event_id is None else int(last_event_id)
        until = request.user.until
        for_s = None if until is None else until - time.time()
        try:
            follower = await following.begin(after, wanted_user, wanted_room, for_s)
        except Full:
            detail = "no more callers can follow here now; another process may have room: ask again"
            raise Refusal(503, "TOO_MANY_FOLLOWERS", detail, RETRY_AFTER) from None
        except NoStream:
            detail = "no events are kept here: TIELINE_EVENTS of presence is off"
            raise Refusal(501, "NO_EVENTS", detail) from None
        except Unavailable:
            raise Refusal(503, "UNAVAILABLE", "the stream of events does not answer", RETRY_AFTER) from None
        return EventResponse(follower)

    return [follow]
