"""What requests have in common: ids in paths, the key of a change, pages."""

import hashlib
import secrets
from collections.abc import Callable
from typing import Annotated, Any, Final, NamedTuple, cast
from urllib.parse import unquote

from litestar import Request
from litestar.openapi.spec import Example
from litestar.params import HeaderParameter, PathParameter, QueryParameter

from api.callers import Caller
from api.problems import Refusal
from api.server import DO, IS_THERE
from tieline.api.bodies import Status
from tieline.runtime.pending import always
from tieline.wire.ids import ID_RULE, MAX_ID_BYTES, RoomId, UserId, is_valid_id

KEPT_S: Final = 3_600.0
"""How long the answer to a change with a key is remembered: far longer than a backend goes on asking."""

UNNAMED_KEPT_S: Final = 60.0
"""The same for a change without a key: the API itself sends it again while it waits, and copies come late."""

LARGEST_PAGE: Final = 1_000

Ask = Request[Caller, Any, Any]

_ID = f"{ID_RULE}; percent-encoded"

RoomPath = Annotated[str, PathParameter(description=_ID, min_length=1, examples=[Example(value="room_1")])]
UserPath = Annotated[str, PathParameter(description=_ID, min_length=1, examples=[Example(value="user_123")])]
PeerPath = Annotated[str, PathParameter(description=_ID, min_length=1, examples=[Example(value="user_456")])]

IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        required=False,
        pattern="^[!-~]{1,128}$",
        description="1 to 128 visible characters of ASCII; the same request with the same key, within an"
        " hour, is answered as before and changes nothing",
    ),
]

After = Annotated[
    str | None,
    QueryParameter(
        required=False, max_length=MAX_ID_BYTES, description="the page that comes after this name (`next`)"
    ),
]

Limit = Annotated[int, QueryParameter(ge=1, le=LARGEST_PAGE, description="how many a page has at most")]

FIRST_LIMIT: Final = 200


def room_id(text: str) -> RoomId:
    """Read a room's id from a path.

    Raises:
        Refusal: it is none.
    """
    return room_in_query(_unquoted(text))


def user_id(text: str) -> UserId:
    """Read a user's id from a path.

    Raises:
        Refusal: it is none.
    """
    return user_in_query(_unquoted(text))


def room_in_query(name: str) -> RoomId:
    """Read a room's id from a query, which the framework has decoded. Raises what `room_id` raises."""
    return RoomId(_checked(name, "room"))


def user_in_query(name: str) -> UserId:
    """Read a user's id from a query, which the framework has decoded. Raises what `user_id` raises."""
    return UserId(_checked(name, "user"))


def _unquoted(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        return ""


def _checked(name: str, kind: str) -> str:
    if not is_valid_id(name):
        raise Refusal(400, "BAD_ID", f"this is no id of a {kind}: {ID_RULE}")
    return name


def status(text: str) -> Status:
    """Read what presence says of a user; of a word that only a newer process knows, that it is not here."""
    return "online" if text == "online" else "away" if text == "away" else "offline"


def is_there(request: Ask) -> Callable[[], bool]:
    """Find what says whether the caller still waits; where nobody knows, it does."""
    extensions = request.scope.get("extensions") or {}
    return cast("Callable[[], bool]", extensions[IS_THERE][DO]) if IS_THERE in extensions else always


class Named(NamedTuple):
    """What a change is called, and how long that is remembered; see `tieline.wire.internal.backend.Order`."""

    once: str
    kept_s: float


def named(request: Ask, key: str | None) -> Named:
    """Call a change after the caller and the key that it says; one without a key is called anything.

    So the keys of two callers are two, those of a key's caller and of a token that names the same among them.
    """
    if key is None:
        return Named(secrets.token_hex(16), UNNAMED_KEPT_S)
    caller = request.user
    kind = "" if caller.until is None else "token\n"  # no name of a key, and no key, has a line end
    words = f"{kind}{caller.name}\n{key}"
    return Named(hashlib.blake2b(words.encode(), digest_size=16).hexdigest(), KEPT_S)
