"""One user under load: a connection, the messages that must arrive on it next, and requests to the server.

A `Target` is one of three kinds of server: Tieline, a relay that checks nothing, or an echo. The client
library for applications is `tieline.client`; this one is made to cost little.
"""

import asyncio
import itertools
import ssl
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import msgspec

from tieline.load.connection import Connection, connect
from tieline.load.faults import Faults
from tieline.load.side_by_side import side_by_side
from tieline.tokens import ANYBODY, EVERY_ROOM, MadeFor, make_token

ANSWER_TIMEOUT_S: Final = 10.0
"""For one step of a set-up. Tieline itself gives up after 5 s, so a message that takes longer is lost."""

ARRIVALS_AT_ONCE: Final = 8
"""So few, because many handshakes at once leave holes in a server's memory that its sessions do not need."""


@dataclass(frozen=True)
class Target:
    """Where the load goes, and which steps it needs before a message passes."""

    sender_url: str
    receiver_url: str | None
    """None: the server echoes, so that a sender is its own receiver."""
    secret: str | None = None
    """Signs the tokens for Tieline. None: no tokens, and neither rooms nor negotiations."""
    made_for: MadeFor = ANYBODY
    """What else the tokens say."""
    more_urls: tuple[str, ...] = ()
    """Further gateways: pairs and sessions go around over all."""
    tls: ssl.SSLContext | None = None
    """Whose certificates are trusted for wss://; None: those that the system trusts."""
    acks: bool = False
    """Whether those who send in the relay ask Tieline for acks (`acks=1`)."""
    connection: type[Connection] = Connection
    """Another one, for a server that wraps messages in something of its own."""

    @property
    def urls(self) -> tuple[str, ...]:
        """All gateways, each once."""
        named = (self.sender_url, self.receiver_url or self.sender_url, *self.more_urls)
        return tuple(dict.fromkeys(named))

    def of_pair(self, number: int) -> tuple[str, str]:
        """The gateways of a pair's sender and receiver. Of two, all senders are on the first."""
        urls = self.urls
        first = number % len(urls) if self.more_urls else 0
        return urls[first], urls[(first + 1) % len(urls)]

    def headers(self, user: str) -> dict[str, str]:
        """What a user's request says beside the usual: a token that is made now."""
        return {} if self.secret is None else {"Authorization": f"Bearer {self.token(user)}"}

    def token(self, user: str) -> str:
        """A token for a user that is made now; only where there is a secret."""
        assert self.secret is not None
        return make_token(self.secret, user, [EVERY_ROOM], made_for=self.made_for)

    @property
    def echoes(self) -> bool:
        """Whether a message comes back to its sender; such a server does not greet either."""
        return self.receiver_url is None


class LoadError(Exception):
    """The load cannot go on: a step of a set-up was refused, or took too long."""


class _FromServer(msgspec.Struct):
    request_id: str = msgspec.field(name="requestId", default="")
    cmd: str = ""
    code: int = 200
    reason: str = ""
    ack: str = ""


class LoadClient:
    """A connected user. Messages announced by `expect` must arrive in that order, byte for byte."""

    connection: Connection

    def __init__(self, user: str, *, asks_for_acks: bool = False) -> None:
        self.user = user
        self.asks_for_acks = asks_for_acks
        self.faults = Faults()
        self.last_refusal = ""
        self.arrived = 0
        self._due: deque[bytes] = deque()
        self._received: deque[bytes] = deque(maxlen=64)
        self._goal: tuple[int, asyncio.Future[None]] | None = None
        self._awaited: dict[str, asyncio.Future[None]] = {}
        self._requests = 0

    def expect(self, *messages: bytes) -> None:
        """Announce what must arrive next, after what was announced before."""
        self._due.extend(messages)

    async def until_arrived(self, count: int, sender: "LoadClient") -> None:
        """Wait until `count` announced messages, of which `sender` sent the last, have arrived in all.

        Raises:
            LoadError: they did not in time; what is missing is counted as lost.
        """
        if self.arrived >= count:
            return
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._goal = (count, reached)
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                await reached
        except TimeoutError:
            self.faults.lost += len(self._due)
            refusal = f"; the sender was told {sender.last_refusal}" if sender.last_refusal else ""
            what = f"message {self.arrived + 1} from {sender.user}"
            raise LoadError(f"{self.user} did not receive {what}{refusal}") from None

    def notice(self, key: str) -> asyncio.Future[None]:
        """A future for the server's next reply to this requestId, or next event of this `cmd`."""
        awaited: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._awaited[key] = awaited
        return awaited

    async def ask(self, cmd: str, room: str) -> None:
        """Send JOIN or LEAVE and wait for the reply.

        Raises:
            LoadError: refused, or no reply in time.
        """
        self._requests += 1
        key = f"{self.user}_{self._requests}"
        reply = self.notice(key)
        self.connection.send(
            f'{{"requestId":"{key}","module":"ROOM","cmd":"{cmd}","data":{{"room":"{room}"}}}}'.encode()
        )
        await within_timeout(reply, f"{cmd} of {self.user}")

    def on_text(self, message: bytes) -> None:
        """Handle a message that was announced, or a reply or event of the server."""
        if self._due and message == self._due[0]:
            self._received.append(self._due.popleft())
            self.arrived += 1
            if self._goal is not None and self.arrived >= self._goal[0]:
                if not self._goal[1].done():
                    self._goal[1].set_result(None)
                self._goal = None
        elif message in self._due:
            self.faults.out_of_order += 1
        elif message in self._received:
            self.faults.duplicate += 1
        else:
            self._read_reply(message)

    def _read_reply(self, message: bytes) -> None:
        try:
            reply = msgspec.json.decode(message, type=_FromServer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.faults.foreign += 1
            return
        awaited = self._awaited.pop(reply.request_id, None) or self._awaited.pop(reply.cmd, None)
        if reply.code != 200:
            self.faults.refused += 1
            self.last_refusal = reply.reason or str(reply.code)
            if awaited is not None and not awaited.done():
                awaited.set_exception(LoadError(f"{reply.cmd} refused: {self.last_refusal}"))
        elif awaited is not None:
            if not awaited.done():
                awaited.set_result(None)
        elif reply.cmd.startswith("WEBRTC_") and not (reply.ack and self.asks_for_acks):
            self.faults.foreign += 1


async def arrive(
    target: Target, user: str, url: str, headers: dict[str, str] | None = None, *, acks: bool = False
) -> LoadClient:
    """Connect a user, and wait until others can reach it; `headers` are those that were made for it before.

    `acks`: it asks for acks, which only Tieline has.

    Raises:
        LoadError: the server did not greet in time.
        UpgradeRefused, OSError, TimeoutError: as `connect`.
    """
    client = LoadClient(user, asks_for_acks=acks)
    if headers is None:
        headers = target.headers(user)
    query = f"user={quote(user)}" if target.secret is None else "acks=1" if acks else ""
    if query:
        url = f"{url}{'&' if '?' in url else '?'}{query}"
    welcome = client.notice("WELCOME")
    client.connection = await connect(url, client.on_text, headers, tls=target.tls, kind=target.connection)
    if not target.echoes:
        await within_timeout(welcome, f"WELCOME of {user}")
    return client


async def arrive_all(
    target: Target,
    names: Iterable[str],
    urls: Sequence[str],
    told: Callable[[int], None] = lambda _count: None,
) -> list[LoadClient]:
    """Connect many users, a few at a time, going around over `urls`; `told` hears how many have come.

    Raises:
        LoadError, UpgradeRefused, OSError, TimeoutError: as `arrive`.
    """
    clients: list[LoadClient] = []
    waiting = zip(names, itertools.cycle(urls), strict=False)

    async def keep_arriving() -> None:
        for name, url in waiting:
            clients.append(await arrive(target, name, url))
            told(len(clients))

    await side_by_side(keep_arriving() for _ in range(ARRIVALS_AT_ONCE))
    return clients


async def within_timeout(future: asyncio.Future[None], what: str) -> None:
    """Wait for one step of a set-up.

    Raises:
        LoadError: it failed, or took longer than `ANSWER_TIMEOUT_S`.
    """
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            await future
    except TimeoutError:
        raise LoadError(f"no answer in time: {what}") from None


async def leave(clients: list[LoadClient]) -> Faults:
    """Close all connections; return all faults until then, with the connections that the server had ended.

    Messages that arrive meanwhile are not read: the end of one session is an event for others.
    """
    faults = Faults()
    for client in clients:
        faults += client.faults
        faults.closed += client.connection.closed.done()
        client.connection.on_text = _ignore
    async with asyncio.TaskGroup() as closing:
        for client in clients:
            closing.create_task(client.connection.close())
    return faults


def _ignore(_message: bytes) -> None:
    pass
