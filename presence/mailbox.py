"""Make the mailbox: the stream through which everything passes that is sent to users.

It keeps a frame, once however often it is published, and then pushes it on to the gateway that listens. So
what is pushed is stored, and comes in the order in which it is stored: a client that comes back gets exactly
what it has not had. Only made here; routers and presence publish into it by publishing to users, gateways
listen to it (`gateway.delivery.feed`) and read it (`gateway.delivery.mailbox`).
"""

import time
from typing import Final, Literal

from nats.errors import Error as NatsError
from nats.js.api import RePublish, StorageType, StreamConfig
from nats.js.errors import APIError

from presence.store import TIMEOUT_S, StoreUnavailable
from tieline.runtime.broker import Broker
from tieline.runtime.requests import NoAnswer, Requests
from tieline.wire import jetstream
from tieline.wire.limits import MAX_MISSED, RETRY_WINDOW_S
from tieline.wire.subjects import Subjects

MIN_KEEP_S: Final = RETRY_WINDOW_S + 15.0
"""Longer than a retry is recognized: one that is judged at the very end of that time is published later."""

MARGIN_S: Final = 20.0
"""Beyond the longest absence: for clocks, and for the time a replay takes."""


class Mailbox:
    """The stream, as far as presence must know whether it is there."""

    def __init__(self, requests: Requests, subjects: Subjects) -> None:
        self._requests = requests
        self._info = jetstream.stream_info(subjects.mailbox())

    async def is_usable(self) -> bool:
        """Whether the stream answers now."""
        try:
            answer = await self._requests.ask_once(self._info, b"", TIMEOUT_S)
        except NoAnswer:
            return False
        return jetstream.read_stream(answer.data).error is None


async def make_mailbox(
    broker: Broker,
    subjects: Subjects,
    storage: Literal["file", "memory"],
    replicas: int,
    keep_s: float,
) -> None:
    """Make the stream, or adapt the one that is there; `keep_s` is the longest absence to be bridged.

    With replicas it lives in memory: what one node loses the others have, and it is spared the disk. One
    more message than may be missed is kept, which tells "just as many" from "more".

    Raises:
        StoreUnavailable: JetStream does not answer (yet), or cannot make it so.
    """
    config = StreamConfig(
        name=subjects.mailbox(),
        subjects=[subjects.users(), subjects.rooms(), subjects.marks(), subjects.mailbox_question()],
        republish=RePublish(*subjects.pushed()),
        storage=StorageType.MEMORY if replicas > 1 or storage == "memory" else StorageType.FILE,
        num_replicas=replicas,
        max_age=max(MIN_KEEP_S, keep_s + MARGIN_S),
        max_msgs_per_subject=MAX_MISSED + 1,
        duplicate_window=MIN_KEEP_S,
        allow_direct=True,
    )
    context = broker.client.jetstream(timeout=TIMEOUT_S)
    try:
        try:
            # Numbers of changes of rooms go on growing, also when a stream was lost and is made anew.
            await context.add_stream(config.evolve(first_seq=time.time_ns() // 1_000))
        except APIError as error:
            if error.err_code != jetstream.NAME_IN_USE:
                raise
            await context.update_stream(config)
    except (NatsError, TimeoutError) as error:
        raise StoreUnavailable(f"no mailbox: {error}") from error
