"""The asyncio client of a Tieline system, for tests, tools and bots.

    async with connect("ws://127.0.0.1:8080/ws", token) as client:
        await client.join("room_1")
        await client.call("user_456", {"type": "offer", "sdp": sdp})
        async for event in client.events():
            match event:
                case Answer(sender, description): ...

Errors are exceptions (`errors`), what other users do comes as typed events (`events`). With `resume=True` a
lost connection is made again and the session goes on (`reconnector`). The browser's client of the same
protocol (docs/protocol.md#the-tieline-client-protocol-version-1) is `web/tieline.js`. What is not named in
`__all__` is internal.
"""

from tieline.client.client import Ack, Client, connect
from tieline.client.connector import TokenSource
from tieline.client.errors import (
    ClientError,
    Closed,
    Denied,
    GaveUp,
    MessageTooLong,
    NoReply,
    Refused,
    SessionLost,
    Unreachable,
    Unreadable,
    UnusableToken,
    UnusableUrl,
)
from tieline.client.events import (
    Answer,
    AppMessage,
    Candidate,
    ErrorEvent,
    Event,
    Hangup,
    Info,
    MemberJoined,
    MemberLeft,
    MemberUpdated,
    Offer,
    Reconnect,
    Reconnecting,
    Rejoined,
    Resumed,
    RoomLost,
    SessionReset,
    TokenExpiring,
    Unknown,
)
from tieline.client.stats import Stats
from tieline.wire.replies import IceServer, IceServerList, Member, Roster, Welcome

__all__ = [
    "Ack",
    "Answer",
    "AppMessage",
    "Candidate",
    "Client",
    "ClientError",
    "Closed",
    "Denied",
    "ErrorEvent",
    "Event",
    "GaveUp",
    "Hangup",
    "IceServer",
    "IceServerList",
    "Info",
    "Member",
    "MemberJoined",
    "MemberLeft",
    "MemberUpdated",
    "MessageTooLong",
    "NoReply",
    "Offer",
    "Reconnect",
    "Reconnecting",
    "Refused",
    "Rejoined",
    "Resumed",
    "RoomLost",
    "Roster",
    "SessionLost",
    "SessionReset",
    "Stats",
    "TokenExpiring",
    "TokenSource",
    "Unknown",
    "Unreachable",
    "Unreadable",
    "UnusableToken",
    "UnusableUrl",
    "Welcome",
    "connect",
]
