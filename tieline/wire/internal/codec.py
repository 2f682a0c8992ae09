"""Messages to bytes and back, in msgpack: one decoder for each direction.

What comes from another process is believed no more than what comes from a client: the decoders refuse ids,
numbers and sizes that no honest process sends (`checks`), and answers of another kind than was asked for.
They raise what is in `checks.UNREADABLE`, and nothing else.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import msgspec

from tieline.wire.checks import Checker
from tieline.wire.internal.backend import JoinOrder
from tieline.wire.internal.directions import ANSWERS, PresenceReply, PresenceRequest, RouterReply
from tieline.wire.internal.rooms import RoomChange
from tieline.wire.internal.sessions import CloseSession, EndSession, FindReplaced
from tieline.wire.internal.signals import MAX_SERIES, Answers, Check, Signal

MAX_ASKED: Final = 1_024
"""The most connections that are asked about, or ended, together: far more than any gateway names."""


def _ends_no_more_below(ending: EndSession) -> bool:
    return len(ending.also) <= MAX_ASKED and not any(other.also for other in ending.also)


def _asks_about_few(asked: FindReplaced) -> bool:
    return len(asked.connections) <= MAX_ASKED


def _is_short(asked: Signal | Check) -> bool:
    return len(asked.then) < MAX_SERIES


_WHOLE: Final[Mapping[type, Callable[[Any], bool]]] = {
    Signal: _is_short,
    Check: _is_short,
    EndSession: _ends_no_more_below,
    FindReplaced: _asks_about_few,
}

MessageT = TypeVar("MessageT")


def _checked(decode: Callable[[bytes], MessageT], kind: object) -> Callable[[bytes], MessageT]:
    """Make a decoder that refuses what no honest process sends."""
    checker = Checker(kind, _WHOLE)

    def read(data: bytes) -> MessageT:
        message = decode(data)
        if not checker.is_good(message):
            raise msgspec.ValidationError("an id, a number or a size that no process sends")
        return message

    return read


_encoder = msgspec.msgpack.Encoder()
_signals = msgspec.msgpack.Decoder(list[Signal | None])
_answers = msgspec.msgpack.Decoder(list[tuple[int, RouterReply | Answers]])
_presence_requests = msgspec.msgpack.Decoder(PresenceRequest)
_presence_replies = msgspec.msgpack.Decoder(PresenceReply)
_joins = msgspec.msgpack.Decoder(JoinOrder)
_closings = msgspec.msgpack.Decoder(CloseSession)
_changes = msgspec.msgpack.Decoder(RoomChange)

_OPENED = b"\xa6Opened"


def is_opened(payload: bytes) -> bool:
    """Whether this is an `Opened`, without reading all of it: among answers of any kind."""
    return payload[1 : 1 + len(_OPENED)] == _OPENED


encode = _encoder.encode
decode_signals = _signals.decode
"""A pack: the signals of one command that one turn of a gateway's event loop has brought. When it is sent
again, None stands for each signal that has been answered since. Its ids are not checked yet (`is_meant`)."""
is_meant: Callable[[Signal], bool] = Checker(Signal, _WHOLE).is_good
"""Whether the ids of a signal can be meant. One that a router knows from presence is, so that most of the
signals of an established pair need not be looked at once more."""
decode_answers = _answers.decode
"""Answers to signals of one pack, each with its place in it; there may be several such messages a pack."""
decode_presence_request: Callable[[bytes], PresenceRequest] = _checked(
    _presence_requests.decode, PresenceRequest
)
decode_presence_reply: Callable[[bytes], PresenceReply] = _checked(_presence_replies.decode, PresenceReply)
decode_close_session: Callable[[bytes], CloseSession] = _checked(_closings.decode, CloseSession)
decode_join_order: Callable[[bytes], JoinOrder] = _checked(_joins.decode, JoinOrder)
decode_room_change: Callable[[bytes], RoomChange] = _checked(_changes.decode, RoomChange)


def read_answer(request: PresenceRequest, data: bytes) -> PresenceReply:
    """Decode the answer to a presence request.

    Raises:
        UNREADABLE: it is none, or one of another kind than may be given to this request.
    """
    reply = decode_presence_reply(data)
    if not isinstance(reply, ANSWERS[type(request)]):
        raise msgspec.ValidationError(f"{type(reply).__name__} is no answer to {type(request).__name__}")
    return reply
