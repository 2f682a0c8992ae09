"""Real buckets for the tests of what presence may expect of its store."""

from presence.bucket import Bucket, make_bucket
from presence.partitioned import PartitionedBucket
from tieline.runtime.broker import Broker
from tieline.runtime.requests import Requests
from tieline.wire.subjects import Subjects

MORE_THAN_ONE_ANSWER_HOLDS = 1100
"""The broker refuses to answer one read with more than 1,024 records."""


async def partitioned_of(broker: Broker, subjects: Subjects, alone: bool = True) -> PartitionedBucket:
    """A real bucket of one's own in partitions; its broker counts as `alone`, or as one of several nodes."""
    requests = (Requests if alone else OneOfSeveral)(broker, subjects.replies("contract", "test"))
    await requests.start()
    buckets = []
    for part in subjects.parts():
        await make_bucket(broker, part.bucket(), "memory", 1, beside=part.beside_bucket())
        buckets.append(Bucket(broker, requests, part.bucket()))
    return PartitionedBucket(buckets, subjects.partitions)


class OneOfSeveral(Requests):
    """Requests to a node that may lag behind another one."""

    @property
    def is_alone(self) -> bool:
        """No."""
        return False


async def bucket_of(broker: Broker, namespace: str) -> Bucket:
    """A real bucket of one's own, which need not be there yet."""
    requests = Requests(broker, Subjects(namespace).replies("contract", "test"))
    await requests.start()
    await make_bucket(broker, namespace, "memory", 1)
    return Bucket(broker, requests, namespace)
