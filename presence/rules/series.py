"""Judge the candidates of a series one after the other, in one change of what the two negotiate. Pure.

Each is judged by the rule that judges it when it comes alone (`signals.check`), on what those before it have
made of the negotiation; what the last of them leaves is stored. Where a candidate brings about more than that
one write, the series ends with it, or before it: the rest is asked again by itself.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from presence.rules.change import Change, Facts, Rule, Step
from presence.rules.negotiated import Negotiation
from presence.rules.user import User
from tieline.wire.digests import digest
from tieline.wire.envelope import COMMAND_OF, Candidate
from tieline.wire.ids import FrameDigest, SessionId, UserId
from tieline.wire.internal.answers import Refused, SessionGone
from tieline.wire.internal.signals import Check, Relay, Verdict, Verdicts

_CANDIDATE: Final = COMMAND_OF[Candidate]

Judge = Callable[[Check], Rule[Negotiation]]
"""The rule for one signal."""


def judging(ask: Check, judge: Judge) -> Rule[Negotiation]:
    """Make the rule for a signal, and for candidates that follow a candidate."""
    first = judge(ask)
    if not ask.then or ask.cmd != _CANDIDATE:
        return first

    def decide(stored: Negotiation | None, users: Mapping[UserId, User], facts: Facts) -> Step[Negotiation]:
        step = first(stored, users, facts)
        if not isinstance(step, Change) or not _is_alone(step):
            return step  # it is judged once more, and answered by itself
        verdicts, apart = _Verdicts(), step.apart
        verdicts.add(step.reply)
        record = step.record
        for frame in ask.then:
            if apart is not None:
                break
            alone = msgspec.structs.replace(ask, digest=digest(frame), frame=frame)
            step = judge(alone)(record or stored, users, facts)
            if not isinstance(step, Change) or not _is_alone(step):
                break
            verdicts.add(step.reply)
            record, apart = step.record or record, step.apart
        return Change(Verdicts(tuple(verdicts.so_far)), record, apart=apart)

    return decide


def _is_alone(step: Change[Negotiation]) -> bool:
    """Whether a step is a verdict, and a record at most: all that a candidate is in nearly every case."""
    return step.then is None and not step.effects and not step.said and step.timer is None


class _Verdicts:
    """Verdicts that are carried out one after the other: what one delivers the next need not."""

    def __init__(self) -> None:
        self.so_far: list[Verdict] = []
        self._delivered: set[tuple[UserId, SessionId, bytes]] = set()
        self._released: set[tuple[UserId, FrameDigest]] = set()

    def add(self, reply: object) -> None:
        """Add the next one."""
        if isinstance(reply, Relay):
            deliveries = tuple(
                each
                for each in reply.deliveries
                if each.frame is None or (each.user, each.session, each.frame) not in self._delivered
            )
            releases = tuple(release for release in reply.releases if release not in self._released)
            self._delivered.update(
                (each.user, each.session, each.frame) for each in deliveries if each.frame is not None
            )
            self._released.update(releases)
            reply = msgspec.structs.replace(reply, deliveries=deliveries, releases=releases)
        assert isinstance(reply, Relay | Refused | SessionGone)  # nothing else answers a signal
        self.so_far.append(reply)
