"""Find out who calls, and whether it may do what it asks for. The scopes are in `tieline.api.scopes`."""

from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from api.callers import Caller, Keys, find
from api.problems import Refusal
from api.signed_tokens import SignedTokens
from tieline.api.scopes import Scope, allows

SCOPE: Final = "demands"
"""The option of a handler that names what it demands; one without it is for everybody."""

_SCHEME: Final = "bearer "


def demands(scope: Scope) -> dict[str, Any]:
    """Say what a handler demands: `@get(..., opt=demands("rooms:read"))`."""
    return {SCOPE: scope}


class Authority:
    """Knows who may call."""

    def __init__(self, keys: Keys, tokens: SignedTokens) -> None:
        self._keys = keys
        self._tokens = tokens

    def caller(self, authorization: str) -> Caller | None:
        """Return who comes with this header; None: nobody who is known."""
        if not authorization.lower().startswith(_SCHEME):
            return None
        secret = authorization[len(_SCHEME) :].strip()
        return find(self._keys, secret) or self._tokens.read(secret)

    def guard(self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        """Refuse who may not ask for this.

        Raises:
            Refusal: it may not.
        """
        scope = handler.opt.get(SCOPE)
        if scope is None:
            return
        caller = self.caller(connection.headers.get("authorization", ""))
        if caller is None:
            detail = "send a key that is good as `Authorization: Bearer KEY`"
            raise Refusal(401, "UNAUTHORIZED", detail, {"WWW-Authenticate": "Bearer"})
        if not allows(caller.scopes, scope):
            detail = f"the key {caller.name!r} does not have the scope {scope}"
            raise Refusal(403, "SCOPE_MISSING", detail)
        connection.scope["user"] = caller
