"""One webhook worker: `python -m webhooks`, configured by the environment alone."""

import asyncio
import functools
import logging
import time

import tieline.runtime.nats_py  # noqa: F401  # before the others
from tieline.event_stream import EventStream, News, hear
from tieline.runtime.guard import BackgroundTasks, keep_going
from tieline.runtime.ops import STARTING, STOPPING
from tieline.runtime.process import joined, run, unless_stopped
from tieline.webhook_bucket import Bucket, Unavailable, make_bucket
from tieline.wire.subjects import Subjects
from tieline.wire.webhooks import Endpoint
from webhooks.delivery import Delivery
from webhooks.sender import Sender
from webhooks.settings import WebhookSettings, endpoint_of
from webhooks.workers import Worker

RETRY_S = 1.0
"""Between attempts to make the bucket when JetStream does not answer."""

_log = logging.getLogger("webhooks")


async def main(settings: WebhookSettings, stopping: asyncio.Event) -> None:
    """Tell endpoints until `stopping`, then finish the deliveries that are under way.

    Raises:
        SettingsError: the endpoint of the settings cannot be used.
    """
    own = endpoint_of(settings)
    subjects = Subjects(settings.namespace)
    replies = functools.partial(subjects.replies, "webhooks")
    inbox = functools.partial(subjects.inbox, "webhooks")
    async with (
        joined("webhooks", settings, stopping, replies, inbox) as process,
        Sender(settings.webhook_timeout, may_be_private=settings.webhook_private) as sender,
        BackgroundTasks() as telling,
    ):
        instance, ready, broker, requests = process

        async def make_it() -> None:
            await make_bucket(broker, subjects.webhooks(), settings.storage, settings.replicas)

        async def made() -> None:
            while True:
                try:
                    await make_it()
                except Unavailable as error:
                    _log.warning("waiting for JetStream", extra={"error": str(error)})
                    await asyncio.sleep(RETRY_S)
                else:
                    return

        await unless_stopped(stopping, made())
        bucket, stream, news = Bucket(requests, subjects.webhooks()), EventStream(requests, subjects), News()
        await hear(broker, subjects, news)

        def make(endpoint: Endpoint) -> Delivery:
            return Delivery(
                endpoint,
                bucket,
                stream,
                news,
                sender,
                lambda: int(time.time() * 1000),
                settings.webhook_batch,
                int(settings.webhook_retry_for * 1000),
            )

        worker = Worker(instance, bucket, own, make, telling, time.monotonic, make_it)
        await unless_stopped(stopping, broker.settle())
        working = telling.create_task(keep_going(_log, "webhooks pause: a bug", worker.run))
        await unless_stopped(stopping, worker.begun())
        ready.clear(STARTING)
        await stopping.wait()
        _log.info("webhooks stop")
        ready.hold(STOPPING)
        working.cancel()
        try:
            await worker.stop()
        except Unavailable as error:
            _log.warning("others take over when the leases have run out", extra={"error": str(error)})


if __name__ == "__main__":
    run("webhooks", WebhookSettings, main)
