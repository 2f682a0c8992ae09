"""What routers may relay without asking again: candidates of an established negotiation, for some seconds.

Nothing that is relayed so may overtake what an answer has released: a router uses a grant when it has
published all that came with it. A user who changes, and a call that ends, end what is granted (`Changed`).
Pure.
"""

from typing import Final

import msgspec

from presence.rules import negotiation
from presence.rules.entitled import is_over
from presence.rules.negotiated import Negotiation
from presence.rules.user import User
from tieline.wire.internal.signals import Check, GrantBack, Relay

GRANT_S: Final = 5.0
"""How long a router may relay an established pair's candidates unasked; `changed.<u>` ends it early."""

_ANSWER: Final = "WEBRTC_ANSWER"

GRANTED: Final = ("WEBRTC_ICE_CANDIDATE", _ANSWER)
"""What a grant comes with: who answers sends candidates next, and who is answered goes on with them."""


def granting(relay: Relay, ask: Check, current: Negotiation, target: User | None, now: int) -> Relay:
    """Let the sender's candidates pass unasked, and with an answer the target's as well."""
    held = negotiation.held_digests(current, ask.user, now)
    back = _back(current, target, ask, now) if ask.cmd == _ANSWER and target is not None else None
    return msgspec.structs.replace(relay, grant_seconds=GRANT_S, grant_held=held, grant_back=back)


def _back(current: Negotiation, target: User, ask: Check, now: int) -> GrantBack | None:
    """Grant the target what its own candidate would: not where that would be refused, or cannot be told."""
    session = target.session
    if session.status != "online" or not session.is_named or is_over(target, now):
        return None
    return GrantBack(session.id, session.connection, negotiation.held_digests(current, ask.to, now))
