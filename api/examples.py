"""Examples of every operation, as the document at `/openapi.json` has them: a request, and its answer.

They tell one story, of `user_123` and `user_456` in `room_1`, and are sent to a system that runs by
tests/system/test_api_examples.py: what is answered there is what stands here.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec
from litestar import Request
from litestar.openapi.plugins import JsonRenderPlugin

from api.descriptions import with_descriptions
from tieline.api import bodies
from tieline.api.bodies import Changed, Member, Room, Webhook
from tieline.wire.server_sent import MEDIA_TYPE

JSON: Final = "application/json"

_NAME: Final = "example"


class OfOperation(NamedTuple):
    """The example of one operation."""

    answer: object
    """The body of the answer; None: it has none."""
    request: msgspec.Struct | None = None
    """The body of the request, if it has one."""
    media_type: str = JSON


_ONE: Final = Member(user="user_123", status="online", voice=True, given=True, joined_at=1_772_366_400_000)
_OTHER: Final = Member(user="user_456", status="online", voice=True, given=False, joined_at=1_772_366_390_000)
_CHANGED: Final = OfOperation(Changed(affected=1))
_WEBHOOK: Final = Webhook(
    webhook="history", url="https://backend.example/tieline", events=["call.*"], paused=False
)

_A_TOKEN: Final = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.c2ln"  # noqa: S105  # an example, which admits nobody

_FOLLOWED: Final = """\
retry: 1000
id: 1772366409250123

id: 1772366409250124
data: {"id":"5a1f0c9e7d3b24860f1e2d3c4b5a6978","source":"/tieline/tieline","type":"tieline.member.joined",\
"subject":"room/room_1","time":"2026-03-01T12:00:00.000Z","data":{"room":"room_1","user":"user_123"},\
"specversion":"1.0","datacontenttype":"application/json","sequence":"01772366409250124"}

"""

EXAMPLES: Final[Mapping[str, OfOperation]] = {
    "listRooms": OfOperation(bodies.RoomPage(rooms=[Room(room="room_1", members=2)], count=1)),
    "getRoom": OfOperation(Room(room="room_1", members=2)),
    "listMembers": OfOperation(bodies.MemberPage(members=[_ONE, _OTHER], count=2)),
    "getMember": OfOperation(_ONE),
    "addMember": _CHANGED,
    "removeMember": _CHANGED,
    "kickMember": _CHANGED._replace(request=bodies.KickOrder(seconds=300)),
    "closeRoom": _CHANGED._replace(request=bodies.CloseOrder(seconds=60)),
    "getUser": OfOperation(
        bodies.User(
            user="user_123",
            status="online",
            rooms=["room_1"],
            given=["room_1"],
            voice=True,
            voice_revoked=False,
            calls=[bodies.Call(peer="user_456", established=True, call="0123456789abcdef")],
        )
    ),
    "disconnectUser": _CHANGED,
    "banUser": _CHANGED._replace(request=bodies.BanOrder(seconds=3600)),
    "unbanUser": OfOperation(Changed(affected=0)),
    "setVoice": _CHANGED._replace(request=bodies.VoiceOrder(allowed=False)),
    "endCall": _CHANGED._replace(request=bodies.EndCallOrder()),
    "messageUser": _CHANGED._replace(request=bodies.MessageOrder(data={"text": "welcome"})),
    "messageRoom": OfOperation(
        Changed(affected=2), bodies.MessageOrder(data={"text": "the session ends in five minutes"})
    ),
    "mintToken": OfOperation(
        bodies.Token(token=_A_TOKEN, expires_at=1_772_370_000_000),
        bodies.TokenOrder(user="user_123", rooms=["room_1"]),
    ),
    "getStatistics": OfOperation(bodies.Statistics(gateways=1, sessions=2, rooms=1, members=2, calls=1)),
    "followEvents": OfOperation(_FOLLOWED, media_type=MEDIA_TYPE),
    "listWebhooks": OfOperation(bodies.Webhooks(webhooks=[_WEBHOOK])),
    "putWebhook": OfOperation(
        _WEBHOOK,
        bodies.WebhookOrder(
            url=_WEBHOOK.url, secrets=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"], events=_WEBHOOK.events
        ),
    ),
    "deleteWebhook": OfOperation(None),
}


class WithExamples(JsonRenderPlugin):
    """Gives the document with the examples in it, and with what bodies and fields mean."""

    _written: bytes = b""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """Write the document, once: that takes some milliseconds, and who asks for it needs no key."""
        if not self._written:
            self._written = super().render(request, with_descriptions(with_examples(openapi_schema)))
        return self._written


def with_examples(document: dict[str, Any]) -> dict[str, Any]:
    """Put the examples into a document."""
    for path in document["paths"].values():
        for operation in path.values():
            example = EXAMPLES.get(operation["operationId"])
            if example is not None:
                _add(operation, example)
    return document


def _add(operation: dict[str, Any], example: OfOperation) -> None:
    if example.request is not None:
        _put(operation["requestBody"]["content"], example.request, JSON)
    succeeds = min(status for status in operation["responses"] if status.startswith("2"))
    if example.answer is not None:
        _put(operation["responses"][succeeds]["content"], example.answer, example.media_type)


def _put(content: dict[str, Any], value: object, media_type: str) -> None:
    content[media_type]["examples"] = {_NAME: {"value": msgspec.to_builtins(value)}}
