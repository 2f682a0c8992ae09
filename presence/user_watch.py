"""Watch the users' records in the bucket, so that this process may keep them (`presence.memory`).

The broker pushes each change of a user's record, in the order in which it was stored, and a heartbeat while
there is none. Both are numbered, so that a gap shows; where one shows, or nothing comes for some time, no
user counts as known until a new watch has begun. Who may not watch, because the permissions of the broker
are those of an older version, reads users as before.
"""

import asyncio
import contextlib
import logging
import secrets
from typing import Final, NamedTuple

from presence.memory import SILENCE_S, Memory
from presence.store import Record
from tieline.runtime.broker import Broker, BrokerAway, Message
from tieline.runtime.guard import bug_guard
from tieline.runtime.requests import NoAnswer, Requests
from tieline.runtime.unreadable import Unreadable
from tieline.wire import jetstream, jetstream_answers, jetstream_headers
from tieline.wire.partitions import FIRST
from tieline.wire.subjects import Keys

HEARTBEAT_S: Final = SILENCE_S / 4
"""Between two words of the broker: one that is late by a loop that is busy breaks nothing."""

GONE_AFTER_S: Final = 10.0
"""After so long without a listener the broker forgets a watch; this process begins another one sooner."""

PATIENCE_S: Final = 2.0
"""For the answer that a watch has begun: a leader election takes about one second."""


class Pace(NamedTuple):
    """How long is waited before another watch, in seconds."""

    after_gap: float = 0.5
    after_refusal: float = 60.0
    """Of a broker that has older permissions, or no bucket: each attempt is a line in its log."""


USUAL: Final = Pace()

_log = logging.getLogger(__name__)


class UserWatch:
    """One process's watch. `stream` is the bucket's stream, `prefix` its subject prefix."""

    def __init__(
        self,
        broker: Broker,
        requests: Requests,
        stream: str,
        prefix: str,
        memory: Memory,
        pace: Pace = USUAL,
        at: int = FIRST,
    ) -> None:
        """Take also which partition of the bucket that is."""
        self._at = at
        self._broker = broker
        self._requests = requests
        self._stream = stream
        self._cut = len(prefix)
        self._pattern = prefix + Keys.users()
        self._memory = memory
        self._pace = pace
        self._unreadable = Unreadable(_log)
        self._broken = asyncio.Event()
        self._last = 0
        """The number of the last change that has come."""
        broker.when_away(self._away)

    def _away(self) -> None:
        self._memory.forget_all()
        self._broken.set()

    def _break(self) -> None:
        self._memory.end_watch(self._at)
        self._broken.set()

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            has_begun = False
            with bug_guard(_log, "users are not watched: a bug"):
                try:
                    has_begun = await self._watch()
                except (NoAnswer, BrokerAway) as error:
                    _log.warning("users are not watched, but read", extra={"error": repr(error)})
            await asyncio.sleep(self._pace.after_gap if has_begun else self._pace.after_refusal)

    async def _watch(self) -> bool:
        """Watch until there is a gap; returns whether it has begun."""
        self._broken.clear()
        self._last = 0
        self._memory.prepare_watch(self._at)
        inbox, name = self._broker.client.new_inbox(), f"users-{secrets.token_hex(8)}"
        subscription = await self._broker.subscribe(inbox, self._on_message)
        try:
            ask = jetstream.watch_of(self._stream, name, inbox, self._pattern, HEARTBEAT_S, GONE_AFTER_S)
            subject = jetstream.create_consumer(self._stream, name, self._pattern)
            reply = await self._requests.ask_once(subject, ask, PATIENCE_S)
            begun = jetstream_answers.read_watch(reply.data)
            if begun.delivered is None:
                _log.warning("users are not watched, but read", extra={"error": repr(begun.error)})
                return False
            self._memory.begin_watch(begun.delivered.stream_seq, self._at)
            while not self._broken.is_set() and self._memory.knows_users_of(self._at):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(SILENCE_S):
                        await self._broken.wait()
            _log.info("the watch of users begins anew")
            return True
        finally:
            self._memory.end_watch(self._at)
            await self._broker.drain(subscription)

    def _on_message(self, message: Message) -> None:
        if message.status == jetstream_headers.HEARTBEAT:
            if jetstream_headers.last_delivered(message) == self._last:
                self._memory.heard(self._at)
            else:
                self._break()
            return
        try:
            revision, number = jetstream_headers.delivered_as(message.reply)
        except ValueError as error:
            self._unreadable.note("change", error)
            return
        if number != self._last + 1:
            self._break()
            return
        self._last = number
        self._memory.changed(message.subject[self._cut :], Record(message.data, revision), self._at)
