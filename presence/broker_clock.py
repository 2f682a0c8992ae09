"""The broker's time: by it presence writes when something was, and judges how long ago that is.

All processes go by the one clock of the bucket's leader, so what one has written is judged rightly by
another, however their own clocks differ (docs/decisions/0081-what-is-asked-late-changes-nothing.md). Between
two answers the time goes on by the monotonic clock, which nobody sets. A process whose own clock is right, as
far as an answer can tell, goes by that: what processes of one machine write has its order then. How far the
own clock is off is measured by `tieline.runtime.clock_watch`.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from presence.bucket import TIMEOUT_S
from tieline.runtime.clock_watch import ClockWatch
from tieline.runtime.requests import NoAnswer, Requests
from tieline.wire import jetstream, jetstream_answers

EVERY_S: Final = 5.0
"""Between two questions. Clocks drift by milliseconds a minute; another leader may have another time, and a
machine that was suspended has slept through some."""

KEPT: Final = 3
"""Answers from which the quickest is believed: it says best when the broker had that time."""

DRIFT_S: Final = 0.001
"""By which two clocks of one machine may differ after some seconds, while one of them is being corrected."""

RETRY_S: Final = 0.25
"""Between two questions before the first answer, without which a process does not begin."""


class _Answer(NamedTuple):
    """What the broker said once, in seconds."""

    round_trip_s: float
    ahead_s: float
    """Of the monotonic clock: the broker's Unix time."""


class BrokerClock:
    """The broker's time, asked of a stream's leader."""

    def __init__(
        self,
        requests: Requests,
        stream: str,
        watch: ClockWatch,
        monotonic: Callable[[], float] = time.monotonic,
        own: Callable[[], float] = time.time,
    ) -> None:
        self._requests = requests
        self._subject = jetstream.stream_info(stream)
        self._watch = watch
        self._monotonic = monotonic
        self._own = own
        self._answers: deque[_Answer] = deque(maxlen=KEPT)

    def now_ms(self) -> int:
        """Tell the broker's time, in Unix milliseconds. It has to be `known` first."""
        quickest = min(self._answers)
        now, own = self._monotonic() + quickest.ahead_s, self._own()
        is_right = abs(own - now) <= quickest.round_trip_s / 2 + DRIFT_S
        return int((own if is_right else now) * 1000)

    async def known(self) -> None:
        """Return when the broker has said its time once."""
        while True:
            if await self._ask():
                return
            await asyncio.sleep(RETRY_S)

    async def keep(self, every_s: float = EVERY_S) -> None:
        """Ask again and again until cancelled."""
        while True:
            await asyncio.sleep(every_s)
            await self._ask()

    async def _ask(self) -> bool:
        asked_at = self._monotonic()
        try:
            answer = await self._requests.ask_once(self._subject, b"", TIMEOUT_S)
        except NoAnswer:
            return False
        now = self._monotonic()
        stream = jetstream_answers.read_stream(answer.data)
        if stream.ts == jetstream_answers.NEVER:
            return False
        broker_s, round_trip_s = stream.ts.timestamp(), now - asked_at
        self._answers.append(_Answer(round_trip_s, broker_s + round_trip_s / 2 - now))
        self._watch.compare(broker_s, round_trip_s)
        return True
