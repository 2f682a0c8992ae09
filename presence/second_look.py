"""Look at the users of an offer once more, when it has gone out, and end it if one of them has gone.

Of an offer and an end that cross, either the end finds the offer, or this look finds the end: it reads the
users as they are in the revision of the offer's record, or later. Nobody waits for it. An end that is still
under way comes first: it does not tell whoever has left, and this look cannot say which of the two that is.
The end must come behind the offer, which a router publishes meanwhile: so it waits until the mailbox has
that. What is looked at, and how an offer ends, is decided in `presence.rules.signals`. Where a process dies
before it has looked, an offer ends with its time.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple, Protocol

from presence.record_codec import users_in
from presence.records import Records
from presence.rules.change import LookAgain, Rule
from presence.rules.negotiated import Negotiation
from presence.rules.user import User
from presence.store import StoreUnavailable
from tieline.runtime.broker import BrokerAway
from tieline.runtime.requests import NoAnswer
from tieline.wire.digests import name_of
from tieline.wire.ids import UserId
from tieline.wire.subjects import Keys

TRIES: Final = 5
"""Looks before an offer is left to its time, where the broker does not answer: with the pauses some seconds
longer than the election of a leader takes."""


class Pace(NamedTuple):
    """How long is waited for what, in seconds."""

    between_looks: float = 1.0
    """Where the broker does not answer."""
    between_questions: float = 0.05
    """Whether the offer is stored: a router needs some milliseconds, and this is rare."""
    questions: int = 160
    """How often that is asked."""
    endings: int = 20
    """How often it is looked whether an end is still under way, as far apart: its process may have died."""
    until_stored: float = 8.0
    """For all these, whether the mailbox answers or not: a gateway asks routers for 5 s, and the last one
    that it asks waits 3 s for a verdict. What is not stored then never is."""


USUAL: Final = Pace()

_log = logging.getLogger(__name__)


class Mail(Protocol):
    """What the mailbox has; `presence.mail.Mail` is it."""

    async def find(self, user: UserId, name: str) -> int:
        """Find where a frame for a user is stored; 0: nowhere. Raises `NoAnswer`."""
        ...


class Offered(NamedTuple):
    """An offer that was stored."""

    one: UserId
    other: UserId
    look: LookAgain
    revision: int
    """Of the negotiation's record: what was stored before that the look must see."""


End = Callable[[UserId, UserId, Rule[Negotiation]], Awaitable[object]]
"""Change what two users negotiate by a rule, by the leader's word."""


class SecondLooks:
    """Looks again, and ends what has to end."""

    def __init__(self, records: Records, end: End, mail: Mail, pace: Pace = USUAL) -> None:
        self._records = records
        self._end = end
        self._mail = mail
        self._pace = pace

    async def look(self, offered: Offered) -> None:
        """Look at an offer's users once more. Where that fails again and again it says so, and no more."""
        until = asyncio.get_running_loop().time() + self._pace.until_stored
        for left in reversed(range(TRIES)):
            try:
                await self._look(offered, until)
            except (StoreUnavailable, BrokerAway) as error:
                _log.warning("an offer not looked at again", extra={"error": repr(error), "tries_left": left})
                if left:
                    await asyncio.sleep(self._pace.between_looks)
            else:
                return

    async def _look(self, offered: Offered, until: float) -> None:
        one, other, look, revision = offered
        for left in reversed(range(self._pace.endings)):
            users = await self._users_after(one, other, revision)
            if look.is_well(users):
                return
            if not (left and look.is_being_ended(users)):
                break
            await asyncio.sleep(self._pace.between_questions)
        if look.digest is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await self._wait_for(look.target, name_of(look.target, look.digest))
        await self._end(one, other, look.end)

    async def _users_after(self, one: UserId, other: UserId, revision: int) -> Mapping[UserId, User]:
        """Read two users as of a revision, or later: from any replica that has that, or the leader."""
        keys, pair = (Keys.user(one), Keys.user(other)), Keys.pair(one, other)
        dated = await self._records.store.read_dated(*keys)
        found = dated.found
        are_together = self._records.are_together
        if any(dated.as_of(key) < revision or not are_together(key, pair) for key in keys):
            found = await self._records.store.read(*keys, confirmed=True)
        return users_in(found, (one, other))

    async def _wait_for(self, target: UserId, name: str) -> None:
        for left in reversed(range(self._pace.questions)):
            if await self._has(target, name):
                return
            if left:
                await asyncio.sleep(self._pace.between_questions)

    async def _has(self, target: UserId, name: str) -> bool:
        try:
            return await self._mail.find(target, name) > 0
        except NoAnswer as error:
            _log.warning("the mailbox does not say what it has", extra={"error": repr(error)})
            return False
