"""One node of a NATS cluster of three dies under load, everything being stored three times."""

import asyncio
from collections.abc import Iterator

import pytest

from presence.mail import Mail
from tests.support.cluster import Cluster
from tests.support.load import MESSAGES, Load, nothing_is_amiss, running
from tests.support.nats_server import NatsServer
from tests.support.partitions import buckets_of, mailboxes_of, subjects_of
from tests.support.system import System
from tests.support.waiting import until_true
from tieline.runtime.broker import connect
from tieline.runtime.requests import Requests
from tieline.wire import jetstream_answers, jetstream_headers
from tieline.wire.ids import SessionId, UserId

PAIRS = 6
NAMESPACE = "tests"
STREAMS = (buckets_of(NAMESPACE)[-1], mailboxes_of(NAMESPACE)[-1])


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster.plain(tmp_path_factory.mktemp("cluster")) as running_cluster:
        yield running_cluster


@pytest.fixture(scope="module")
def system(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    settings = {"NAMESPACE": NAMESPACE, "REPLICAS": "3", "DRAIN_WAIT": "0", "DRAIN_SPREAD": "0"}
    folder = tmp_path_factory.mktemp("system")
    with System(cluster.url, folder, gateways=2, routers=2, presences=2, settings=settings) as running_system:
        yield running_system


def urls(system: System) -> list[str]:
    return [f"ws://127.0.0.1:{port}/ws" for port in system.ports]


async def leader_of(cluster: Cluster, stream: str) -> NatsServer:
    """Wait until a stream has a leader."""
    return await until_true(lambda: asyncio.to_thread(cluster.leader_of, stream))


async def kill_and_restart(load: Load, cluster: Cluster, node: NatsServer) -> None:
    """Kill a node while everybody talks, have them talk on without it, and let it catch up."""
    await load.progress(MESSAGES)
    sent = load.report().sent
    node.kill()
    await load.progress(MESSAGES)
    assert load.report().sent > sent
    node.start()
    await until_true(lambda: asyncio.to_thread(lambda: cluster.is_whole))


@pytest.mark.usefixtures("system")  # which makes the mailbox
async def test_a_frame_that_was_asked_about_is_stored_when_it_comes(cluster: Cluster) -> None:
    broker, subjects = await connect(cluster.url, "test"), subjects_of(NAMESPACE)
    requests = Requests(broker, subjects.replies("test", "1"))
    await requests.start()
    mail = Mail(requests, subjects)
    assert await mail.find(UserId("nobody"), "a name") == 0

    subject = subjects.user(UserId("nobody"), SessionId("nobody-s"))
    reply = await requests.ask_once(subject, b"{}", 5.0, jetstream_headers.named("a name"))

    stored = jetstream_answers.read_published(reply.data)
    assert stored.error is None
    assert await mail.find(UserId("nobody"), "a name") == stored.seq > 0
    await broker.close()


@pytest.mark.parametrize("stream", STREAMS)
async def test_the_node_that_leads_a_stream_is_killed(cluster: Cluster, system: System, stream: str) -> None:
    async with running(urls(system), PAIRS, windows=(1,)) as load:
        leader = await leader_of(cluster, stream)
        await kill_and_restart(load, cluster, leader)
        await nothing_is_amiss(load)
        assert load.counts["resumed"] == 0  # no socket was closed


async def test_a_node_that_leads_no_stream_is_killed(cluster: Cluster, system: System) -> None:
    async with running(urls(system), PAIRS, windows=(1,)) as load:
        leaders = [await leader_of(cluster, stream) for stream in STREAMS]
        follower = next(node for node in cluster.nodes if node not in leaders)
        await kill_and_restart(load, cluster, follower)
        await nothing_is_amiss(load)
        assert load.counts["resumed"] == 0


async def test_the_node_that_leads_the_mailbox_stands_still_then_is_killed(
    cluster: Cluster, system: System
) -> None:
    async with running(urls(system), PAIRS, windows=(1,)) as load:
        leader = await leader_of(cluster, STREAMS[1])
        await load.progress(MESSAGES)
        leader.freeze()
        await load.silence(1)
        for client in load.clients[::2]:
            client.move()
        await load.progress(MESSAGES)
        leader.kill()
        leader.start()
        await until_true(lambda: asyncio.to_thread(lambda: cluster.is_whole))
        await nothing_is_amiss(load)
