"""The log of a room in the stream of a real broker."""

import asyncio

import pytest
from nats.js.api import StorageType, StreamConfig

from presence.mailbox import make_mailbox
from presence.room_log import Added, MailboxLog
from presence.store import StoreUnavailable
from tests.broker.presence.conftest import SUBJECTS
from tieline.runtime.broker import Broker, Message
from tieline.runtime.patience import PATIENCE_S
from tieline.runtime.requests import Requests
from tieline.wire import jetstream, jetstream_headers
from tieline.wire.ids import RoomId, SessionId, UserId
from tieline.wire.internal.codec import decode_room_change
from tieline.wire.internal.rooms import RoomChange
from tieline.wire.subjects import user_of_change

HALL, ALICE, BOB = RoomId("a hall.*"), UserId("alice"), UserId("用户 一")
CAME = RoomChange("joined", 7, SessionId("s"), "online", True, 1)
WENT = RoomChange("left", 8, SessionId("s"), "online", True, 0, "left")


class Log:
    """The log over a stream, and what a gateway hears of it."""

    def __init__(self, broker: Broker, requests: Requests) -> None:
        self._broker = broker
        self.log = MailboxLog(requests, SUBJECTS, self.adapt)
        self.heard: asyncio.Queue[Message] = asyncio.Queue()
        self.adapted = 0

    async def adapt(self) -> None:
        """Make the stream as this version has it."""
        self.adapted += 1
        await make_mailbox(self._broker, SUBJECTS, "memory", 1, 30)

    async def listen(self) -> None:
        """Hear what the stream pushes of the hall."""
        await self._broker.subscribe(SUBJECTS.live_room(HALL), self.heard.put_nowait)


async def test_a_change_is_numbered_and_pushed_and_kept_once(broker: Broker, requests: Requests) -> None:
    log = Log(broker, requests)
    await log.adapt()
    await log.listen()
    first, is_new = await log.log.add(HALL, ALICE, CAME)
    assert is_new
    assert await log.log.add(HALL, ALICE, CAME) == Added(first, is_new=False)
    second = (await log.log.add(HALL, BOB, CAME)).number
    third = (await log.log.add(HALL, ALICE, WENT)).number
    assert first < second < third
    heard = [await log.heard.get() for _ in range(3)]
    assert [(user_of_change(one.subject), decode_room_change(one.data)) for one in heard] == [
        (ALICE, CAME),
        (BOB, CAME),
        (ALICE, WENT),
    ]
    assert [jetstream_headers.position(one.headers) for one in heard] == [
        (0, first),
        (0, second),
        (first, third),
    ]
    nonces = [jetstream_headers.nonce_of(one.headers) for one in heard]
    assert all(nonces)
    assert len(set(nonces)) == 3
    get, ask = jetstream.direct_get(SUBJECTS.mailbox()), jetstream.message_at(first)
    kept = await requests.ask_once(get, ask, PATIENCE_S)
    assert jetstream_headers.nonce_of(kept.headers) == nonces[0], "every gateway calls it the same"


async def test_of_whom_the_log_has_something_is_known(broker: Broker, requests: Requests) -> None:
    log = Log(broker, requests)
    await log.adapt()
    await log.log.add(HALL, BOB, WENT)
    assert await log.log.has(HALL, BOB)
    assert not await log.log.has(HALL, ALICE)
    assert not await log.log.has(RoomId("a hall"), BOB)


async def test_a_stream_of_an_older_version_is_adapted(broker: Broker, requests: Requests) -> None:
    log = Log(broker, requests)
    older = StreamConfig(
        name=SUBJECTS.mailbox(), subjects=[SUBJECTS.users()], storage=StorageType.MEMORY, allow_direct=True
    )
    await broker.client.jetstream().add_stream(older)
    assert await log.log.add(HALL, ALICE, CAME) == Added(1, is_new=True)
    assert log.adapted == 1


async def test_a_stream_that_cannot_be_had_is_said(requests: Requests) -> None:
    async def in_vain() -> None:
        pass

    log = MailboxLog(requests, SUBJECTS, in_vain)
    with pytest.raises(StoreUnavailable):
        await log.add(HALL, ALICE, CAME)
    with pytest.raises(StoreUnavailable):
        await log.has(HALL, ALICE)
