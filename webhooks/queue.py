"""What waits to be told to one endpoint, in which order, and when it is tried again. Pure.

Events of one subject, which is a call or a room, are told in the order of the stream: none before the one
ahead of it is taken. Events of different subjects go together in one delivery while all is well, in the
stream's order, too.

    delivery taken ----> its events are done, the next delivery is twice as big, up to the limit
    delivery failed ---> of several events: the next one is a quarter as big
                         of one event: its subject waits, twice as long each time, and the others go on;
                         an event that has waited for all the time that there is, dies, unless its subject
                         has only just begun to fail: what no worker was there to tell is old and not refused

A subject that waits is tried with one event at a time, so that it takes no others with it, and after the
others when the last attempt has failed. While everything fails, the endpoint itself is tried less and less
often. Only the places of events that are read and not done are remembered (`Progress`), and so many at most.

No clock and no chance: times, in Unix milliseconds, and random numbers are arguments.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import msgspec

from tieline.wire.cloud_events import StoredEvent
from tieline.wire.webhooks import Failing, Progress

MOST_WAITING: Final = 1000
"""Events of one endpoint that are read and not done; what comes after them stays in the stream."""

MOST_BYTES: Final = 262_144
"""Of events in one delivery: what receivers take without being told to."""

FIRST_MS: Final = 1000
"""Before the second attempt; then twice as long each time."""

LONGEST_MS: Final = 60_000
"""Between two attempts at an endpoint that takes nothing: it is back as soon as somebody looks."""

LONGEST_OF_ONE_MS: Final = 900_000
"""Between two attempts at one subject, while others are taken."""

AT_LEAST_MS: Final = 900_000
"""For so long a subject is tried before an event of it dies, however old that is: ten times."""

SPLIT_MS: Final = 200
"""Before a delivery that was answered with a refusal is tried in smaller ones."""

MAX_DOUBLINGS: Final = 20


class Wait(msgspec.Struct, frozen=True):
    """Nothing is to be told before that; None: not before something is added."""

    until: int | None


class Failed(NamedTuple):
    """How a delivery failed."""

    is_answered: bool
    """The receiver is there, and said no: smaller deliveries may fare better."""
    retry_after_ms: int = 0
    """What it asks for."""


class Queue:
    """What waits for one endpoint."""

    def __init__(self, progress: Progress, batch: int, retry_for_ms: int) -> None:
        """Go on from what another one, or this one, has reached. What was waiting is to be added again."""
        self.read = progress.read
        self._waiting: dict[int, StoredEvent] = {}
        self._failing = {failing.subject: failing for failing in progress.failing}
        self._failures = progress.failures
        self._failing_since = progress.failing_since
        self._next_at = progress.next_at
        self._batch = batch
        self._limit = 1 if progress.failures else batch
        self._retry_for_ms = retry_for_ms

    def __len__(self) -> int:
        """Count what waits."""
        return len(self._waiting)

    @property
    def oldest_at(self) -> int | None:
        """When what has waited longest was stored; None: nothing waits."""
        return min((event.at for event in self._waiting.values()), default=None)

    @property
    def room(self) -> int:
        """How many more events may be added."""
        return max(0, MOST_WAITING - len(self._waiting))

    def add(self, event: StoredEvent) -> None:
        """Take an event that is wanted, as the stream has them one after the other."""
        self._waiting[event.sequence] = event
        self.read = max(self.read, event.sequence)

    def skip(self, sequence: int) -> None:
        """Take note of one that is not wanted."""
        self.read = max(self.read, sequence)

    def progress(self) -> Progress:
        """Say what has to be remembered."""
        subjects = {event.subject for event in self._waiting.values()}
        failing = tuple(each for subject, each in self._failing.items() if subject in subjects)
        return Progress(
            self.read, tuple(self._waiting), failing, self._failures, self._failing_since, self._next_at
        )

    def due(self, now: int) -> tuple[StoredEvent, ...] | Wait:
        """Choose what is to be told now."""
        if not self._waiting:
            return Wait(None)
        if now < self._next_at:
            return Wait(self._next_at)
        chosen: list[StoredEvent] = []
        again: StoredEvent | None = None
        size, held = 0, set[str]()
        for event in self._waiting.values():
            failing = self._failing.get(event.subject)
            if failing is not None:
                if again is None and event.subject not in held and failing.next_at <= now:
                    again = event
                held.add(event.subject)
                continue
            size += len(event.body)
            if len(chosen) == self._limit or (chosen and size > MOST_BYTES):
                break  # what failed and stands behind that comes later
            chosen.append(event)
        is_first = again is not None and (not chosen or again.sequence < chosen[0].sequence)
        if again is not None and (not chosen or (is_first and not self._failures)):
            return (again,)  # but when the last attempt has failed, the others come first
        if chosen:
            return tuple(chosen)
        return Wait(min(self._failing[subject].next_at for subject in held))

    def taken(self, events: Iterable[StoredEvent]) -> None:
        """Take note that a delivery was taken."""
        for event in events:
            del self._waiting[event.sequence]
            self._failing.pop(event.subject, None)
        self._limit = min(self._batch, 2 * self._limit)
        self._failures = self._failing_since = self._next_at = 0

    def failed(
        self, events: Sequence[StoredEvent], how: Failed, now: int, chance: float
    ) -> list[StoredEvent]:
        """Take note that a delivery failed; returns the events that die of it.

        `chance`, from 0 to 1, keeps workers that fail together from trying again together.
        """
        self._failing_since = self._failing_since or now
        event, is_alone = events[0], len(events) == 1
        before = self._failing.get(event.subject, Failing(event.subject, 0, 0, now))
        if not is_alone:
            self._limit = max(1, len(events) // 4)
            if how.is_answered and not how.retry_after_ms:
                self._next_at = now + SPLIT_MS
                return self._died_with_the_endpoint(now)
        else:
            count = before.failures + 1
            next_at = now + _pause_ms(count, LONGEST_OF_ONE_MS, chance)
            self._failing[event.subject] = Failing(event.subject, count, next_at, before.since)
        self._failures += 1
        self._next_at = now + max(_pause_ms(self._failures, LONGEST_MS, chance), how.retry_after_ms)
        dead = self._died_with_the_endpoint(now)
        if is_alone and not dead and self._is_late(event, before.since, now):
            dead = [event]
            self._bury(dead)
            if any(each.subject == event.subject for each in self._waiting.values()):
                self._failing[event.subject] = Failing(
                    event.subject, 0, 0, before.since
                )  # it is tried at once
        return dead

    def _is_late(self, event: StoredEvent, failing_since: int, now: int) -> bool:
        """Whether an event is as old as one may be, and its subject has failed for a while."""
        tried_until = failing_since + min(self._retry_for_ms, AT_LEAST_MS)
        return event.at + self._retry_for_ms <= now and tried_until <= now

    def crowded_out(self) -> list[StoredEvent]:
        """Let an event die early so that others may come: the first of the subject of which most wait.

        That is for when everything is full of subjects that fail, while the receiver takes others.
        """
        if self.room or self._failures:
            return []
        counts: dict[str, int] = {}
        for event in self._waiting.values():
            if event.subject in self._failing:
                counts[event.subject] = counts.get(event.subject, 0) + 1
        if 2 * sum(counts.values()) < len(self._waiting):
            return []
        subject = max(counts, key=counts.__getitem__)
        first = next(event for event in self._waiting.values() if event.subject == subject)
        self._bury([first])
        return [first]

    def _died_with_the_endpoint(self, now: int) -> list[StoredEvent]:
        """List what has waited for too long, of an endpoint that has taken nothing in all that time."""
        if self._failing_since + self._retry_for_ms > now:
            return []
        dead = [event for event in self._waiting.values() if event.at + self._retry_for_ms <= now]
        self._bury(dead)
        return dead

    def _bury(self, dead: Iterable[StoredEvent]) -> None:
        for event in dead:
            del self._waiting[event.sequence]
            self._failing.pop(event.subject, None)  # the next one of its subject may fare better


def _pause_ms(failures: int, longest_ms: int, chance: float) -> int:
    """Return how long to wait after so many failures, and up to a quarter more."""
    pause = min(longest_ms, FIRST_MS << min(failures - 1, MAX_DOUBLINGS))
    return int(pause * (1 + chance / 4))
