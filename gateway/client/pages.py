"""Which part of a room's members a client asks for. Pure.

A page begins behind a member of the one before it, by its place in the order of joining: whoever comes or
goes between two pages moves nobody.
"""

from typing import Final, NamedTuple

from tieline.wire.ids import UserId
from tieline.wire.subjects import identifier, token

PAGE: Final = 200
"""Members of a page, unless the client says how many: about 18 KB."""


class Standing(NamedTuple):
    """Where a member stands in the order of joining."""

    joined_at: int
    user: UserId


class Page(NamedTuple):
    """So many members at most, behind a place, or from the first on."""

    after: Standing | None = None
    limit: int = PAGE


FIRST: Final = Page()


def cursor(standing: Standing) -> str:
    """Say in the protocol's words where the next page begins."""
    return f"{standing.joined_at}.{token(standing.user)}"


def read_cursor(text: str) -> Standing | None:
    """Read what `cursor` has said; None: it has not said that."""
    joined_at, _, user = text.partition(".")
    if not (joined_at.isascii() and joined_at.isdecimal() and len(joined_at) < 20):
        return None
    try:
        return Standing(int(joined_at), UserId(identifier(user)))
    except ValueError:
        return None
