"""A node of a NATS cluster, and webhook workers, die amid deliveries: every event is told."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack

import pytest

from tests.support.cluster import Cluster
from tests.support.frames import ANSWER, HANGUP, OFFER, names_of
from tests.support.partitions import buckets_of
from tests.support.people import People, Person
from tests.support.receiver import SECRET, Receiver
from tests.support.system import Service, System
from tests.support.waiting import until, until_true

NAMESPACE = "hooks"
KINDS = {"tieline.call.offered", "tieline.call.answered", "tieline.call.established", "tieline.call.ended"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster.plain(tmp_path_factory.mktemp("cluster")) as running_cluster:
        yield running_cluster


@pytest.fixture(scope="module")
def system(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    settings = {"NAMESPACE": NAMESPACE, "REPLICAS": "3", "EVENTS": "on"}
    folder = tmp_path_factory.mktemp("system")
    with System(cluster.url, folder, routers=2, presences=2, settings=settings) as running_system:
        yield running_system


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver().listening() as listening:
        yield listening


@pytest.mark.parametrize(
    "stream", [f"EVENTS_{NAMESPACE}", f"KV_{NAMESPACE}-webhooks", buckets_of(NAMESPACE)[0]]
)
async def test_a_node_and_a_worker_are_killed_amid_deliveries(
    stream: str, cluster: Cluster, system: System, receiver: Receiver
) -> None:
    settings = {"WEBHOOK_URL": receiver.url, "WEBHOOK_SECRET": SECRET, "WEBHOOK_PRIVATE": "1"}
    with ExitStack() as running:
        workers = [running.enter_context(system.extra("webhooks", **settings)) for _ in range(2)]
        await until(lambda: sum(worker.count("tieline_webhook_endpoints") for worker in workers) == 1)
        await calls_amid_faults(stream, cluster, system, receiver, workers[0])
    await until_true(lambda: asyncio.to_thread(lambda: cluster.is_whole))


async def is_relayed(sender: Person, command: str, target: Person, name: str) -> None:
    """Send a message until it is acknowledged: while a stream has no leader, the answer is INTERNAL."""
    frame = sender.say(command, target, {"call": name})
    request = names_of(frame)["requestId"]
    while True:
        answer = await sender.hear()
        if answer["requestId"] == request and "ack" in answer:
            return
        if answer["requestId"] == request and answer["code"] == 500:
            sender.connection.send(frame)


async def calls_amid_faults(
    stream: str, cluster: Cluster, system: System, receiver: Receiver, worker: Service
) -> None:
    """Call nine times, and let a node and a worker die after three."""
    async with People(system) as people:
        alice, bob = await people.two()

        async def call() -> None:
            name = secrets.token_hex(4)
            for command, sender, target in ((OFFER, alice, bob), (ANSWER, bob, alice), (HANGUP, alice, bob)):
                await is_relayed(sender, command, target, name)

        for _ in range(3):
            await call()
        node = await until_true(lambda: asyncio.to_thread(cluster.leader_of, stream))
        node.kill()
        worker.kill()
        for _ in range(3):
            await call()
        node.start()
        for _ in range(3):
            await call()

        def calls() -> dict[str, list[str]]:
            taken = {event["id"]: event for event in receiver.taken}
            by_call: dict[str, list[str]] = {}
            for event in taken.values():
                if event["data"].get("caller") == alice.user:
                    by_call.setdefault(event["subject"], []).append(event["type"])
            return by_call

        await until(lambda: len(calls()) == 9 and all(set(told) == KINDS for told in calls().values()))
