"""Take a series of candidates apart, and an offer with those that follow it; put the answers together. Pure.

Each candidate is judged by the rule that judges it when it comes alone (`signals.check`), as all signals are
that gather (`gathered`). What follows an answer is not asked about: the answer lets it pass (`granting`).
Where not all could be judged in one change, the reply ends: the rest is asked again.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from presence.rules.change import Reply
from tieline.wire.digests import digest
from tieline.wire.envelope import COMMAND_OF, Candidate, Offer
from tieline.wire.ids import FrameDigest, SessionId, UserId
from tieline.wire.internal.answers import Refused, SessionGone
from tieline.wire.internal.signals import Check, Relay, Verdict, Verdicts

_CANDIDATE: Final = COMMAND_OF[Candidate]

JUDGED_WITH: Final = (_CANDIDATE, COMMAND_OF[Offer])
"""What those that follow it are judged with."""


def one_by_one(ask: Check) -> list[Check]:
    """List the signals of a series, each as if it came alone; what follows another signal is left out."""
    if not ask.then or ask.cmd not in JUDGED_WITH:
        return [ask]
    others = (
        msgspec.structs.replace(ask, cmd=_CANDIDATE, digest=digest(frame), frame=frame, then=())
        for frame in ask.then
    )
    return [ask, *others]


def answered(replies: Iterable[Reply]) -> Verdicts:
    """Make one answer of the verdicts on a series, which are carried out one after the other.

    What one of them delivers beforehand the next ones do not name again.
    """
    verdicts: list[Verdict] = []
    delivered: set[tuple[UserId, SessionId, bytes]] = set()
    released: set[tuple[UserId, FrameDigest]] = set()
    for reply in replies:
        assert isinstance(reply, Relay | Refused | SessionGone)  # nothing else answers a signal
        if not isinstance(reply, Relay):
            verdicts.append(reply)
            continue
        deliveries = tuple(
            each
            for each in reply.deliveries
            if each.frame is None or (each.user, each.session, each.frame) not in delivered
        )
        releases = tuple(release for release in reply.releases if release not in released)
        delivered.update((each.user, each.session, each.frame) for each in deliveries if each.frame)
        released.update(releases)
        verdicts.append(msgspec.structs.replace(reply, deliveries=deliveries, releases=releases))
    return Verdicts(tuple(verdicts))
