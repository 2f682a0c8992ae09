"""One router process: `python -m router`, configured by the environment alone."""

import asyncio
import functools
import logging

import tieline.runtime.nats_py  # noqa: F401  # before the others
from router.agreement import demand_number, say_number
from router.grants import Grants
from router.service import RouterService
from tieline.runtime.guard import BackgroundTasks
from tieline.runtime.ops import STARTING, STOPPING
from tieline.runtime.process import joined, run, unless_stopped
from tieline.runtime.settings import ProcessSettings
from tieline.runtime.watch import NO_ROOM, hold_while_unwell
from tieline.wire.subjects import Subjects

_log = logging.getLogger("router")


async def main(settings: ProcessSettings, stopping: asyncio.Event) -> None:
    """Route until `stopping`, then finish what is begun."""
    subjects = Subjects(settings.namespace, settings.partitions)
    replies = functools.partial(subjects.replies, "router")
    async with (
        joined("router", settings, stopping, replies) as process,
        BackgroundTasks() as routing,
    ):
        await unless_stopped(stopping, demand_number(process.requests, subjects))
        service = RouterService(process.broker, process.requests, subjects, Grants(), routing)
        signals = await service.start()
        await unless_stopped(stopping, process.broker.settle())
        process.ready.clear(STARTING)

        async def has_room() -> bool:
            if await service.has_room():
                return True
            await say_number(process.requests, subjects)
            return False

        watching = routing.create_task(hold_while_unwell(process.ready, NO_ROOM, has_room))
        await stopping.wait()
        watching.cancel()
        _log.info("router stops")
        process.ready.hold(STOPPING)
        await process.broker.drain(signals)


if __name__ == "__main__":
    run("router", ProcessSettings, main)
