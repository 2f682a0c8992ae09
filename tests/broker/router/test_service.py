"""One pack of signals that cached permissions let pass, over a real broker."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from router.grants import Grant, Grants
from router.service import RouterService
from tests.broker.runtime.watching import Inbox
from tests.support.pip_nats import PipNats
from tieline.runtime.broker import Broker, connect
from tieline.runtime.requests import Requests
from tieline.wire import internal
from tieline.wire.ids import SessionId, UserId
from tieline.wire.internal import Accepted, Signal
from tieline.wire.subjects import Subjects

SUBJECTS = Subjects("t")
ALICE, SESSION, TARGET = UserId("alice"), SessionId("s"), SessionId("t")


@pytest.fixture
async def broker(pip_nats: PipNats) -> AsyncIterator[Broker]:
    connected = await connect(pip_nats.url, "test")
    yield connected
    await connected.close()


async def test_a_bug_that_one_signal_meets_spares_its_pack(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    users = [UserId("bob"), UserId(""), UserId("carol")]  # of which one can stand in no subject
    answers, frames = Inbox(), Inbox()
    grants = Grants()
    async with asyncio.TaskGroup() as tasks:
        service = RouterService(broker, Requests(broker, "t.router.r.reply"), SUBJECTS, grants, tasks)
        subscription = await service.start()
        await broker.subscribe("t.answers", answers.put)
        await broker.subscribe(SUBJECTS.users(), frames.put)
        await broker.flush()
        for user in users:
            grant = Grant(SESSION, TARGET, time.monotonic() + 60, frozenset())
            grants.answered(grants.ask(ALICE, user), grant)

        pack = [Signal(ALICE, SESSION, user, user.encode(), stored=False) for user in users]
        broker.send(SUBJECTS.signal("WEBRTC_ICE_CANDIDATE"), internal.encode(pack), "t.answers")

        answered = internal.decode_answers((await answers.next()).data)
        delivered = [(await frames.next()).data for _ in range(2)]
        await broker.drain(subscription)

    assert answered == [(0, Accepted("relayed")), (2, Accepted("relayed"))]
    assert delivered == [b"bob", b"carol"]
    assert caplog.messages == ["signal unanswered: a bug"]
