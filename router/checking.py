"""Ask presence what becomes of a signal: the process that judges its pair, if one is preferred, or any.

Which one is preferred is decided in `judges`; what is done with the verdicts, in `service`.
"""

import functools
import logging
import time
from typing import Final

import msgspec

from router.judges import Judges
from router.stored import Release
from tieline import metrics
from tieline.runtime.answer_time import LEAST_S
from tieline.runtime.answers import Asking
from tieline.runtime.patience import waiting_for
from tieline.runtime.requests import NoAnswer, Requests
from tieline.runtime.unreadable import Unreadable
from tieline.wire.checks import UNREADABLE
from tieline.wire.digests import digest
from tieline.wire.envelope import COMMAND_OF, Candidate, Offer
from tieline.wire.internal import codec
from tieline.wire.internal.answers import Refused, SessionGone
from tieline.wire.internal.directions import OPERATIONS, PresenceReply
from tieline.wire.internal.signals import Check, Relay, Signal, Verdict, Verdicts
from tieline.wire.subjects import Subjects

CHECK_PATIENCE_S: Final = 3.0
"""For presence's verdict: less than the 5 s for which the gateway asks, so that its next attempt, and not
this one, is the one that is answered late."""

_CANDIDATE: Final = COMMAND_OF[Candidate]

_JUDGED_WITH: Final = (_CANDIDATE, COMMAND_OF[Offer])
"""What presence judges together with the candidates that follow it. Those behind an answer it lets pass."""

_log = logging.getLogger(__name__)


class Checking:
    """Asks over one connection."""

    def __init__(self, requests: Requests, subjects: Subjects, preferred_s: float = LEAST_S) -> None:
        """Take also how long at least the process that is preferred has, before any is asked."""
        self._requests = requests
        self._asking = Asking(requests)
        self._subjects = subjects
        self._judges = Judges(preferred_s)
        self._unreadable = Unreadable(_log)

    async def verdicts(self, signal: Signal, cmd: str, carried: tuple[Release, ...]) -> tuple[Verdict, ...]:
        """Ask what is to become of a signal, and of those that follow it; an older presence looks at one.

        Raises:
            NoAnswer: presence does not answer in time.
        """
        is_candidate = cmd == _CANDIDATE
        check = Check(
            signal.user,
            signal.session,
            signal.to,
            cmd,
            digest(signal.frame),
            signal.frame if is_candidate else b"",
            signal.call,
            connection=signal.connection,
            carried=carried,
            at=signal.at,
            then=signal.then if cmd in _JUDGED_WITH else (),
            sends_frame=True,
        )
        began = time.monotonic()
        with metrics.CHECK_SECONDS.time():
            verdict = await self._ask(check, began)
            if isinstance(verdict, Refused) and verdict.wants_frame:
                verdict = await self._ask(msgspec.structs.replace(check, frame=signal.frame), began)
        if isinstance(verdict, Verdicts):
            return self._noted(verdict.verdicts)
        assert isinstance(verdict, Relay | Refused | SessionGone)  # nothing else answers a check
        return self._noted((verdict,))

    async def _ask(self, check: Check, began: float) -> PresenceReply:
        """Ask the process that is preferred, or any, until `CHECK_PATIENCE_S` have passed since it began."""
        verdict = await self._ask_preferred(check, began + CHECK_PATIENCE_S)
        if verdict is not None:
            return verdict
        return await self._asking.ask(
            self._subjects.presence(OPERATIONS[Check]),
            codec.encode(check),
            functools.partial(codec.read_answer, check),
            began + CHECK_PATIENCE_S - time.monotonic(),
        )

    async def _ask_preferred(self, check: Check, until: float) -> PresenceReply | None:
        """Ask the process that is preferred for a pair, once; None: any has to be asked.

        It has as long as its answers take lately, and no more than half of the time that is left: another one
        must be able to answer as well.
        """
        now = time.monotonic()
        judge = self._judges.prefer(check.user, check.to, now)
        if judge is None:
            return None
        most_s, usual = (until - now) / 2, self._judges.usual_of(judge)
        subject, headers = self._subjects.judge(judge), waiting_for(most_s)
        asked = self._requests.begin_once(subject, codec.encode(check), most_s, headers, usual=usual)
        try:
            return codec.read_answer(check, (await asked.reply()).data)
        except NoAnswer:
            if most_s >= LEAST_S:  # else too little time was left to tell
                metrics.JUDGES_LEFT.inc()
                self._judges.avoid(judge, now)
        except UNREADABLE as error:
            self._unreadable.note("answer", error)
        return None

    def _noted(self, verdicts: tuple[Verdict, ...]) -> tuple[Verdict, ...]:
        """Take note of who has judged."""
        for each in verdicts:
            if isinstance(each, Relay):
                self._judges.note(each.by, time.monotonic())
        return verdicts
