"""Which part of presence carries out what the backend asks, by the kind of the request."""

from collections.abc import Awaitable, Callable, Mapping

from presence.app_mail import AppMail
from presence.closings import Closings
from presence.moderation import Moderation
from presence.once import Once
from presence.overview import Overview
from tieline.wire.internal.backend import (
    AddMember,
    Ban,
    CloseRoom,
    CountAll,
    Disconnect,
    EndCall,
    ListRooms,
    LookAtRoom,
    LookAtUser,
    MessageRoom,
    MessageUser,
    RemoveMember,
    SetVoice,
)
from tieline.wire.internal.directions import BackendOrder, PresenceReply, PresenceRequest

Handlers = Mapping[type[PresenceRequest], Callable[..., Awaitable[PresenceReply]]]


def handlers(
    once: Once, moderation: Moderation, closings: Closings, mail: AppMail, overview: Overview
) -> Handlers:
    """List who carries out what; each order is carried out once."""
    orders: dict[type[PresenceRequest], Callable[..., Awaitable[PresenceReply]]] = {
        AddMember: moderation.add,
        RemoveMember: moderation.remove,
        CloseRoom: closings.close,
        Disconnect: moderation.disconnect,
        Ban: moderation.ban,
        SetVoice: moderation.set_voice,
        EndCall: moderation.end_call,
        MessageUser: mail.to_user,
        MessageRoom: mail.to_room,
    }
    looks: dict[type[PresenceRequest], Callable[..., Awaitable[PresenceReply]]] = {
        LookAtUser: overview.user,
        LookAtRoom: overview.room,
        ListRooms: overview.rooms,
        CountAll: overview.count,
    }
    return {**{kind: _once(once, carry_out) for kind, carry_out in orders.items()}, **looks}


def _once(
    once: Once, carry_out: Callable[[BackendOrder], Awaitable[PresenceReply]]
) -> Callable[[BackendOrder], Awaitable[PresenceReply]]:
    async def carried_out(order: BackendOrder) -> PresenceReply:
        return await once.carry_out(order, lambda: carry_out(order))

    return carried_out
