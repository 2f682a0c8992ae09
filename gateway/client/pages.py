"""Which part of a room's members a client asks for. Pure.

A page begins behind a member of the one before it, by its place in the order of joining: whoever comes or
goes between two pages moves nobody.
"""

from typing import Annotated, Final, NamedTuple

import msgspec

from tieline.wire.envelope import MAX_PAGE
from tieline.wire.ids import MAX_ID_BYTES, UserId
from tieline.wire.subjects import identifier, token

PAGE: Final = 200
"""Members of a page, unless the client says how many: about 18 KB."""

LONGEST_LOOKED_AT: Final = 1_024
"""Bytes of a refused MEMBERS that is read once more to say what is wrong with it: a correct one has fewer."""


class Standing(NamedTuple):
    """Where a member stands in the order of joining."""

    joined_at: int
    user: UserId


class Page(NamedTuple):
    """So many members at most, behind a place, or from the first on."""

    after: Standing | None = None
    limit: int = PAGE


FIRST: Final = Page()

LONGEST_CURSOR: Final = 20 + 3 * MAX_ID_BYTES
"""A number, and an id of which each byte is encoded."""


def cursor(standing: Standing) -> str:
    """Say in the protocol's words where the next page begins."""
    return f"{standing.joined_at}.{token(standing.user)}"


def read_cursor(text: str) -> Standing | None:
    """Read what `cursor` has said; None: it has not said that."""
    if len(text) > LONGEST_CURSOR:  # what was decoded is kept for a while
        return None
    joined_at, _, user = text.partition(".")
    if not (joined_at.isascii() and joined_at.isdecimal() and len(joined_at) < 20):
        return None
    try:
        return Standing(int(joined_at), UserId(identifier(user)))
    except ValueError:
        return None


class _Arguments(msgspec.Struct, frozen=True):
    after: msgspec.Raw = msgspec.Raw(b'""')
    limit: msgspec.Raw = msgspec.Raw(b"1")


class _Asked(msgspec.Struct, frozen=True):
    data: _Arguments


_asked: Final = msgspec.json.Decoder(_Asked)
_ARGUMENTS: Final[dict[str, msgspec.json.Decoder[str] | msgspec.json.Decoder[int]]] = {
    "after": msgspec.json.Decoder(str),
    "limit": msgspec.json.Decoder(Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE)]),
}


def wrong_argument(frame: bytes) -> str:
    """Name what cannot be in a MEMBERS that could not be read, of what asks for a page; "": neither is it."""
    if len(frame) > LONGEST_LOOKED_AT:
        return ""
    try:
        asked = _asked.decode(frame).data
    except msgspec.DecodeError:
        return ""
    for name, decoder in _ARGUMENTS.items():
        try:
            decoder.decode(getattr(asked, name))
        except msgspec.DecodeError:
            return name
    return ""
