"""Real buckets for the tests of what presence may expect of its store."""

from presence.bucket import Bucket, make_bucket
from tieline.runtime.broker import Broker
from tieline.runtime.requests import Requests
from tieline.wire.subjects import Subjects

MORE_THAN_ONE_ANSWER_HOLDS = 1100
"""The broker refuses to answer one read with more than 1,024 records."""


async def bucket_of(broker: Broker, namespace: str) -> Bucket:
    """A real bucket of one's own, which need not be there yet."""
    requests = Requests(broker, Subjects(namespace).replies("contract", "test"))
    await requests.start()
    await make_bucket(broker, namespace, "memory", 1)
    return Bucket(broker, requests, namespace)
