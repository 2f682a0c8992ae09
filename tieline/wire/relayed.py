"""What the server says in a frame of somebody else: the call that it belongs to, as `data.call`. Pure.

Everything else in the frame stays, `data.data` byte for byte. Only clients that ask for it (`calls=1`) get
frames so; a frame is remembered and compared as it was sent.
"""

from typing import Final

import msgspec

from tieline.wire import surrogates
from tieline.wire.checks import UNREADABLE


class _Body(msgspec.Struct, frozen=True, gc=False):
    call: msgspec.Raw = msgspec.Raw()


class _Frame(msgspec.Struct, frozen=True, gc=False):
    data: _Body = msgspec.field(default_factory=_Body)


_frames: Final = msgspec.json.Decoder(_Frame)
_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode: Final = msgspec.json.Encoder().encode

_ENVELOPE: Final = ("requestId", "module", "cmd", "code", "msg")
_BODY: Final = ("from", "to", "data")


def with_call(frame: bytes, call: str) -> bytes:
    """Return an accepted frame in which `data.call` is this id; "": in which there is none.

    What the sender has written there counts only if the server says the same. What no client may send stays
    as it is: only a router that was taken over passes that on, and it must not stop what comes after.
    """
    if not call and b"call" not in frame and b"\\" not in frame:
        return frame
    try:
        return _with_call(frame, call)
    except (*UNREADABLE, KeyError):
        return frame


def _with_call(frame: bytes, call: str) -> bytes:
    said = msgspec.Raw(_encode(call) if call else b"")
    try:
        if bytes(_frames.decode(frame).data.call) == bytes(said):
            return frame
        fields = _fields.decode(frame)
        body = _fields.decode(fields["data"])
    except msgspec.DecodeError:
        fields, body = _oddly_written(frame)
    body.pop("call", None)
    if call:
        body["call"] = said
    fields["data"] = msgspec.Raw(_encode(body))
    return _encode(fields)


def _oddly_written(frame: bytes) -> tuple[dict[str, msgspec.Raw], dict[str, msgspec.Raw]]:
    """Read a frame with lone surrogates (`surrogates`): of its fields those that the protocol knows.

    It is decoded with other escapes in their place, and written over what was decoded, which views it.
    """
    masked = surrogates.masked(frame)
    fields = _fields.decode(masked)
    body = _fields.decode(fields["data"])
    masked[:] = frame
    return _known(fields, _ENVELOPE), _known(body, _BODY)


def _known(fields: dict[str, msgspec.Raw], names: tuple[str, ...]) -> dict[str, msgspec.Raw]:
    return {name: msgspec.Raw(bytes(fields[name])) for name in names if name in fields}
