"""Who serves which endpoint: each one worker at a time, and another one when that is gone.

Each worker says every few seconds that it lives, and looks who else does. Of an endpoint that is its own
(`webhooks.share`) it takes the lease, and serves it while it can renew that. A worker that is cut off stops
before its lease runs out; one that only stood still finds, when it writes down what it has done, that
somebody else has written (`webhooks.delivery`).
"""

import asyncio
import contextlib
import functools
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from tieline import metrics
from tieline.webhook_bucket import NOTHING, Bucket, Conflict, Record, Unavailable
from tieline.wire import webhooks
from tieline.wire.webhooks import Endpoint, EndpointId, Keys
from webhooks.delivery import Delivery
from webhooks.share import server_of

ROUND_S: Final = 2.0
"""Between two rounds."""

LEASE_S: Final = 10
"""How long a lease, and the word that a worker lives, are good for: four rounds may fail."""

ALONE_S: Final = 7.0
"""After so long without a renewal a worker stops: before somebody else may begin."""

ENDING_S: Final = 0.5
"""For deliveries to end, in each round: most take less. A receiver that hangs has several rounds."""

_PATTERNS: Final = ("endpoint.*", "lease.*", "worker.*")

_log = logging.getLogger(__name__)


class _Served(NamedTuple):
    endpoint: Endpoint
    delivery: Delivery
    running: asyncio.Task[None]


class Worker:
    """One worker. `make` makes what tells one endpoint."""

    def __init__(
        self,
        name: str,
        bucket: Bucket,
        own: Endpoint | None,
        make: Callable[[Endpoint], Delivery],
        tasks: asyncio.TaskGroup,
        monotonic: Callable[[], float],
        make_bucket: Callable[[], Awaitable[None]],
    ) -> None:
        """Take the endpoint of the settings, too, and the group to which deliveries belong.

        `make_bucket` makes the bucket anew where it is gone; it raises `Unavailable`.
        """
        self._make_bucket = make_bucket
        self._name = name
        self._word = name.encode()
        self._bucket = bucket
        self._own = own
        self._make = make
        self._tasks = tasks
        self._monotonic = monotonic
        self._served: dict[EndpointId, _Served] = {}
        self._leases: dict[EndpointId, int] = {}
        self._leaving: dict[EndpointId, float] = {}
        """Those that are served to the end of the delivery that is under way, and since when."""
        self._renewed_at = monotonic()
        self._has_looked = asyncio.Event()

    @property
    def serves(self) -> tuple[EndpointId, ...]:
        """The endpoints that it serves."""
        return tuple(self._served)

    async def begun(self) -> None:
        """Wait until all is told that happens from then on, to each endpoint that is this worker's."""
        await self._has_looked.wait()
        for served in tuple(self._served.values()):
            async with asyncio.TaskGroup() as waiting:
                begun = waiting.create_task(served.delivery.begun.wait())
                await asyncio.wait((begun, served.running), return_when=asyncio.FIRST_COMPLETED)
                begun.cancel()  # another worker serves it

    async def run(self, round_s: float = ROUND_S) -> None:
        """Serve until cancelled."""
        while True:
            try:
                await self.look()
            except Unavailable as error:
                _log.warning("webhooks look again", extra={"error": str(error)})
                if self._monotonic() - self._renewed_at > ALONE_S:
                    self._drop_all()
                with contextlib.suppress(Unavailable):
                    await self._make_bucket()
            self._measure()
            await asyncio.sleep(round_s)

    async def look(self) -> None:
        """Say that it lives, look what there is, and serve what is its own.

        Raises:
            Unavailable: the bucket does not answer.
        """
        await self._bucket.put(Keys.worker(self._name), self._word, LEASE_S)
        found = await self._bucket.read(*_PATTERNS)
        workers = {record.value.decode() for key, record in found.items() if key.startswith("worker.")}
        workers = {worker for worker in workers if worker} | {self._name}
        endpoints = self._endpoints(found)
        await self._let_go(
            [
                name
                for name, served in self._served.items()
                if endpoints.get(name) != served.endpoint
                or served.running.done()
                or server_of(name, workers) != self._name
            ]
        )
        for endpoint in endpoints.values():
            if endpoint.id in self._served or server_of(endpoint.id, workers) == self._name:
                await self._serve(endpoint, found.get(Keys.lease(endpoint.id), NOTHING))
        self._renewed_at = self._monotonic()
        self._has_looked.set()

    def _endpoints(self, found: dict[str, Record]) -> dict[EndpointId, Endpoint]:
        read = [
            webhooks.read_endpoint(record.value)
            for key, record in found.items()
            if key.startswith("endpoint.") and record.value
        ]
        all_of_them = [*read, self._own]
        return {each.id: each for each in all_of_them if each is not None and not each.is_paused}

    async def _serve(self, endpoint: Endpoint, lease: Record) -> None:
        """Take or renew the lease of an endpoint, and serve it if it is had."""
        known = self._leases.get(endpoint.id)
        if known is None and lease.value not in (b"", self._word):
            return  # somebody else still has it
        revision = lease.revision if known is None else known
        held = await self._held(Keys.lease(endpoint.id), revision)
        if held is None:
            self._leases.pop(endpoint.id, None)
            self._end(endpoint.id)
            return
        self._leases[endpoint.id] = held
        if endpoint.id not in self._served:
            delivery = self._make(endpoint)
            running = self._tasks.create_task(self._run(delivery))
            self._served[endpoint.id] = _Served(endpoint, delivery, running)
            _log.info("webhook is served", extra={"endpoint": endpoint.id})

    async def _held(self, key: str, revision: int) -> int | None:
        """Write a lease, and return its revision; None: it is another worker's."""
        try:
            return await self._bucket.write(key, self._word, revision, LEASE_S)
        except Conflict:
            stored = await self._bucket.read_one(key)
            return stored.revision if stored.value == self._word else None  # its last answer was lost

    async def _run(self, delivery: Delivery) -> None:
        try:
            await delivery.run(functools.partial(self._is_current, delivery.endpoint))
        except Conflict:
            _log.warning("webhook is served by another worker", extra={"endpoint": delivery.endpoint.id})
        except Unavailable as error:
            said = {"endpoint": delivery.endpoint.id, "error": str(error)}
            _log.warning("webhook is left as it was written down last", extra=said)

    async def _is_current(self, endpoint: Endpoint) -> bool:
        """Whether an endpoint is what it was read to be, by the leader's word: a replica may have lagged."""
        if endpoint == self._own:
            return True
        stored = await self._bucket.read_one(Keys.endpoint(endpoint.id))
        return webhooks.read_endpoint(stored.value) == endpoint

    async def _let_go(self, endpoints: Sequence[EndpointId]) -> None:
        """Serve these no longer. One whose delivery is still under way is kept, and looked at next round.

        A round that waited for receivers that hang would let the leases of all the others run out.
        """
        now = self._monotonic()
        for endpoint in endpoints:
            self._served[endpoint].delivery.stop()
            self._leaving.setdefault(endpoint, now)
        if endpoints:
            await asyncio.wait([self._served[each].running for each in endpoints], timeout=ENDING_S)
        for endpoint in endpoints:
            if self._served[endpoint].running.done() or now - self._leaving[endpoint] > ALONE_S:
                await self._release(endpoint)

    async def _release(self, endpoint: EndpointId) -> None:
        """Serve an endpoint no longer, and give its lease away."""
        self._end(endpoint)
        revision = self._leases.pop(endpoint, 0)
        if revision:
            with contextlib.suppress(Conflict):  # it has run out, and somebody else has it
                await self._bucket.remove(Keys.lease(endpoint), revision)

    def _end(self, endpoint: EndpointId) -> None:
        self._leaving.pop(endpoint, None)
        served = self._served.pop(endpoint, None)
        if served is not None:
            served.running.cancel()

    def _drop_all(self) -> None:
        """Serve nothing any more: others may be about to."""
        for endpoint in list(self._served):
            self._end(endpoint)
        self._leases.clear()

    async def stop(self) -> None:
        """Let what is under way end, and give each endpoint away as soon as nothing is told to it any more.

        Raises:
            Unavailable: the bucket does not answer; others wait until the leases have run out.
        """
        with contextlib.suppress(Unavailable):  # it is said once more
            await self._goes()
        for served in self._served.values():
            served.delivery.stop()
        while self._served:  # a receiver that hangs holds up none of the others
            running = {served.running: name for name, served in self._served.items()}
            ended, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                await self._release(running[task])
        await self._goes()

    async def _goes(self) -> None:
        """Say that this worker lives no more: others see then which endpoints are theirs."""
        await self._bucket.put(Keys.worker(self._name), b"", 1)

    def _measure(self) -> None:
        """Show how much waits, and since when."""
        queues = [served.delivery.queue for served in self._served.values() if served.delivery.queue]
        metrics.WEBHOOK_ENDPOINTS.set(sum(served.delivery.begun.is_set() for served in self._served.values()))
        metrics.WEBHOOK_WAITING.set(sum(map(len, queues)))
        ages = [served.delivery.oldest_s for served in self._served.values()]
        metrics.WEBHOOK_OLDEST_SECONDS.set(max(ages, default=0.0))
