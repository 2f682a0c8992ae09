"""One scenario: a server of its own, the client's connections to it, and the client's driver."""

import asyncio
import json
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Final, NamedTuple

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from tieline.cli.conformance.driver import Channel, Driver, DriverFailed, Json
from tieline.cli.conformance.line import OFFER_TIMEOUT_S, USER, Frame, Line, Sent
from tieline.cli.conformance.news import News
from tieline.cli.conformance.promises import Broken, NotTried
from tieline.wire import replies
from tieline.wire.codes import HandshakeError

HOST: Final = "127.0.0.1"
SESSION: Final = "session-1"
"""The resumeToken of the first session."""

SUBPROTOCOL: Final = Subprotocol("tieline.v1")

DEFAULT_PATIENCE_S: Final = 10.0
"""For whatever a client has to do: more than any backoff of an honest one, on a busy machine."""

STAYS_AWAY_S: Final = 4.0
"""For so long a client that must not connect again is watched: four times the usual first backoff."""


class Outcome(NamedTuple):
    """How a scenario went: which promises were broken, or why nothing can be said."""

    broken: Sequence[Broken] = ()
    not_tried: str = ""
    failed: str = ""


class Stage:
    """What a scenario acts on."""

    def __init__(self, driver: Driver, patience_s: float, news: News) -> None:
        self.driver = driver
        self.patience_s = patience_s
        self._news = news
        self.port = 0
        self.broken: list[Broken] = []
        self.attempts: list[float] = []
        """When the client has tried to connect, by the loop's clock."""
        self._arrivals: asyncio.Queue[Line | None] = asyncio.Queue()
        self._sent = Sent()
        self._places = 1_000
        self._refusal: tuple[HandshakeError, int] | None = None
        self._tokens = 0

    @property
    def url(self) -> str:
        """Where the client is to connect."""
        return f"ws://{HOST}:{self.port}/ws"

    def new_token(self) -> str:
        """Make a token, which no server verifies."""
        self._tokens += 1
        parts = (
            {"alg": "HS256", "typ": "JWT"},
            {"sub": USER, "exp": 4_000_000_000, "jti": str(self._tokens)},
        )
        texts = [urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
        return ".".join([*texts, "c2lnbmF0dXJl"])

    def refuse_next(self, refusal: HandshakeError, retry_after_s: int) -> None:
        """Refuse the next connection before the upgrade."""
        self._refusal = refusal, retry_after_s

    def process_request(self, _connection: ServerConnection, _request: Request) -> Response | None:
        """Take note of an attempt, and refuse it if that is due."""
        self.attempts.append(now())
        if self._refusal is None:
            return None
        (refusal, retry_after_s), self._refusal = self._refusal, None
        body = replies.denial(refusal.status, refusal.msg, refusal.reason)
        headers = {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "Retry-After": str(retry_after_s),
            "Connection": "close",
        }
        return Response(refusal.status, HTTPStatus(refusal.status).phrase, Headers(headers), body)

    async def serve(self, socket: ServerConnection) -> None:
        """Have one connection, until it ends."""
        line = Line(socket, self._sent, self._on_broken, self._next_place, self._news)
        self._arrivals.put_nowait(line)
        await line.read()

    def _on_broken(self, broken: Broken) -> None:
        if broken.promise not in {each.promise for each in self.broken}:
            self.broken.append(broken)

    def _next_place(self) -> str:
        self._places += 1
        return str(self._places)

    @property
    def place(self) -> str:
        """The newest place that was told."""
        return str(self._places)

    async def read_driver(self) -> None:
        """Take note of what the driver says, until it ends: then no client comes any more."""
        await self.driver.read()
        self._arrivals.put_nowait(None)

    async def arrives(self, patience_s: float | None = None) -> Line | None:
        """Wait for the next connection; None: none comes in time, or ever."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.patience_s if patience_s is None else patience_s):
                return await self._arrivals.get()
        return None

    async def connected(self, *, offer_timeout_s: int = OFFER_TIMEOUT_S, is_older: bool = False) -> Line:
        """Have the client connect, and greet it (`Line.welcome`)."""
        token = self.new_token()
        asked = await self.driver.begin("connect", url=self.url, token=token)
        line = await self.arrives()
        if line is None:
            self.driver.check()
            raise Broken("connects", f"no WebSocket came to {self.url} within {self.patience_s:g} s")
        if line.token != token:
            raise Broken("connects", "its connection has another token than it was given, or none")
        await line.welcome(session=SESSION, offer_timeout_s=offer_timeout_s, is_older=is_older)
        answer = await self.driver.answer(asked, "connect")
        if "failed" in answer:
            raise Broken("connects", f"its driver says that connecting failed: {answer['failed']}")
        return line

    async def returns(self, because: str, promise: str = "reconnects") -> Line:
        """Wait for the client to connect again."""
        line = await self.arrives()
        if line is None:
            self.driver.check()
            raise Broken(promise, f"{because}, and no new connection came within {self.patience_s:g} s")
        return line

    async def asks(self, line: Line, cmd: str, promise: str, do: str, **details: object) -> tuple[int, Frame]:
        """Tell the driver to do something, and wait for the command that this takes.

        Returns the number to ask for the driver's answer with, and the frame.

        Raises:
            NotTried: the client cannot do that, its driver says.
        """
        asked = await self.driver.begin(do, **details)
        frame = await line.next(self.patience_s, cmd, unless=lambda: self.driver.refusal(asked) is not None)
        if frame is not None:
            return asked, frame
        refusal = self.driver.refusal(asked)
        if refusal is not None and "cannot" in refusal:
            raise NotTried(f"its driver says that the client cannot {do}")
        said = "" if refusal is None else f": its driver says {refusal}"
        whom = " ".join(str(detail) for detail in details.values())
        raise Broken(promise, f"its application told it to {do} {whom}, and no {cmd} came{said}")

    async def hears(self, promise: str, what: str, **details: object) -> Json:
        """Wait until the application has heard something."""
        if not await self.driver.until(lambda: bool(self.driver.hears(what, **details))):
            told = ", ".join(str(said) for said in self.driver.heard[-5:]) or "nothing"
            wanted = " ".join([what, *(f"{name}={value}" for name, value in details.items())])
            raise Broken(promise, f"its application did not hear {wanted}; it heard {told}")
        return self.driver.hears(what, **details)[0]

    async def message(self, line: Line, data: str) -> bytes:
        """Send the application a message of its backend's."""
        return await line.event("MESSAGE", {"data": data})


Scenario = Callable[[Stage], Awaitable[None]]


StartDriver = Callable[[], Awaitable[Channel]]


async def play(scenario: Scenario, start: StartDriver, patience_s: float) -> Outcome:
    """Play one scenario with a driver of its own."""
    news = News()
    try:
        driver = Driver(await start(), patience_s, news)
    except DriverFailed as problem:
        return Outcome(failed=str(problem))
    stage = Stage(driver, patience_s, news)
    outcome = Outcome()
    async with (
        asyncio.TaskGroup() as tasks,
        serve(
            stage.serve,
            HOST,
            0,
            process_request=stage.process_request,
            select_subprotocol=_choose,
            compression=None,
            ping_interval=None,
            close_timeout=1,
            max_size=None,
        ) as server,
    ):
        stage.port = server.sockets[0].getsockname()[1]
        reading = tasks.create_task(stage.read_driver())
        try:
            await scenario(stage)
            outcome = Outcome(broken=stage.broken)
        except Broken as broken:  # what was seen before is why
            outcome = Outcome(broken=stage.broken or [broken])
        except NotTried as reason:
            outcome = Outcome(broken=stage.broken, not_tried=str(reason))
        except DriverFailed as problem:
            outcome = Outcome(broken=stage.broken, failed=str(problem))
        finally:
            await driver.end()
            reading.cancel()
            server.close()
    return outcome


def _choose(_socket: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return SUBPROTOCOL if SUBPROTOCOL in offered else None


def now() -> float:
    """The loop's clock, in seconds."""
    return asyncio.get_running_loop().time()
