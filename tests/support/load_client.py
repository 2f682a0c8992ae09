"""One client of a load: it resumes, sends again what was not acknowledged, and counts what comes.

It keeps no memory of what it has received, as the real client does: what the server delivers twice, it counts
twice.
"""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from tests.support.delivery_report import DeliveryReport, NumberedMessages
from tests.support.frames import ANSWER, CANDIDATE, OFFER, Json, token
from tieline.load.connection import Connection, UpgradeRefused, connect

BACKOFF_S: Final = 0.3
"""The longest that a client waits before it tries to come back, each time a random part of it."""

WELCOME_S: Final = 10.0
"""For the WELCOME after the upgrade; they are sent together."""

MAX_UNDER_WAY: Final = 100
"""Messages to one receiver that it has not got yet. A session may miss 256 and no more (see
docs/protocol.md#6-losing-the-connection), and an event or two come on top."""


class LoadClient:
    """One user. `wrote` are the messages that it sends to its peer, `reads` those that it gets.

    It connects from the address `source`, if that is given.
    """

    def __init__(
        self,
        user: str,
        other: str,
        room: str,
        urls: Sequence[str],
        first: int,
        wrote: NumberedMessages,
        reads: NumberedMessages,
        window: int,
        chance: random.Random,
        news: Callable[[], None],
        source: str | None = None,
    ) -> None:
        self.user = user
        self._source = source
        self._other = other
        self._room = room
        self._urls = list(urls)
        self._wrote = wrote
        self._reads = reads
        self._window = window
        self._chance = chance
        self._news = news
        self._next_url = first
        self._resume_token = ""
        self._last = ""
        self._connection: Connection | None = None
        self._welcome: asyncio.Future[Json] | None = None
        self._unacked: dict[str, bytes] = {}
        self._sending = False
        self._leaving: asyncio.Future[None] | None = None
        self._left: list[Connection] = []
        self._repeated = self._foreign = self._refused = self._hung_up = self._sessions_lost = 0
        self._event_ids: set[tuple[str, str]] = set()
        self._acked_at = self._received_at = time.monotonic()
        self._longest_s = 0.0
        self.heard_cmds: set[str] = set()
        self.counts: Counter[str] = Counter()
        """What happened to its connections, and what it was asked to send again: for people."""

    def call(self) -> None:
        """Offer; the other answers by itself."""
        self._send(OFFER, f"offer-{self.user}", {"sdp": "offer"})

    def begin(self) -> None:
        """Send candidates, one with every `beat`."""
        self._sending = True
        self._acked_at = self._received_at = time.monotonic()

    def stop(self) -> None:
        """Send no more new messages."""
        self._sending = False

    def beat(self) -> None:
        """Send the next message, unless too many are unanswered or not received."""
        if (
            self._sending
            and len(self._unacked) < self._window
            and self._wrote.sent - self._wrote.received < MAX_UNDER_WAY
        ):
            number = self._wrote.send()
            self._send(CANDIDATE, f"{self.user}/{number}", number)

    def move(self) -> None:
        """Resume on the next gateway, without leaving the present one first."""
        if self._leaving is not None and not self._leaving.done():
            self._leaving.set_result(None)

    def begin_pause(self) -> None:
        """Measure pauses anew from here."""
        self._acked_at = self._received_at = time.monotonic()
        self._longest_s = 0.0

    @property
    def longest_pause_s(self) -> float:
        """The longest time without an ack or without a message since `begin_pause`."""
        now = time.monotonic()
        return max(self._longest_s, now - self._acked_at, now - self._received_at)

    @property
    def silence_s(self) -> float:
        """How long nothing has come at all."""
        return time.monotonic() - max(self._acked_at, self._received_at)

    @property
    def progress(self) -> tuple[int, int]:
        """How many of its messages were acknowledged, and how many it has received."""
        return self._wrote.acked, self._reads.received

    @property
    def is_settled(self) -> bool:
        """Whether everything it sent is acknowledged."""
        return not self._unacked

    @property
    def has_left_nothing_open(self) -> bool:
        """Whether the server has closed every connection that this client resumed elsewhere."""
        return all(connection.closed.done() for connection in self._left)

    @property
    def url_in_use(self) -> str | None:
        """The gateway it is connected to now."""
        return self._url if self._connection is not None else None

    def report(self, *, at_rest: bool) -> DeliveryReport:
        """Sum up what this client saw, and its messages (see `NumberedMessages.report`)."""
        mine = DeliveryReport(
            repeated=self._repeated,
            foreign=self._foreign,
            refused=self._refused,
            hung_up=self._hung_up,
            sessions_lost=self._sessions_lost,
        )
        return mine + self._wrote.report(at_rest=at_rest)

    async def live(self) -> None:
        """Be connected, again and again, until cancelled; then say goodbye."""
        try:
            while True:
                connection = self._connection = await self._come()
                for frame in self._unacked.values():
                    connection.send(frame)
                self._news()
                await self._stay(connection)
                self._connection = None
                if connection.closed.done():
                    await self._wait()
        finally:
            if self._connection is not None:
                self._left.append(self._connection)
            for left in self._left:  # the older ones are open still if a test has failed
                await left.close()

    async def _come(self) -> Connection:
        while True:
            self._url = self._urls[self._next_url]
            self._next_url = (self._next_url + 1) % len(self._urls)
            try:
                connection = await self._connect()
            except (UpgradeRefused, OSError) as error:  # TimeoutError is an OSError
                self.counts[type(error).__name__] += 1
            else:
                if connection is not None:
                    return connection
                self.counts["no welcome"] += 1
            await self._wait()

    async def _wait(self) -> None:
        """Wait a little before coming back, each client for a time of its own."""
        await asyncio.sleep(self._chance.uniform(0, BACKOFF_S))

    async def _connect(self) -> Connection | None:
        self._welcome = asyncio.get_running_loop().create_future()
        connection = await connect(f"{self._url}?{self._query()}", self._hear, source=self._source)
        either: list[asyncio.Future[Any]] = [self._welcome, connection.closed]
        await asyncio.wait(either, timeout=WELCOME_S, return_when=asyncio.FIRST_COMPLETED)
        if self._welcome.done():
            self._take_up(self._welcome.result())
            return connection
        self._leave(connection)
        return None

    def _query(self) -> str:
        return urlencode(
            {
                "token": token(self.user, {"join": [self._room]}),
                "acks": "1",
                "resume": self._resume_token,
                "last": self._last,
            }
        )

    def _take_up(self, welcome: Json) -> None:
        if self._resume_token:
            self.counts["resumed" if welcome["resumed"] else "not resumed"] += 1
            self._sessions_lost += not welcome["resumed"] or welcome["resumeToken"] != self._resume_token
        self._resume_token = welcome["resumeToken"]

    async def _stay(self, connection: Connection) -> None:
        """Stay until the connection ends, or until this client is asked elsewhere."""
        self._leaving = asyncio.get_running_loop().create_future()
        either: list[asyncio.Future[Any]] = [connection.closed, self._leaving]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if connection.closed.done():
            self.counts[connection.closed.result()] += 1
        else:
            self.counts["moved"] += 1
            self._leave(connection)

    def _leave(self, connection: Connection) -> None:
        """Hear nothing more on a connection, and let the server close it."""
        connection.on_text = _ignore
        self._left.append(connection)

    def _hear(self, frame: bytes) -> None:
        heard: Json = json.loads(frame)
        request_id, cmd, data = heard["requestId"], heard["cmd"], heard["data"]
        if "ack" in heard:
            self._hear_ack(request_id, cmd)
        elif "reason" in heard:
            self._hear_error(request_id, heard["reason"])
        elif cmd == "WELCOME":
            assert self._welcome is not None
            self._welcome.set_result(data)
        else:
            self._last = request_id
            self._hear_message(frame, request_id, cmd, data)
        self._news()

    def _hear_ack(self, request_id: str, cmd: str) -> None:
        if self._unacked.pop(request_id, None) is not None and cmd == CANDIDATE:
            self._acked_at = self._measured(self._acked_at)
            self._wrote.acked += 1

    def _hear_error(self, request_id: str, reason: str) -> None:
        frame = self._unacked.get(request_id)
        if reason == "INTERNAL" and frame is not None and self._connection is not None:
            self.counts["asked again"] += 1
            self._connection.send(frame)
            return
        self._unacked.pop(request_id, None)
        self.counts[reason] += 1
        self._refused += 1

    def _hear_message(self, frame: bytes, request_id: str, cmd: str, data: Json) -> None:
        self.heard_cmds.add(cmd)
        if cmd == CANDIDATE:
            number = data["data"]
            self._received_at = self._measured(self._received_at)
            self._reads.receive(number)
            self._foreign += frame != _candidate(self._other, self.user, number)
            return
        self._repeated += (request_id, cmd) in self._event_ids
        self._event_ids.add((request_id, cmd))
        match cmd:
            case "WEBRTC_OFFER":
                self._send(ANSWER, f"answer-{self.user}", {"sdp": "answer"})
            case "WEBRTC_HANGUP":
                self._hung_up += 1
            case "RECONNECT":
                after_s = (data["afterMs"] + self._chance.uniform(0, data["jitterMs"])) / 1000
                asyncio.get_running_loop().call_later(after_s, self.move)

    def _measured(self, since: float) -> float:
        now = time.monotonic()
        self._longest_s = max(self._longest_s, now - since)
        return now

    def _send(self, cmd: str, request_id: str, data: object) -> None:
        frame = _signal(cmd, self.user, self._other, request_id, data)
        self._unacked[request_id] = frame
        if self._connection is not None:
            self._connection.send(frame)


def _signal(cmd: str, sender: str, to: str, request_id: str, data: object) -> bytes:
    body = {"from": sender, "to": to, "data": data}
    return json.dumps({"requestId": request_id, "module": "ROOM", "cmd": cmd, "data": body}).encode()


def _candidate(sender: str, to: str, number: object) -> bytes:
    return _signal(CANDIDATE, sender, to, f"{sender}/{number}", number)


def _ignore(_frame: bytes) -> None:
    """Hear what comes on a connection that was left: it comes again on the next."""
