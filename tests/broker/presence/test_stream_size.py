"""How much the streams keep, as the metric tells it."""

import asyncio

from presence.mailbox import MIN_BYTES, make_mailbox
from presence.stream_size import measure_sizes
from tests.broker.presence.conftest import SUBJECTS
from tests.support.metrics import value_of
from tests.support.waiting import until
from tieline import metrics
from tieline.runtime.broker import Broker
from tieline.runtime.requests import Requests

SOON_S = 0.01


async def test_a_stream_is_measured_again_and_again(broker: Broker, requests: Requests) -> None:
    size = metrics.STREAM_BYTES.labels("mailbox")
    size.set(0)
    measuring = asyncio.create_task(measure_sizes(requests, {"mailbox": SUBJECTS.mailbox()}, 30, SOON_S))

    await make_mailbox(broker, SUBJECTS, "memory", 1, keep_s=30)
    jetstream = broker.client.jetstream()
    await jetstream.publish(f"{SUBJECTS.namespace}.user.alice.s", bytes(1_000))
    await until(lambda: value_of(size) > 1_000)
    await jetstream.publish(f"{SUBJECTS.namespace}.user.alice.s", bytes(10_000))
    await until(lambda: value_of(size) > 11_000)

    measuring.cancel()


async def test_a_missing_stream_keeps_no_other_from_being_measured(
    broker: Broker, requests: Requests
) -> None:
    size, missing = metrics.STREAM_BYTES.labels("mailbox"), metrics.STREAM_BYTES.labels("bucket")
    size.set(0)
    missing.set(-1)
    await make_mailbox(broker, SUBJECTS, "memory", 1, keep_s=30)
    await broker.client.jetstream().publish(f"{SUBJECTS.namespace}.user.alice.s", bytes(1_000))

    measuring = asyncio.create_task(
        measure_sizes(requests, {"bucket": "KV_t", "mailbox": SUBJECTS.mailbox()}, 30, SOON_S)
    )
    await until(lambda: value_of(size) > 1_000)

    assert value_of(missing) == -1
    measuring.cancel()


async def test_a_full_mailbox_whose_mail_is_younger_than_an_absence_is_told(
    broker: Broker, requests: Requests
) -> None:
    too_short, most = metrics.MAIL_KEPT_TOO_SHORT, metrics.STREAM_MAX_BYTES.labels("mailbox")
    too_short.set(-1)
    await make_mailbox(broker, SUBJECTS, "memory", 1, keep_s=30, max_bytes=MIN_BYTES)
    measuring = asyncio.create_task(
        measure_sizes(requests, {"mailbox": SUBJECTS.mailbox()}, keep_s=30, every_s=SOON_S)
    )
    await until(lambda: value_of(too_short) == 0)
    assert value_of(most) == MIN_BYTES

    for number in range(40):
        await broker.client.jetstream().publish(f"{SUBJECTS.namespace}.user.u{number}.s", bytes(64_000))
    await until(lambda: value_of(too_short) > 0)

    assert value_of(too_short) <= 30
    await broker.client.jetstream().purge_stream(SUBJECTS.mailbox())
    await until(lambda: value_of(too_short) == 0)
    measuring.cancel()
