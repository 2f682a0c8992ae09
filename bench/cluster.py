"""Tieline on three NATS nodes, all on this machine: each stream has three replicas, one on each node.

The services are those of `tieline dev`, with its settings; what runs them here is not its supervisor, because
it knows one node only.
"""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from bench.parts import GATEWAYS, in_parts
from bench.systems import START_TIMEOUT_S, StartError, System, run_process
from tieline.cli.dev.broker_process import NoNatsServer, broker_environment, find_nats_server
from tieline.cli.dev.local_system import LOOPBACK, NATS, PRESENCE, Size, plan
from tieline.cli.dev.ports import hold_ports
from tieline.cli.dev.supervisor import POLL_S, ProcessSpec
from tieline.load.client import Target

NODES: Final = 3

_CONFIG: Final = """
server_name: {name}
listen: "{host}:{port}"
jetstream {{ store_dir: "{storage}" }}
cluster {{ name: bench, listen: "{host}:{route}", routes: [{routes}] }}
"""


@asynccontextmanager
async def tieline_on_three() -> AsyncIterator[System]:
    """Start three nodes, two gateways, a router and a presence."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tieline-bench-")))
        clients = stack.enter_context(hold_ports(NODES, LOOPBACK))
        routes = stack.enter_context(hold_ports(NODES, LOOPBACK, but=clients))
        try:
            program = str(find_nats_server(os.environ))
        except NoNatsServer as problem:
            raise StartError(str(problem)) from None
        pids: dict[str, list[int]] = {NATS: []}
        for number in range(NODES):
            config = _write_config(folder, number, clients, routes)
            command = (program, "--config", str(config), "--log", str(folder / f"node-{number}.log"))
            node = await stack.enter_async_context(run_process(command, broker_environment(os.environ)))
            pids[NATS].append(node.pid)
        url = ",".join(f"nats://{LOOPBACK}:{port}" for port in clients)
        environ = {**os.environ, "TIELINE_LIMITS": "off", "TIELINE_LOG_LEVEL": "error"}
        system = plan(Size(2, 1, 1, 0), environ, folder, stack.enter_context(ExitStack()))
        services = [spec for spec in system.specs if spec.kind != NATS]
        for spec in services:
            settings = {**spec.environ, "TIELINE_NATS_URL": url}
            if spec.kind == PRESENCE:
                settings["TIELINE_REPLICAS"] = str(NODES)
            started = await stack.enter_async_context(run_process(spec.command, settings))
            pids.setdefault(spec.kind, []).append(started.pid)
        await _until_ready(services)
        found = in_parts(pids)
        senders, receivers = system.gateway_urls
        target = Target(senders, receivers, system.secret)
        yield System("Tieline", target, lambda: found, GATEWAYS, url)


def _write_config(folder: Path, number: int, clients: Sequence[int], routes: Sequence[int]) -> Path:
    config = folder / f"node-{number}.conf"
    config.write_text(
        _CONFIG.format(
            name=f"node-{number}",
            host=LOOPBACK,
            port=clients[number],
            route=routes[number],
            routes=", ".join(f'"nats://{LOOPBACK}:{port}"' for port in routes),
            storage=folder / f"node-{number}",
        )
    )
    return config


async def _until_ready(services: Sequence[ProcessSpec]) -> None:
    """Wait until all can serve: the nodes have to elect a leader first.

    Raises:
        StartError: one cannot, after `START_TIMEOUT_S`.
    """
    why = ""
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            for spec in services:
                while True:
                    why = await spec.why_not_ready()
                    if not why:
                        break
                    await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise StartError(f"Tieline on {NODES} nodes is not ready: {why}") from None
