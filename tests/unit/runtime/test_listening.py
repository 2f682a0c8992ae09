"""What a listener is subscribed to: by a client that writes down what it is told."""

import pytest
from nats.errors import BadSubscriptionError

from tieline.runtime.listening import Listening


class Client:
    """A client that has no connection."""

    def __init__(self) -> None:
        self.ended: list[int] = []

    def unlisten(self, number: int, *, is_closed: bool) -> None:
        if is_closed:
            raise BadSubscriptionError
        self.ended.append(number)


async def test_it_is_ended_by_its_number_and_only_once() -> None:
    client = Client()
    subscription = Listening(client, 7, "a.b", "group")

    await subscription.unsubscribe()

    assert client.ended == [7]
    with pytest.raises(BadSubscriptionError):
        await subscription.unsubscribe()
    assert client.ended == [7]


def test_it_says_what_it_is_subscribed_to() -> None:
    subscription = Listening(Client(), 7, "a.b", "group")

    assert (subscription.subject, subscription.queue, subscription.pending_msgs) == ("a.b", "group", 0)


def test_two_of_them_share_all_that_is_always_empty() -> None:
    one, other = Listening(Client(), 1, "a", ""), Listening(Client(), 2, "b", "")

    assert one._pending_queue is other._pending_queue
    assert set(vars(one)) == {"_conn", "_id", "_subject", "_queue"}
