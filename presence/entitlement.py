"""Look at the tokens by which sessions begin, and are granted more: gateways are not believed in that.

Only where presence is given the keys (docs/decisions/0090-presence-looks-at-tokens-itself.md). What a token
says is compared in `presence.rules.entitled`; here it is verified. It is neither kept nor logged.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Final

from presence.rules.entitled import BEYOND, Entitled, Excess, excess, grant_of
from presence.rules.user import Grant
from presence.store import StoreUnavailable
from tieline import metrics
from tieline.runtime.tally import Tally
from tieline.verification.tokens import BadToken, Claims, Tokens, UnknownKey
from tieline.wire.ids import NO_TOKEN
from tieline.wire.internal.answers import UNPROVEN, Refused
from tieline.wire.internal.directions import OPERATIONS

_REFUSED: Final = "a gateway asks for what no token entitles to"

_log = logging.getLogger(__name__)


class Entitlement:
    """Judges what is asked by the token that comes with it."""

    def __init__(
        self,
        tokens: Tokens,
        now_ms: Callable[[], int],
        refresh_keys: Callable[[], Awaitable[bool]] | None = None,
        *,
        takes_none: bool = False,
    ) -> None:
        """Take also what fetches the keys anew, if they are fetched; it tells whether they are fresh.

        With `takes_none` who gives no token is believed, as gateways that do not know how to give one.
        """
        self._tokens = tokens
        self._now_ms = now_ms
        self._refresh_keys = refresh_keys
        self._takes_none = takes_none
        self._tally = Tally(_log)

    async def judge(self, ask: Entitled) -> Grant | Refused | None:
        """Return what the token grants, or the refusal; None: there is none, and its gateway is believed.

        Raises:
            StoreUnavailable: nobody can tell, because the keys cannot be had.
        """
        if ask.token == NO_TOKEN:
            metrics.TOKENS_REFUSED.labels("missing").inc()
            return None if self._takes_none else Refused(UNPROVEN)
        try:
            claims = await self._verified(ask)
        except BadToken as problem:
            return self._refuse(ask, "bad", str(problem))
        found = excess(ask, claims)
        return grant_of(claims) if found is None else self.refuse_beyond(ask, found)

    def refuse_beyond(self, ask: Entitled, found: Excess) -> Refused:
        """Refuse who asks for more than its token says."""
        return self._refuse(ask, found, f"it asks for more than its token says: {found}")

    async def _verified(self, ask: Entitled) -> Claims:
        try:
            return self._tokens.verify(ask.token, self._now_ms() / 1000)
        except UnknownKey:
            if self._refresh_keys is None:
                raise
        is_fresh = await self._refresh_keys()
        try:
            return self._tokens.verify(ask.token, self._now_ms() / 1000)
        except UnknownKey as problem:
            if is_fresh:
                raise
            raise StoreUnavailable("the keys that verify tokens cannot be fetched") from problem

    def _refuse(self, ask: Entitled, reason: str, why: str) -> Refused:
        metrics.TOKENS_REFUSED.labels(reason).inc()
        op = OPERATIONS[type(ask)]
        self._tally.note(logging.ERROR, _REFUSED, op, reason, op=op, why=why)
        return BEYOND
