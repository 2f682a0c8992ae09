"""A broker that dies at any moment of a process's stop, or is away for a moment of its start.

Each service runs in this process, on the loop that it has as a process, behind a network that breaks with the
nth piece of data on it, for n = 0, 1, 2, … until the service gets through.
"""

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

import pytest
import uvloop

from gateway.__main__ import main as gateway
from gateway.settings import GatewaySettings
from presence.__main__ import main as presence
from presence.settings import PresenceSettings
from router.__main__ import main as router
from tests.support.http_get import HOST, http_get
from tests.support.nats_server import NatsServer
from tests.support.proxy import Proxy
from tests.support.system import SECRET
from tests.support.waiting import PATIENCE_S, until_true
from tests.unit.wire import samples
from tieline.cli.dev.ports import hold_ports
from tieline.runtime.broker import connect
from tieline.runtime.process import Stopped
from tieline.runtime.settings import ProcessSettings
from tieline.wire.ids import GatewayId, RoomId, SessionId, UserId
from tieline.wire.internal import codec
from tieline.wire.internal.rooms import LeaveRoom
from tieline.wire.internal.signals import Signal
from tieline.wire.subjects import Subjects

SUBJECTS: Final = Subjects("t")
ALICE, BOB, HERS = UserId("alice"), UserId("bob"), SessionId("hers")

OFFER: Final = samples.frame(samples.signal_message("WEBRTC_OFFER"))

UNDER_WAY: Final = 20
"""Requests of each kind that come while the process is told to stop."""

MOMENTS: Final = 40
"""Pieces of data, from the first, at which the network breaks: more than a start or a stop takes."""

FEWEST: Final = 2
"""Pieces that every start and every stop takes."""


class Service(NamedTuple):
    """One of our services, and what it is asked."""

    name: str
    begin: Callable[[str, int, asyncio.Event], Awaitable[None]]
    """Run it with a broker, and a port for its ops endpoints, until it is to stop."""
    requests: tuple[tuple[str, bytes], ...] = ()


def run_gateway(url: str, port: int, stopping: asyncio.Event) -> Awaitable[None]:
    settings = GatewaySettings(
        nats_url=url,
        ops_port=port,
        namespace="t",
        jwt_secret=SECRET,
        listen_host=HOST,
        listen_port=0,
        drain_wait=0,
    )
    return gateway(settings, stopping)


def run_router(url: str, port: int, stopping: asyncio.Event) -> Awaitable[None]:
    return router(ProcessSettings(nats_url=url, ops_port=port, namespace="t"), stopping)


def run_presence(url: str, port: int, stopping: asyncio.Event) -> Awaitable[None]:
    return presence(PresenceSettings(nats_url=url, ops_port=port, namespace="t", storage="memory"), stopping)


PRESENCE: Final = Service(
    "presence",
    run_presence,
    ((SUBJECTS.presence("leave"), codec.encode(LeaveRoom(ALICE, HERS, RoomId("hall")))),),
)
SERVICES: Final = (
    Service("gateway", run_gateway),
    Service(
        "router",
        run_router,
        (
            (
                SUBJECTS.signal("WEBRTC_OFFER"),
                codec.encode([Signal(ALICE, HERS, BOB, OFFER, stored=True)]),
            ),
        ),
    ),
    PRESENCE,
)


class Running:
    """A service that runs."""

    def __init__(self, service: Service, url: str, port: int) -> None:
        self._port = port
        self._stopping = asyncio.Event()
        self._task = asyncio.ensure_future(self._run(service, url))

    async def _run(self, service: Service, url: str) -> None:
        try:
            await service.begin(url, self._port, self._stopping)
        except* Stopped:  # as `tieline.runtime.process` takes it
            pass

    async def is_ready(self) -> None:
        """Wait until it says that it is ready."""
        await until_true(self._says_so)

    async def is_ready_or(self, death: "Death") -> bool:
        """Whether it says that it is ready, or its broker is dead."""
        return death.has_come or await self._says_so()

    async def _says_so(self) -> bool:
        if self._task.done():
            self._task.result()
        status, _ = await asyncio.to_thread(http_get, self._port, "/readyz")
        return status == 200

    async def stop(self) -> None:
        """Tell it to stop; returns when it has, as a process that fails does not."""
        self._stopping.set()
        async with asyncio.timeout(PATIENCE_S):
            await self._task


class Death:
    """What breaks a network with the nth piece of data from now on; with 0 at once."""

    def __init__(self, proxy: Proxy, nth: int, *, for_good: bool) -> None:
        self._proxy = proxy
        self._by_reset = nth % 2 == 1
        self._left = nth
        self._for_good = for_good
        self.has_come = False
        if not nth:
            self._die()
        else:
            proxy.on_chunk = self._count

    def _count(self) -> None:
        self._left -= 1
        if not self._left:
            self._die()

    def _die(self) -> None:
        self.has_come = True
        self._proxy.refuses = self._for_good
        self._proxy.close_connections(reset=self._by_reset)


async def stops(service: Service, broker: NatsServer, port: int, nth: int) -> bool:
    """Let a service stop while its broker dies; returns whether that came before its end."""
    async with Proxy(broker.url) as proxy:
        running = Running(service, proxy.url, port)
        asker = await connect(broker.url, "asker")
        await running.is_ready()
        for subject, payload in service.requests * UNDER_WAY:
            asker.send(subject, payload, f"{SUBJECTS.gateway(GatewayId('nobody'), 'reply')}.1")
        await asker.flush()
        death = Death(proxy, nth, for_good=True)
        await running.stop()
        await asker.close()
        return death.has_come


async def starts(service: Service, broker: NatsServer, port: int, nth: int) -> bool:
    """Let a service start while its connection breaks, which it can make again; returns whether it broke."""
    async with Proxy(broker.url) as proxy:
        death = Death(proxy, nth, for_good=False)
        running = Running(service, proxy.url, port)
        await running.is_ready()
        has_come = death.has_come
        proxy.on_chunk = lambda: None
        await running.stop()
        return has_come


async def gives_up(service: Service, broker: NatsServer, port: int, nth: int) -> bool:
    """Let a service be stopped while it starts, as its broker dies; returns whether that came before."""
    async with Proxy(broker.url) as proxy:
        death = Death(proxy, nth, for_good=True)
        running = Running(service, proxy.url, port)
        await until_true(lambda: running.is_ready_or(death))
        await running.stop()
        return death.has_come


Act = Callable[[Service, NatsServer, int, int], Awaitable[bool]]


async def at_every_moment(act: Act, service: Service, broker: NatsServer, ports: Sequence[int]) -> None:
    """Have something done side by side, while the network of each breaks at another moment of it."""
    others = Running(PRESENCE, broker.url, ports[-1])
    await others.is_ready()

    async def one(nth: int) -> bool:
        try:
            return await act(service, broker, ports[nth], nth)
        except BaseException as error:
            error.add_note(f"{service.name}, broken with piece {nth}")
            raise

    outcomes = await asyncio.gather(*(one(nth) for nth in range(MOMENTS)), return_exceptions=True)
    (stopped,) = await asyncio.gather(others.stop(), return_exceptions=True)
    failures = [each for each in (*outcomes, stopped) if isinstance(each, BaseException)]
    if failures:
        raise BaseExceptionGroup("not outlived", failures)
    has_broken = [bool(outcome) for outcome in outcomes]
    assert has_broken[FEWEST]
    assert not has_broken[-1], "there are more moments"


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
@pytest.mark.parametrize("act", [stops, starts, gives_up])
def test_a_service_outlives_a_network_that_breaks_at_any_moment(
    service: Service, act: Act, pip_nats: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with hold_ports(MOMENTS + 1, HOST) as ports:
        uvloop.run(at_every_moment(act, service, pip_nats, ports))
    gc.collect()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
