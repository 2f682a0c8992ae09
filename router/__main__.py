"""One router process: `python -m router`, configured by the environment alone."""

import asyncio
import logging
import os
import secrets

from router.grants import Grants
from router.service import RouterService
from tieline.runtime.broker import connect
from tieline.runtime.ops import BROKER_AWAY, STARTING, STOPPING, Ready, bound_port, serve_ops
from tieline.runtime.process import run, unless_stopped
from tieline.runtime.requests import Requests
from tieline.runtime.settings import ProcessSettings
from tieline.wire.subjects import Subjects

_log = logging.getLogger("router")


async def main(settings: ProcessSettings, stopping: asyncio.Event) -> None:
    """Route until `stopping`, then finish what is begun."""
    instance = f"r{os.getpid()}-{secrets.token_hex(4)}"
    ready = Ready(STARTING)
    ops = await serve_ops(settings.ops_host, settings.ops_port, ready.why_not)
    _log.info("router starts", extra={"instance": instance, "ops_port": bound_port(ops)})
    broker = await unless_stopped(
        stopping, connect(settings.nats_url, f"tieline-router-{instance}", settings.nats_login)
    )
    broker.when_away(lambda: ready.hold(BROKER_AWAY))
    broker.when_back(lambda: ready.clear(BROKER_AWAY))
    subjects = Subjects(settings.namespace)
    requests = Requests(broker, subjects.replies("router", instance))
    await requests.start()
    async with asyncio.TaskGroup() as routing:
        signals = await RouterService(broker, requests, subjects, Grants(), routing).start()
        await broker.flush()
        ready.clear(STARTING)
        await stopping.wait()
        _log.info("router stops")
        ready.hold(STOPPING)
        await broker.drain(signals)
    ops.close()
    await broker.close()


if __name__ == "__main__":
    run("router", ProcessSettings, main)
