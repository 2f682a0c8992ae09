"""Which part of presence carries out what the backend asks, by the kind of the request."""

from collections.abc import Awaitable, Callable, Mapping

from presence.app_mail import AppMail
from presence.closings import Closings
from presence.moderation import Moderation
from presence.numbers import Numbers
from presence.once import CarryOut, Once, number_of
from presence.overview import Overview
from tieline.wire.internal.answers import Outdated
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
from tieline.wire.internal.directions import BackendOrder, OrderedChange, PresenceReply, PresenceRequest

Handlers = Mapping[type[PresenceRequest], Callable[..., Awaitable[PresenceReply]]]


def handlers(
    once: Once,
    numbers: Numbers,
    moderation: Moderation,
    closings: Closings,
    mail: AppMail,
    overview: Overview,
) -> Handlers:
    """List who carries out what; each order is carried out once, and after none that is later."""
    orders: dict[type[PresenceRequest], Callable[..., Awaitable[PresenceReply]]] = {
        AddMember: moderation.add,
        RemoveMember: moderation.remove,
        CloseRoom: _whichever(closings.close),
        Disconnect: moderation.disconnect,
        Ban: moderation.ban,
        SetVoice: moderation.set_voice,
        EndCall: moderation.end_call,
        MessageUser: _whichever(mail.to_user),
        MessageRoom: _whichever(mail.to_room),
    }
    looks: dict[type[PresenceRequest], Callable[..., Awaitable[PresenceReply]]] = {
        LookAtUser: overview.user,
        LookAtRoom: overview.room,
        ListRooms: overview.rooms,
        CountAll: overview.count,
    }
    return {**{kind: _once(once, numbers, carry_out) for kind, carry_out in orders.items()}, **looks}


def _whichever(carry_out: Callable[..., Awaitable[PresenceReply]]) -> CarryOut:
    """Carry out what needs not know which copy of an order it is."""

    async def carried_out(order: BackendOrder, _claim: int) -> PresenceReply:
        return await carry_out(order)

    return carried_out


def _once(
    once: Once, numbers: Numbers, carry_out: CarryOut
) -> Callable[[BackendOrder], Awaitable[PresenceReply]]:
    async def carried_out(order: BackendOrder) -> PresenceReply:
        if isinstance(order, OrderedChange) and not number_of(order):
            return Outdated(await numbers.next())
        return await once.carry_out(order, carry_out)

    return carried_out
