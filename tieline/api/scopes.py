"""What a caller of the API may do: words of a key's entry, and of the `scope` of a signed token. Pure.

Each operation of the API demands one of them (`api/`), which its document names.
"""

from collections.abc import Iterable
from typing import Final, Literal, get_args

from tieline.wire.several import several

Scope = Literal[
    "rooms:read",
    "rooms:write",
    "users:read",
    "users:write",
    "calls:write",
    "messages:write",
    "tokens:write",
    "statistics:read",
    "events:read",
    "webhooks:read",
    "webhooks:write",
]

SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)

EVERYTHING: Final = "*"
"""Stands for all scopes, those of later versions among them."""


def unknown_scopes(words: Iterable[str]) -> list[str]:
    """List those words that are no scopes."""
    return [word for word in several("scopes", words) if word != EVERYTHING and word not in SCOPES]


def allows(granted: Iterable[str], wanted: Scope) -> bool:
    """Whether who is granted these scopes may do what demands this one."""
    return any(each in (wanted, EVERYTHING) for each in several("scopes", granted))
