"""Judge several signals of two users one after the other, in one change of what they negotiate. Pure.

Each is judged by its own rule, on what those before it have made of the negotiation, and on the same users;
what the last of them leaves is stored by one compare-and-set. Refusals among them are confirmed by the leader
together, and before that. What brings about more than such a write is judged by itself: the end of an older
session's call; a second timer, or a second frame that lies apart. So is an offer that comes again with its
frame: what follows it comes again, too. There the change ends, and whoever asked
judges the rest in the next one (`presence.turns`).
"""

from collections.abc import Mapping, Sequence

from presence.rules.change import Change, Facts, Gathered, Rule, Step
from presence.rules.effects import Said
from presence.rules.negotiated import Negotiation
from presence.rules.user import User
from tieline.wire.ids import UserId
from tieline.wire.internal.answers import Refused


def gathered(rules: Sequence[Rule[Negotiation]]) -> Rule[Negotiation]:
    """Make one rule of several. Its reply is that of the first, or `Gathered`: those of the first so many."""
    first, *others = rules
    if not others:
        return first

    def decide(stored: Negotiation | None, users: Mapping[UserId, User], facts: Facts) -> Step[Negotiation]:
        step = first(stored, users, facts)
        if not isinstance(step, Change) or not _may_share(step):
            return step
        together = _Together(step)
        for rule in others:
            step = rule(together.record or stored, users, facts)
            if not isinstance(step, Change) or not together.takes(step):
                break
        return together.as_one()

    return decide


def _may_share(step: Change[Negotiation]) -> bool:
    is_asked_again = isinstance(step.reply, Refused) and step.reply.wants_frame
    return step.then is None and not step.effects and not is_asked_again


class _Together:
    """Changes that become one."""

    def __init__(self, first: Change[Negotiation]) -> None:
        self._first = first
        self._replies = [first.reply]
        self._said: list[Said] = [*first.said]
        self.record = first.record
        self._passed: list[Negotiation] = []
        self._timer, self._apart = first.timer, first.apart
        self._look_again, self._looks = first.look_again, 0

    def takes(self, step: Change[Negotiation]) -> bool:
        """Take one more, unless it must be judged by itself."""
        if not _may_share(step):
            return False
        has_two = (step.timer and self._timer) or (step.apart and self._apart)
        if has_two or (step.look_again and self._look_again):
            return False
        if step.look_again is not None:
            self._look_again, self._looks = step.look_again, len(self._replies)
        self._timer, self._apart = step.timer or self._timer, step.apart or self._apart
        self._replies.append(step.reply)
        self._said += step.said
        if step.record is not None:
            if self.record is not None:
                self._passed.append(self.record)
            self.record = step.record
        return True

    def as_one(self) -> Change[Negotiation]:
        """Make one change of them."""
        if len(self._replies) == 1:
            return self._first
        return Change(
            Gathered(tuple(self._replies), self._looks),
            self.record,
            timer=self._timer,
            apart=self._apart,
            said=tuple(self._said),
            look_again=self._look_again,
            passed=tuple(self._passed),
        )
