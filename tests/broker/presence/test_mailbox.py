"""The mailbox's stream, as presence makes it on a real broker."""

from typing import Any

import pytest
from nats.js import JetStreamContext
from nats.js.api import KeyValueConfig, RePublish, StorageType, StreamConfig, StreamInfo

from presence.bucket import NOT_ADAPTED, adapt_bucket, make_bucket
from presence.mailbox import MARGIN_S, MIN_BYTES, MIN_KEEP_S, Mailbox, is_made, make_mailbox
from presence.store import StoreUnavailable
from tests.broker.conftest import SMALL
from tests.broker.presence.conftest import SUBJECTS
from tests.broker.runtime.watching import Inbox, happens, watch
from tests.support.nats_server import NatsServer
from tieline.runtime.broker import Broker, connect
from tieline.runtime.requests import Requests
from tieline.wire import jetstream
from tieline.wire.limits import MAX_MISSED, RETRY_WINDOW_S


async def made(broker: Broker) -> StreamConfig:
    info = await broker.client.jetstream().stream_info(SUBJECTS.mailbox())
    return info.config


async def test_it_keeps_a_message_for_as_long_as_a_session_may_be_away(broker: Broker) -> None:
    await make_mailbox(broker, SUBJECTS, "memory", 1, keep_s=100)

    assert (await made(broker)).max_age == 100 + MARGIN_S


async def test_it_keeps_a_message_for_longer_than_a_retry_is_recognized(broker: Broker) -> None:
    await make_mailbox(broker, SUBJECTS, "memory", 1, keep_s=1)

    config = await made(broker)
    assert config.max_age == config.duplicate_window == MIN_KEEP_S
    assert MIN_KEEP_S > RETRY_WINDOW_S


async def test_it_keeps_one_message_more_than_may_be_missed(broker: Broker) -> None:
    await make_mailbox(broker, SUBJECTS, "memory", 1, keep_s=30)

    assert (await made(broker)).max_msgs_per_subject == MAX_MISSED + 1


async def test_its_oldest_messages_go_when_it_is_full(broker: Broker) -> None:
    await make_mailbox(broker, SUBJECTS, "memory", 1, 30, max_bytes=MIN_BYTES)

    jetstream = broker.client.jetstream()
    for number in range(40):
        ack = await jetstream.publish(f"{SUBJECTS.namespace}.user.u{number}.s", bytes(64_000))

    info = await jetstream.stream_info(SUBJECTS.mailbox())
    assert (await made(broker)).max_bytes == MIN_BYTES
    assert info.state.bytes <= MIN_BYTES
    assert info.state.last_seq == ack.seq
    assert info.state.first_seq > 1


async def test_one_of_version_1_is_adapted_and_keeps_its_newest_mail(broker: Broker) -> None:
    jetstream = broker.client.jetstream()
    ns = SUBJECTS.namespace
    await jetstream.add_stream(
        StreamConfig(
            name=SUBJECTS.mailbox(),
            subjects=[SUBJECTS.users(), SUBJECTS.marks(), SUBJECTS.mailbox_question()],
            republish=RePublish(*SUBJECTS.pushed()),
            storage=StorageType.MEMORY,
            max_age=MIN_KEEP_S,
            max_msgs_per_subject=257,
            duplicate_window=MIN_KEEP_S,
            allow_direct=True,
        )
    )
    for number in range(40):
        await jetstream.publish(f"{ns}.user.u{number}.s", bytes(64_000))

    await make_mailbox(broker, SUBJECTS, "memory", 1, 30, max_bytes=MIN_BYTES)

    info = await jetstream.stream_info(SUBJECTS.mailbox())
    assert (info.config.max_bytes, info.config.max_msgs_per_subject) == (MIN_BYTES, MAX_MISSED + 1)
    assert (info.state.bytes <= MIN_BYTES, info.state.last_seq) == (True, 40)


async def test_a_broker_with_little_room_gets_a_smaller_one(
    small_nats: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    broker = await connect(small_nats.url, "test")

    for _ in range(2):  # the second time it is there
        await make_mailbox(broker, SUBJECTS, "memory", 1, 30)
        assert (await made(broker)).max_bytes == SMALL

    assert caplog.messages == ["the mailbox is smaller than it should be"] * 2
    await broker.close()


async def test_a_broker_without_any_room_is_said(small_nats: NatsServer) -> None:
    broker = await connect(small_nats.url, "test")
    taken = StreamConfig("TAKEN", subjects=["taken"], storage=StorageType.MEMORY, max_bytes=SMALL)
    await broker.client.jetstream().add_stream(taken)

    with pytest.raises(StoreUnavailable, match="no room"):
        await make_mailbox(broker, SUBJECTS, "memory", 1, 30)
    await broker.close()


async def test_alone_it_is_stored_as_it_is_set(broker: Broker) -> None:
    await make_mailbox(broker, SUBJECTS, "file", 1, keep_s=30)

    assert (await made(broker)).storage == StorageType.FILE


async def test_made_again_it_is_adapted_and_keeps_what_it_has(broker: Broker) -> None:
    await make_mailbox(broker, SUBJECTS, "memory", 1, keep_s=30)
    await broker.client.jetstream().publish(f"{SUBJECTS.namespace}.user.alice.s", b"frame")

    await make_mailbox(broker, SUBJECTS, "memory", 1, keep_s=200)

    info = await broker.client.jetstream().stream_info(SUBJECTS.mailbox())
    assert (info.config.max_age, info.state.messages) == (200 + MARGIN_S, 1)


async def test_what_it_cannot_become_is_said(broker: Broker) -> None:
    await make_mailbox(broker, SUBJECTS, "file", 1, keep_s=30)

    with pytest.raises(StoreUnavailable, match="no mailbox"):
        await make_mailbox(broker, SUBJECTS, "memory", 1, keep_s=30)


async def test_it_is_usable_when_it_is_there(broker: Broker, requests: Requests) -> None:
    mailbox = Mailbox(requests, SUBJECTS)
    assert not await mailbox.is_usable()

    await make_mailbox(broker, SUBJECTS, "memory", 1, keep_s=30)

    assert await mailbox.is_usable()


async def test_without_a_broker_it_is_not_usable(
    broker: Broker, requests: Requests, pip_nats: NatsServer
) -> None:
    await make_mailbox(broker, SUBJECTS, "memory", 1, keep_s=30)
    away, _ = watch(broker)
    pip_nats.kill()
    await happens(away)

    assert not await Mailbox(requests, SUBJECTS).is_usable()


class NotPermitted(JetStreamContext):
    """What a service asks of JetStream that may look at a stream, and make it, but not adapt it."""

    async def update_stream(self, config: StreamConfig | None = None, **_params: Any) -> StreamInfo:
        raise TimeoutError(f"{config} is not answered")


async def test_a_mailbox_that_may_not_be_adapted_serves_as_it_is(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    await make_mailbox(broker, SUBJECTS, "memory", 1, 30, max_bytes=MIN_BYTES)
    for keep_s in (MIN_KEEP_S + 30, MIN_KEEP_S + 31):
        wanted = (await made(broker)).evolve(max_age=keep_s)
        assert await is_made(NotPermitted(broker.client), wanted)
    assert caplog.messages == [NOT_ADAPTED] * 2


async def test_who_must_adapt_a_mailbox_is_told_that_it_is_not(broker: Broker) -> None:
    await make_mailbox(broker, SUBJECTS, "memory", 1, 30, max_bytes=MIN_BYTES)
    wanted = (await made(broker)).evolve(max_age=MIN_KEEP_S + 30)
    with pytest.raises(StoreUnavailable, match="cannot be adapted"):
        await is_made(NotPermitted(broker.client), wanted, must_adapt=True)


async def test_a_bucket_that_may_not_be_adapted_serves_as_it_is(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    await make_bucket(broker, SUBJECTS.namespace, "memory", 1)
    asking, stream = NotPermitted(broker.client), jetstream.bucket_stream(SUBJECTS.namespace)
    await adapt_bucket(asking, stream, StorageType.MEMORY, 3)
    assert caplog.messages == [NOT_ADAPTED]
    with pytest.raises(StoreUnavailable, match="tieline streams"):
        await adapt_bucket(asking, stream, StorageType.MEMORY, 3, must_adapt=True)


async def test_a_bucket_whose_timers_leave_nothing_has_to_be_adapted(broker: Broker) -> None:
    await broker.client.jetstream().create_key_value(
        KeyValueConfig(bucket=SUBJECTS.namespace, storage=StorageType.MEMORY, direct=True)
    )
    stream = jetstream.bucket_stream(SUBJECTS.namespace)
    with pytest.raises(StoreUnavailable, match="cannot be adapted"):
        await adapt_bucket(NotPermitted(broker.client), stream, StorageType.MEMORY, 1)


async def test_a_mailbox_that_lacks_subjects_has_to_be_adapted(broker: Broker) -> None:
    await make_mailbox(broker, SUBJECTS, "memory", 1, 30, max_bytes=MIN_BYTES)
    wanted = (await made(broker)).evolve(subjects=["t.other"])
    with pytest.raises(StoreUnavailable, match="cannot be adapted"):
        await is_made(NotPermitted(broker.client), wanted)


async def test_a_mailbox_that_is_as_it_should_be_is_let_be(broker: Broker) -> None:
    await make_mailbox(broker, SUBJECTS, "memory", 1, 30)
    updates = Inbox()
    await broker.subscribe(jetstream.update_stream(SUBJECTS.mailbox()), updates.put)
    await broker.flush()
    await make_mailbox(broker, SUBJECTS, "memory", 1, 30)
    await broker.flush()
    assert updates.is_empty()
