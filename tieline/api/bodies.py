"""What goes over the line between an application's backend and the API, in JSON. Pure.

The service reads and writes these (`api/resources`), the client reads and writes the same
(`tieline.api.client`), and the document at `/openapi.json` is made of them. Times are Unix milliseconds.
"""

from typing import Annotated

import msgspec

from tieline.wire.ids import ID_RULE, MAX_ID_BYTES

LONGEST_S = 315_360_000
"""Ten years: a longer time is one in milliseconds, mostly."""

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_BYTES, description=ID_RULE)]
"""The id of a user or a room."""

Names = Annotated[list[Id], msgspec.Meta(max_length=256)]

Time = Annotated[int, msgspec.Meta(description="Unix milliseconds")]


class Body(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What the service answers."""


class Order(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What the service is asked for: a field that it does not know may be one misspelt."""


class FieldProblem(Body, frozen=True, kw_only=True):
    """One field of a request that cannot be used."""

    detail: str
    field: str = ""


class Problem(Body, frozen=True, kw_only=True):
    """Why a request was not carried out (RFC 9457, application/problem+json)."""

    type: str = "about:blank"
    title: str
    """The phrase of the status."""
    status: int
    detail: str
    """A sentence for people."""
    reason: str
    """A word for programs."""
    errors: list[FieldProblem] = []


class TokenOrder(Order, frozen=True, kw_only=True):
    """Mint an admission token for a user (docs/protocol.md#1-connecting)."""

    user: Id
    rooms: Names = []
    """Rooms that the user may join; `*` alone: all."""
    join: Names = []
    """Rooms that are joined at connect."""
    voice: bool = True
    """Whether the user may start a voice connection."""
    seconds: Annotated[int, msgspec.Meta(ge=1, le=LONGEST_S)] = 3600
    """How long it is valid."""


class Token(Body, frozen=True, kw_only=True):
    """An admission token."""

    token: str
    expires_at: Time
