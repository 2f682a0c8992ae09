"""What a listener of ours is subscribed to, as nats-py keeps it to subscribe anew after a reconnect.

Messages never wait in it: `nats_client` calls the listener from the socket. nats-py's own class has a queue
and a future, 3 KB for each client of a gateway, and wakes a task whenever one is made or ended.
"""

import asyncio
from typing import Any, Final, Protocol

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription


class Unlistening(Protocol):
    """What a subscription needs of its client."""

    def unlisten(self, number: int, *, is_closed: bool) -> None:
        """End a subscription that is not closed yet.

        Raises:
            ConnectionClosedError, ConnectionDrainingError, BadSubscriptionError: nothing is listened to.
        """
        ...


_NOTHING: Final = asyncio.Queue[Msg]()
"""What waits for any of them."""

_NOBODY: Final[dict[Any, Any]] = {}
"""Who waits for a message of any of them."""


class Listening(Subscription):
    """One subscription; it has no more of its own than nats-py looks at."""

    _max_msgs = 0
    _received = 0
    _closed = False
    _wait_for_msgs_task = None
    _message_iterator = None
    _pending_next_msgs_calls = _NOBODY
    _pending_queue = _NOTHING
    _pending_size = 0
    _jsi = None

    def __init__(self, client: Unlistening, number: int, subject: str, queue: str) -> None:
        self._conn = client
        self._id = number
        self._subject = subject
        self._queue = queue

    async def unsubscribe(self, limit: int = 0) -> None:
        """Listen no more, from now on.

        Raises:
            ConnectionClosedError, ConnectionDrainingError, BadSubscriptionError: nothing is listened to.
        """
        assert not limit  # no listener counts its messages
        self._conn.unlisten(self._id, is_closed=self._closed)
        self._closed = True
