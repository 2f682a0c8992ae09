"""Take what was replaced out of the mailbox: offers that a user who is away will never need.

Who calls somebody who is away again and again has each offer replaced by the next one, of up to 64 KiB, and
none was had by anybody. When the newer one is stored, the older one is looked up by its name, which the
stream knows for as long as it keeps a message, and deleted. Nobody waits for it. What cannot be deleted goes
when its time is up, like everything else. Which offers may go is decided in `presence.rules.negotiation`.
"""

import asyncio
import itertools
import logging
from typing import Final, NamedTuple

from presence.mail import PATIENCE_S, Mail
from presence.rules.effects import Replaced
from presence.side_by_side import both, side_by_side
from tieline.runtime.broker import BrokerAway
from tieline.runtime.guard import bug_guard
from tieline.runtime.requests import NoAnswer, Requests
from tieline.wire import jetstream
from tieline.wire.digests import name_of
from tieline.wire.subjects import Subjects

AFTER_S: Final = 1.0
"""Between two rounds: the router needs milliseconds to have the newer offer stored."""

TOGETHER: Final = 128
"""In one round: three small questions each, of a broker that answers ten thousand a second."""

TRIES: Final = 6
"""Rounds in which the newer offer is looked for: a router, or the next one that is asked, stores it within
5 s or not at all."""

MAX_WAITING: Final = 4096
"""Of more than so many the rest goes when its time is up. One user may make 120 offers a minute."""

PAUSE_S: Final = 60.0
"""After a question that nobody answers: the broker is away, or has permissions of an older version."""

_log = logging.getLogger(__name__)


class _Waiting(NamedTuple):
    what: Replaced
    tries: int = 0


class ReplacedMail:
    """What this process has yet to take out of the mailbox."""

    def __init__(self, requests: Requests, subjects: Subjects, tries: int = TRIES) -> None:
        self._tries = tries
        self._requests = requests
        self._mail = Mail(requests, subjects)
        self._place_of = subjects.place_of
        self._deletes = [jetstream.delete_message(part.mailbox()) for part in subjects.parts()]
        self._waiting: list[_Waiting] = []
        self._is_any = asyncio.Event()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def note(self, replaced: Replaced) -> None:
        """Have an offer taken out, soon after the one that has replaced it is stored."""
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append(_Waiting(replaced))
            self._is_any.set()

    async def run(self, after_s: float = AFTER_S, pause_s: float = PAUSE_S) -> None:
        """Take them out, for as long as the process lives."""
        while True:
            await self._is_any.wait()
            await asyncio.sleep(after_s)
            some, self._waiting = self._waiting[:TOGETHER], self._waiting[TOGETHER:]
            outcomes: list[bool] = []
            with bug_guard(_log, "replaced mail is kept: a bug"):
                try:
                    outcomes = await side_by_side(*(self._take_out(one.what) for one in some))
                except (NoAnswer, BrokerAway):
                    _log.warning("replaced mail is kept for a while: the mailbox does not answer")
                    self._waiting.clear()
                    await asyncio.sleep(pause_s)
            again = itertools.compress(some, (not is_done for is_done in outcomes))
            self._waiting += [
                one._replace(tries=one.tries + 1) for one in again if one.tries + 1 < self._tries
            ]
            if not self._waiting:
                self._is_any.clear()

    async def _take_out(self, replaced: Replaced) -> bool:
        """Delete what was replaced if what has replaced it is stored behind it; False: it is not stored."""
        older, newer = await both(
            self._mail.find(replaced.user, name_of(replaced.user, replaced.older)),
            self._mail.find(replaced.user, name_of(replaced.user, replaced.newer)),
        )
        if not newer:
            return False
        if 0 < older < newer:
            delete, payload = self._deletes[self._place_of(replaced.user)], jetstream.deletion_of(older)
            await self._requests.ask_once(delete, payload, PATIENCE_S)  # if it is gone, that is as well
        return True
