"""Store several frames in their order, in as few round trips as the mailbox allows.

None may be stored unless the one before it is: a frame that is lost and published again would come after
those that follow it. So whoever stores several must have the stream itself refuse what follows one that it
does not have (docs/decisions/0096-candidates-that-wait-go-together.md):

- on one node each names the one before it, and is refused if that is not the stream's last message;
- on several the stream takes all of them together, or none, if it was made so (`presence.mailbox`).

Where neither is possible, or something comes in between, they are stored one by one.
"""

import asyncio
import functools
import itertools
import secrets
from collections.abc import Callable, Sequence
from typing import Final

from router.parcels import Done, Outcome, Parcel
from tieline.runtime.answer_time import AnswerTime
from tieline.runtime.broker import Broker, BrokerAway
from tieline.runtime.requests import NoAnswer, Requests
from tieline.wire import jetstream_answers, jetstream_headers
from tieline.wire.digests import message_id
from tieline.wire.subjects import Subjects

AT_ONCE: Final = 64
"""Parcels in one round: as many as an answer may release for each side. JetStream takes up to 1,000."""

TOGETHER_LEAST_S: Final = 1.0
"""For the answer to parcels that are stored together, which are not sent again: a hundred times the usual.
After that they are stored one by one."""

TOGETHER_MOST_S: Final = 2.0
"""Where the mailbox answers slowly: to store all of them one by one would be slower still. An election takes
about one second."""

LEARNED_FOR_S: Final = 60.0
"""What the stream allows is asked as often: it changes when an operator changes it."""


Store = Callable[[Parcel, Done, str], None]
"""Publishes a parcel until the mailbox has answered. The text names what must be stored just before it, if
anything must."""


class InOrder:
    """Stores parcels over one broker connection."""

    def __init__(self, broker: Broker, requests: Requests, subjects: Subjects, store: Store) -> None:
        self._broker = broker
        self._requests = requests
        self._subjects = subjects
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._questions = [part.mailbox_question() for part in subjects.parts()]
        self._usual = AnswerTime(TOGETHER_LEAST_S, TOGETHER_MOST_S)
        self._takes_batches: dict[int, tuple[bool, float]] = {}
        """By partition: what it says, and until when that is believed."""
        broker.when_away(self._forget)

    def _forget(self) -> None:
        self._takes_batches.clear()

    async def round(self, parcels: Sequence[Parcel]) -> list[Outcome]:
        """Store as many of them as go in one round, one at least, and say what became of those.

        None is stored behind one that is not; that is the last one of which anything is said.
        """
        at = self._subjects.place_of(parcels[0].user)
        # Two streams have no order: what goes to another partition waits for what is before it.
        some = list(
            itertools.takewhile(lambda each: self._subjects.place_of(each.user) == at, parcels[:AT_ONCE])
        )
        if len(some) > 1 and self._broker.is_alone:
            return await self._chained(some)
        if len(some) > 1 and await self._may_go_together(at) and await self._together(some):
            return [Outcome.STORED] * len(some)
        return [await self._begin(parcels[0])]

    async def _chained(self, parcels: Sequence[Parcel]) -> list[Outcome]:
        before = ["", *(message_id(each.user, each.frame) for each in parcels[:-1])]
        found: list[Outcome] = []
        for storing in [self._begin(*each) for each in zip(parcels, before, strict=True)]:
            outcome = await storing
            if outcome is Outcome.OVERTAKEN:
                break
            found.append(outcome)
            if outcome is not Outcome.STORED:
                break
        return found

    def _begin(self, parcel: Parcel, before: str = "") -> asyncio.Future[Outcome]:
        done: asyncio.Future[Outcome] = self._loop.create_future()
        self._store(parcel, functools.partial(_set, done), before)
        return done

    async def _together(self, parcels: Sequence[Parcel]) -> bool:
        """Store all in one; False: it is not known that they are."""
        batch = secrets.token_hex(8)
        name = functools.partial(jetstream_headers.in_batch, batch)
        *others, last = parcels
        try:
            for place, each in enumerate(others, 1):
                named = message_id(each.user, each.frame)
                headers = name(place, is_last=False, message_id=named, call=each.call)
                self._broker.send(self._subjects.user(each.user, each.session), each.frame, headers=headers)
            named = message_id(last.user, last.frame)
            headers = name(len(parcels), is_last=True, message_id=named, call=last.call)
            subject = self._subjects.user(last.user, last.session)
            asked = self._requests.begin_once(
                subject, last.frame, TOGETHER_MOST_S, headers, usual=self._usual
            )
            reply = await asked.reply()
        except (BrokerAway, NoAnswer):
            return False
        answer = jetstream_answers.read_published(reply.data)
        return answer.error is None and answer.batch == batch

    async def _may_go_together(self, at: int) -> bool:
        """Whether a partition's stream takes several together, as it says itself.

        One that has never heard of that would take each of them, whatever became of the others.
        """
        now = self._loop.time()
        takes_batches, known_until = self._takes_batches.get(at, (False, 0.0))
        if now < known_until:
            return takes_batches
        batch = secrets.token_hex(8)
        headers = jetstream_headers.in_batch(batch, 1, is_last=True)
        try:
            reply = await self._requests.ask_once(self._questions[at], b"", TOGETHER_LEAST_S, headers)
        except NoAnswer:
            return False
        answer = jetstream_answers.read_published(reply.data)
        takes_batches = answer.error is None and answer.batch == batch
        self._takes_batches[at] = takes_batches, now + LEARNED_FOR_S
        return takes_batches


def _set(outcome: asyncio.Future[Outcome], value: Outcome) -> None:
    if not outcome.done():  # else who awaited it was cancelled
        outcome.set_result(value)
