"""Which messages go from whom to whom: a union for each direction, and what may be answered to what."""

from typing import Final, get_args

from tieline.wire.internal.answers import Done, Outdated, Refused, SessionGone
from tieline.wire.internal.backend import (
    AddMember,
    Affected,
    Ban,
    CloseRoom,
    CountAll,
    Counted,
    Disconnect,
    EndCall,
    ListRooms,
    LookAtRoom,
    LookAtUser,
    MessageRoom,
    MessageUser,
    RemoveMember,
    RoomSeen,
    RoomsSeen,
    SetVoice,
    UserSeen,
)
from tieline.wire.internal.rooms import JoinRoom, LeaveRoom, ListMembers, Retell, RoomJoined, RoomMembers
from tieline.wire.internal.sessions import (
    EndSession,
    FindReplaced,
    KeepLease,
    LeaseKept,
    Opened,
    OpenSession,
    Register,
    Regrant,
    Replaced,
    Tell,
)
from tieline.wire.internal.signals import Accepted, Check, Relay, Verdicts

RouterRequest = Check
"""What a router may ask presence."""
GatewayRequest = (
    OpenSession
    | EndSession
    | Register
    | Regrant
    | Tell
    | FindReplaced
    | JoinRoom
    | LeaveRoom
    | ListMembers
    | KeepLease
    | Retell
)
"""What a gateway may ask presence; gateways face the internet."""
StandingOrder = AddMember | RemoveMember | CloseRoom | Ban | SetVoice
"""What the API may ask presence to change that a later order may take back."""
OrderedChange = StandingOrder | Disconnect | EndCall
"""What has a place among all that is ordered (`backend.Ordered`)."""
BackendOrder = (
    AddMember | RemoveMember | CloseRoom | Disconnect | Ban | SetVoice | EndCall | MessageUser | MessageRoom
)
"""What the API may ask presence to change."""
BackendRequest = BackendOrder | LookAtUser | LookAtRoom | ListRooms | CountAll
"""What the API may ask presence."""
PresenceRequest = RouterRequest | GatewayRequest | BackendRequest
"""What presence reads. A kind that is in none of these unions is readable by no process, and permitted to
none (`permissions`)."""
PresenceReply = (
    Relay
    | Verdicts
    | Refused
    | SessionGone
    | Opened
    | Outdated
    | Replaced
    | RoomMembers
    | RoomJoined
    | Done
    | LeaseKept
    | Affected
    | UserSeen
    | RoomSeen
    | RoomsSeen
    | Counted
)
RouterReply = Accepted | Refused | SessionGone
"""What a router answers to one frame."""

OPERATIONS: dict[type[PresenceRequest], str] = {
    Check: "check",
    OpenSession: "open",
    EndSession: "end",
    Register: "register",
    Regrant: "regrant",
    Tell: "tell",
    FindReplaced: "replaced",
    JoinRoom: "join",
    LeaveRoom: "leave",
    ListMembers: "members",
    KeepLease: "lease",
    Retell: "retell",
    AddMember: "add",
    RemoveMember: "remove",
    CloseRoom: "close",
    Disconnect: "disconnect",
    Ban: "ban",
    SetVoice: "voice",
    EndCall: "hangup",
    MessageUser: "message",
    MessageRoom: "announce",
    LookAtUser: "user",
    LookAtRoom: "room",
    ListRooms: "rooms",
    CountAll: "count",
}
"""The word for a presence request in its subject."""

ANSWERS: Final[dict[type[PresenceRequest], tuple[type[PresenceReply], ...]]] = {
    Check: (Relay, Verdicts, Refused, SessionGone),
    OpenSession: (Opened, Outdated, Refused, SessionGone),
    EndSession: (Done,),
    Register: (Done, Outdated, Refused, SessionGone),
    Regrant: (Done, Outdated, Refused, SessionGone),
    Tell: (Done, Refused, SessionGone),
    FindReplaced: (Replaced,),
    JoinRoom: (RoomJoined, RoomMembers, Outdated, Refused, SessionGone),
    LeaveRoom: (Done, Outdated, Refused, SessionGone),
    Retell: (Done,),
    ListMembers: (RoomMembers, Refused, SessionGone),
    KeepLease: (LeaseKept,),
    **dict.fromkeys(get_args(BackendOrder), (Affected, Refused)),
    **dict.fromkeys(get_args(OrderedChange), (Affected, Outdated, Refused)),
    LookAtUser: (UserSeen,),
    LookAtRoom: (RoomSeen,),
    ListRooms: (RoomsSeen,),
    CountAll: (Counted,),
}
"""What a presence request may be answered with."""
