"""Move what is stored to another number of partitions: remove the streams of the number before, if empty.

A user, a pair or a room may be in another partition then, and nothing is carried over: so it is refused while
anything is stored. Sessions end with their gateways, and what is stored of them goes by itself, as long as a
presence process is there (docs/operations.md#partitions). `tieline streams` does it, and no service.
"""

from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from presence.bucket import PROBE, TIMEOUT_S
from presence.store import StoreUnavailable
from tieline.runtime.broker import Broker
from tieline.runtime.cancelling import cancellable
from tieline.wire import jetstream, jetstream_answers
from tieline.wire.partitions import number_in
from tieline.wire.subjects import Subjects


class StillStored(Exception):
    """Something is stored in the partitions that are there."""


async def number_there(broker: Broker, subjects: Subjects) -> int | None:
    """Find of how many partitions the mailbox is that is there; None: there is none, or it does not say."""
    try:
        asking = broker.client.request(subjects.which(), b"", timeout=TIMEOUT_S)
        stream = jetstream_answers.read_published((await cancellable(asking)).data).stream
    except (NatsError, TimeoutError):
        return None
    return number_in(stream) if stream else None


async def remove_empty(broker: Broker, former: Subjects) -> None:
    """Remove the streams of a number of partitions.

    Raises:
        StillStored: they are not empty. Nothing is removed.
        StoreUnavailable: JetStream does not answer, or does not permit it.
    """
    context = broker.client.jetstream(timeout=TIMEOUT_S)
    try:
        kept = {
            stream: count
            for part in former.parts()
            for stream, count in (
                (jetstream.bucket_stream(part.bucket()), await _records(context, part)),
                (part.mailbox(), await _messages(context, part)),
            )
            if count
        }
        if kept:
            listed = ", ".join(f"{stream} has {count:,}" for stream, count in kept.items())
            raise StillStored(
                f"what is there, in {former.partitions.number}, is not empty ({listed}): stop gateways and"
                " routers, leave a presence process running with that number for some minutes, and try again"
            )
        for part in former.parts():
            for stream in (jetstream.bucket_stream(part.bucket()), part.mailbox()):
                try:
                    await context.delete_stream(stream)
                except NotFoundError:
                    continue
    except (NatsError, TimeoutError) as error:
        raise StoreUnavailable(
            f"the streams of {former.partitions.number} cannot be removed; with accounts of `tieline"
            f" permissions --former {former.partitions.number}` they can: {error}"
        ) from error


async def _records(context: JetStreamContext, part: Subjects) -> int:
    """Count the records of a bucket, and what waits for a presence process to carry it out."""
    prefix = jetstream.bucket_prefix(part.bucket())
    counts = await _counts(context, jetstream.bucket_stream(part.bucket()), f"{prefix}>")
    return sum(count for subject, count in counts.items() if subject != prefix + PROBE)


async def _messages(context: JetStreamContext, part: Subjects) -> int:
    """Count what a mailbox keeps for users, and of rooms."""
    users = await _counts(context, part.mailbox(), part.users())
    rooms = await _counts(context, part.mailbox(), part.rooms())
    return sum(users.values()) + sum(rooms.values())


async def _counts(context: JetStreamContext, stream: str, pattern: str) -> dict[str, int]:
    try:
        info = await context.stream_info(stream, subjects_filter=pattern)
    except NotFoundError:
        return {}
    return info.state.subjects or {}
