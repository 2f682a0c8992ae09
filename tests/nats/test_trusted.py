"""What the API and webhook workers can do when they are taken over, whatever they are for (docs/trust.md)."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from nats.js import JetStreamContext
from nats.js.errors import NoStreamResponseError

from presence.settings import PresenceSettings
from presence.streams import make_streams
from tests.nats.conftest import NAMESPACE
from tests.support.secured import Intruder, SecuredCluster
from tests.support.system import System
from tests.support.waiting import until_true, within
from tieline.runtime.broker import connect
from tieline.runtime.message import Message
from tieline.runtime.settings import BrokerLogin
from tieline.webhook_bucket import Unavailable, make_bucket
from tieline.wire import jetstream, jetstream_answers
from tieline.wire.ids import SessionId, UserId
from tieline.wire.subjects import Keys as KvKeys
from tieline.wire.subjects import Subjects
from tieline.wire.webhooks import EndpointId, Keys

pytestmark = pytest.mark.needs("openssl")

SUBJECTS = Subjects(NAMESPACE)
STREAM, PREFIX = jetstream.bucket_stream(SUBJECTS.webhooks()), jetstream.bucket_prefix(SUBJECTS.webhooks())
MINE = PREFIX + Keys.endpoint(EndpointId("mine"))
FORGED = b"forged by who may write an endpoint"
ASKS_FOR_MINE = msgspec.json.encode({"last_by_subj": MINE})


@pytest.fixture
async def _bucket(cluster: SecuredCluster, system: System) -> None:
    """Make the bucket of webhooks, as the first worker does: it tries until the cluster takes it."""
    login = BrokerLogin("webhooks", cluster.prepared.password("webhooks"), str(cluster.prepared.ca))
    broker = await connect(cluster.url, "worker", login, SUBJECTS.inbox("webhooks", "maker"))

    async def is_made() -> bool:
        try:
            await make_bucket(broker, SUBJECTS.webhooks(), "file", 3)
        except Unavailable:
            return False
        return True

    await until_true(is_made)
    await broker.close()


class Asking:
    """An intruder, and what it is answered."""

    def __init__(self, intruder: Intruder, user: str) -> None:
        self._intruder = intruder
        self._reply = f"{NAMESPACE}.{user}.intruder.reply.1"
        self._answers: asyncio.Queue[Message] = asyncio.Queue()

    async def listens(self) -> None:
        await self._intruder.client.listen(self._reply, "", self._answers.put_nowait)

    async def asks(self, subject: str, payload: bytes = b"", **headers: str) -> Message:
        """Say something that the broker lets it say, and return the answer."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        await self._intruder.client.publish(subject, payload, reply=self._reply, headers=named or None)
        assert await self._intruder.told() == []
        return await within(self._answers.get())

    async def has_sent(self, subject: str, payload: bytes, aim: str) -> None:
        """Have the broker answer a question of its somewhere else."""
        await self._intruder.client.publish(subject, payload, reply=aim)
        assert await self._intruder.told() == []


@asynccontextmanager
async def taken_over(cluster: SecuredCluster, user: str) -> AsyncIterator[Asking]:
    async with Intruder.as_user(cluster, user) as intruder:
        asking = Asking(intruder, user)
        await asking.listens()
        yield asking


@pytest.mark.usefixtures("_bucket")
@pytest.mark.parametrize("user", ["api", "webhooks"])
async def test_jetstream_answers_them_wherever_they_say(cluster: SecuredCluster, user: str) -> None:
    """So they can have anything said to anybody, as presence can: nothing but their password keeps them."""
    async with taken_over(cluster, user) as it, Intruder.as_user(cluster, "observer") as observer:
        heard: asyncio.Queue[Message] = asyncio.Queue()
        await observer.client.listen(f"{NAMESPACE}.events.*", "", heard.put_nowait)
        assert await observer.told() == []
        assert b'"seq"' in (await it.asks(MINE, FORGED)).data
        await it.has_sent(jetstream.direct_get(STREAM), ASKS_FOR_MINE, f"{NAMESPACE}.events.joined")
        message = await within(heard.get())
        while message.data != FORGED:  # the system beside it is alive
            message = await within(heard.get())


@pytest.mark.usefixtures("_bucket")
@pytest.mark.parametrize("user", ["api", "webhooks"])
async def test_they_can_drop_all_that_is_kept_of_webhooks(cluster: SecuredCluster, user: str) -> None:
    other = PREFIX + Keys.endpoint(EndpointId("other"))
    async with taken_over(cluster, user) as it:
        await it.asks(other, FORGED)
        await it.asks(MINE, FORGED, Nats_Rollup="all")
        asks_for_other = msgspec.json.encode({"last_by_subj": other})
        gone = await it.asks(jetstream.get_from_leader(STREAM), asks_for_other)
        assert jetstream_answers.read_message(gone.data).message is None


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[SecuredCluster]:
    """A cluster that no other test uses, in one partition: what it stores is lost."""
    with SecuredCluster.in_namespace(tmp_path, NAMESPACE, number=1) as running:
        yield running


async def stored(context: JetStreamContext, subject: str) -> None:
    """Store something, as soon as the stream's leader hears of it: the nodes have just begun."""

    async def is_stored() -> bool:
        try:
            await context.publish(subject, b"")
        except NoStreamResponseError:
            return False
        return True

    await until_true(is_stored)


async def test_an_answer_of_jetstreams_may_empty_a_stream(alone: SecuredCluster) -> None:
    """An answer that lands where JetStream is asked is a question: so more than `streams` can do that."""
    login = BrokerLogin("presence", alone.prepared.password("presence"), str(alone.prepared.ca))
    broker = await connect(alone.url, "presence", login, SUBJECTS.inbox("presence", "maker"))
    await make_streams(broker, SUBJECTS, PresenceSettings(replicas=3), 40.0)
    context = broker.client.jetstream()
    frame, record = (
        SUBJECTS.user(UserId("bob"), SessionId("s")),
        f"$KV.{NAMESPACE}.{KvKeys.user(UserId('bob'))}",
    )
    for subject in (frame, record):
        await stored(context, subject)
    question = msgspec.json.encode({"last_by_subj": record})
    aim = f"$JS.API.STREAM.PURGE.{SUBJECTS.mailbox()}"
    async with taken_over(alone, "presence") as it:

        async def is_empty() -> bool:  # not every node's answer is taken for a question
            await it.has_sent(jetstream.direct_get(jetstream.bucket_stream(NAMESPACE)), question, aim)
            return (await context.stream_info(SUBJECTS.mailbox())).state.messages == 0

        await until_true(is_empty)
    await broker.close()
