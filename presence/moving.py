"""Move what is stored to another number of partitions: remove the streams of the number before, if empty.

A user, a pair or a room may be in another partition then, and nothing is carried over: so it is refused while
anything is stored. Sessions end with their gateways, and what is stored of them goes by itself, as long as a
presence process is there (docs/operations.md#partitions). What backends have decided goes by itself late or
never: it is removed only for who says that they decide it anew. `tieline streams` does it, and no service.
"""

from typing import Final

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

DECIDED: Final = ("standing", "given", "once", "closing", "number")
"""The kinds of keys of what backends have decided: about users, by rooms, how orders were answered, which
rooms were closed, and the last number of an order. While a room is being closed it has a timer, too, which is
none of these."""


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


async def remove_empty(broker: Broker, former: Subjects, *, forgets_decisions: bool = False) -> None:
    """Remove the streams of a number of partitions, and if wanted what backends have decided.

    Raises:
        StillStored: they are not empty, but for that. Nothing is removed.
        StoreUnavailable: JetStream does not answer, or does not permit it.
    """
    context = broker.client.jetstream(timeout=TIMEOUT_S)
    try:
        kept: dict[str, int] = {}
        decided = 0
        for part in former.parts():
            records, decisions = await _records(context, part)
            decided += decisions
            kept[jetstream.bucket_stream(part.bucket())] = records
            kept[part.mailbox()] = await _messages(context, part)
        kept = {stream: count for stream, count in kept.items() if count}
        if decided and not forgets_decisions:
            raise StillStored(
                f"what is there, in {former.partitions.number}, has {decided:,} records of what backends have"
                " decided (members, bans, voices, answers to their orders), which are not carried over: have"
                " each backend decide that anew afterwards, and remove it with --forget-decisions"
                " (docs/operations.md#partitions)"
            )
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


async def _records(context: JetStreamContext, part: Subjects) -> tuple[int, int]:
    """Count the records of a bucket, with what waits for presence; and, apart, what backends have decided."""
    prefix = jetstream.bucket_prefix(part.bucket())
    counts = await _counts(context, jetstream.bucket_stream(part.bucket()), f"{prefix}>")
    kinds = [
        subject.removeprefix(prefix).partition(".")[0] for subject in counts if subject != prefix + PROBE
    ]
    decided = sum(kind in DECIDED for kind in kinds)
    return len(kinds) - decided, decided


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
