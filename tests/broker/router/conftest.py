"""Routers over a real broker."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from presence.mailbox import make_mailbox
from router.grants import Grants
from router.service import RouterService
from tests.broker.router.routing import ANSWERS, SUBJECTS, Routing, granting
from tieline.runtime.broker import Broker
from tieline.runtime.requests import Requests


@pytest.fixture
async def routing(broker: Broker) -> AsyncIterator[Routing]:
    """A router with a mailbox, and a presence that says nothing until it is told what."""
    await make_mailbox(broker, SUBJECTS, "memory", 1, 30)
    grants = Grants()
    requests = Requests(broker, "t.router.r.reply")
    await requests.start()
    async with asyncio.TaskGroup() as tasks:
        subscription = await RouterService(broker, requests, SUBJECTS, grants, tasks).start()
        routing = Routing(broker, grants, subscription)
        await broker.subscribe(ANSWERS, routing.answers.put)
        await broker.subscribe(SUBJECTS.users(), routing.frames.put)
        await broker.subscribe(SUBJECTS.presence("check"), routing.on_check)
        await broker.flush()
        yield routing
        await broker.drain(subscription)


@pytest.fixture
async def without_room(full_broker: Broker) -> AsyncIterator[Routing]:
    """A router whose mailbox has no room, and a presence that lets everything pass."""
    grants = Grants()
    requests = Requests(full_broker, "t.router.r.reply")
    await requests.start()
    async with asyncio.TaskGroup() as tasks:
        subscription = await RouterService(full_broker, requests, SUBJECTS, grants, tasks).start()
        routing = Routing(full_broker, grants, subscription)
        routing.verdict = granting
        await full_broker.subscribe(ANSWERS, routing.answers.put)
        await full_broker.subscribe(SUBJECTS.presence("check"), routing.on_check)
        await full_broker.flush()
        yield routing
        await full_broker.drain(subscription)
