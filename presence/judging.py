"""Have the signals of a pair judged: by their rules, in turn (`presence.turns`), and in time.

What a signal means is decided in `presence.rules.signals`, who may send it in `presence.rules.holding` and
`presence.rules.entitled`; that one process judges all of a pair is up to routers (`router.judges`).
"""

import functools
from collections.abc import Callable, Hashable
from typing import Final

import msgspec

from presence.changes import Changes, Judged
from presence.records import Guess
from presence.rules import entitled, holding, series, signals
from presence.rules.change import Rule
from presence.rules.negotiated import Negotiation
from presence.rules.signals import Terms
from presence.turns import Turns
from tieline.wire.envelope import COMMAND_OF, Candidate, Offer
from tieline.wire.internal.answers import Refused
from tieline.wire.internal.directions import PresenceReply
from tieline.wire.internal.signals import Check, Relay

LATE_MS: Final = 10_000
"""A signal that came to its gateway longer ago changes nothing: the gateway asks routers for 5 s, and the
last one that it asks waits 3 s for a verdict. An offer that was accepted later would wait for its answer
though nobody has sent it. The rest is for what the two differ in about the broker's time."""

_OFFER, _CANDIDATE = COMMAND_OF[Offer], COMMAND_OF[Candidate]


def _guess(ask: Check) -> Guess:
    """Guess what a signal does. An offer within a call mostly names the call."""
    if ask.cmd == _OFFER:
        return "changes" if ask.call else "begins"
    return "may be held" if ask.cmd == _CANDIDATE else "changes"


def _name(ask: Check) -> Hashable:
    """Name what copies of a request have in common: what is asked, and what need not be answered."""
    asker = ask.user, ask.session, ask.connection
    has_frame = bool(ask.frame)  # an offer that is asked about with its frame may be judged otherwise
    return *asker, ask.to, ask.cmd, ask.call, ask.digest, has_frame, ask.then, ask.carried


ToldRefused = Callable[[Check, str], None]
"""Takes an offer that is refused, and the name of the refusal."""


class Judging:
    """Judges signals. Raises what `Turns.judge` raises."""

    def __init__(
        self, changes: Changes, terms: Terms, name: str, refused: ToldRefused | None, *, looks_at_tokens: bool
    ) -> None:
        """Take also what verdicts name this process, and whether sessions end with their tokens here.

        `refused` is told of each offer that is refused, and by which name.
        """
        self._refused = refused
        self._turns = Turns(changes.negotiations, changes.clock)
        self._terms = terms
        self._name = name
        self._looks_at_tokens = looks_at_tokens

    async def judge(self, ask: Check) -> Judged:
        """Have one signal judged, or a series: one by one, and answered together."""
        asks = series.one_by_one(ask)
        rules, until_ms = [self._rule(one) for one in asks], ask.at + LATE_MS if ask.at else None
        judged = await self._turns.judge(
            ask.user, ask.to, rules, until_ms, guess=_guess(ask), name=_name(ask)
        )
        first = judged[0].reply
        if (
            self._refused is not None
            and ask.cmd == _OFFER
            and isinstance(first, Refused)
            and not first.wants_frame
        ):
            self._refused(ask, first.reason)
        if len(asks) == 1 or (isinstance(first, Refused) and first.wants_frame):
            return judged[0]._replace(reply=self._signed(first))
        offered = next((each.offered for each in judged if each.offered is not None), None)
        return Judged(series.answered(self._signed(each.reply) for each in judged), offered)

    def _signed(self, reply: PresenceReply) -> PresenceReply:
        """Say who has judged, so that the pair's next signals come here, too."""
        return msgspec.structs.replace(reply, by=self._name) if isinstance(reply, Relay) else reply

    def _rule(self, ask: Check) -> Rule[Negotiation]:
        """Return the rule that judges one signal."""
        rule: Rule[Negotiation] = functools.partial(signals.check, ask, self._terms)
        if self._looks_at_tokens:
            rule = entitled.checked(ask.user, rule)
        return holding.checked(ask, rule)
