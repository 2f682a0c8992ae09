"""`bench.bucket`: many records in the bucket, and a node that is killed with them."""

import msgspec

from bench.bucket import AT_ONCE, NAMESPACE, fill, has_records, record
from presence.bucket import Bucket, make_bucket
from presence.record_codec import user_in
from presence.rules.user import User
from tests.support.nats_server import NatsServer
from tieline.runtime.broker import Broker
from tieline.runtime.requests import Requests
from tieline.wire.ids import UserId
from tieline.wire.subjects import Keys

RECORDS = 2 * AT_ONCE + 1


def test_a_record_is_that_of_a_user_who_is_not_there() -> None:
    assert not msgspec.msgpack.decode(record(), type=User).is_reachable


async def test_all_records_are_stored_and_outlive_their_node(broker: Broker, pip_nats: NatsServer) -> None:
    await make_bucket(broker, NAMESPACE, "file", 1)
    await fill(pip_nats.url, RECORDS)
    assert await has_records(pip_nats.url, RECORDS)
    assert not await has_records(pip_nats.url, RECORDS + 1)
    key = Keys.user(UserId(f"stored-{RECORDS - 1}"))
    requests = Requests(broker, "test.reply")
    await requests.start()
    found = await Bucket(broker, requests, NAMESPACE).read(key)
    assert user_in(found, key)[0] is not None
    pip_nats.kill()
    assert not await has_records(pip_nats.url, RECORDS)
    pip_nats.start()
    assert await has_records(pip_nats.url, RECORDS)
