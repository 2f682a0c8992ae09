"""Deliveries over real HTTP, to receivers that behave as badly as backends do."""

import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.support.receiver import SECRET, Manner, Receiver
from tieline.wire.cloud_events import StoredEvent
from tieline.wire.webhooks import Endpoint, EndpointId
from webhooks import sender as module
from webhooks.sender import Sender

EVENTS = tuple(
    StoredEvent(number, "call/a", f"id {number}", 0, b'{"id":"id %d","subject":"call/a"}' % number)
    for number in (1, 2)
)


@pytest.fixture
async def sender() -> AsyncIterator[Sender]:
    async with Sender(0.5, may_be_private=True) as sending:
        yield sending


def at(url: str, *secrets: str) -> Endpoint:
    return Endpoint(EndpointId("e"), url, secrets or (SECRET,))


async def test_a_delivery_is_a_signed_batch_of_cloud_events(sender: Sender, receiver: Receiver) -> None:
    sent = await sender.send(at(receiver.url, SECRET, "the one before"), EVENTS)
    assert sent == ("taken", None, "")
    (post,) = receiver.posts
    assert post.headers["content-type"] == "application/cloudevents-batch+json"
    assert [event["id"] for event in post.events] == ["id 1", "id 2"]
    assert post.is_signed()
    assert post.is_signed("the one before")
    assert not post.is_signed("another one")


@pytest.mark.parametrize(
    ("manner", "outcome", "is_answered"),
    [
        ("refuses", "refused", True),
        ("is gone", "refused", True),
        ("is busy", "refused", False),
        ("hangs", "timeout", False),
        ("hangs up", "unreachable", False),
        ("answers garbage", "garbage", False),
        ("says nothing, on and on", "garbage", False),
    ],
)
async def test_what_is_not_taken_is_said_to_be_that(
    manner: Manner, outcome: str, is_answered: bool, sender: Sender, receiver: Receiver
) -> None:
    receiver.manner = manner
    sent = await sender.send(at(receiver.url), EVENTS)
    assert sent.failed is not None
    assert (sent.outcome, sent.failed.is_answered) == (outcome, is_answered)


async def test_a_receiver_says_when_to_come_again(sender: Sender, receiver: Receiver) -> None:
    receiver.manner = "is busy"
    sent = await sender.send(at(receiver.url), EVENTS)
    assert sent.failed is not None
    assert sent.failed.retry_after_ms == 1000


async def test_nobody_who_listens_is_unreachable(sender: Sender) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        sent = await sender.send(at(f"http://127.0.0.1:{held.getsockname()[1]}"), EVENTS)
    assert sent.outcome == "unreachable"


async def test_a_redirect_leads_nowhere(sender: Sender, receiver: Receiver) -> None:
    async with Receiver().listening() as inner:
        receiver.manner, receiver.redirects_to = "redirects", inner.url
        assert (await sender.send(at(receiver.url), EVENTS)).outcome == "redirected"
        assert inner.posts == []


@pytest.mark.parametrize("host", ["2130706433", "127.1", "0x7f.1"])
async def test_an_address_in_disguise_is_not_connected_to(host: str, receiver: Receiver) -> None:
    async with Sender(5.0, may_be_private=False) as strict:
        sent = await strict.send(at(f"http://{host}:{receiver.port}/"), EVENTS)
    assert sent.outcome in ("forbidden", "garbage")
    assert receiver.posts == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "0.0.0.0"])
async def test_a_private_address_is_not_connected_to(host: str, receiver: Receiver) -> None:
    async with Sender(5.0, may_be_private=False) as strict:
        sent = await strict.send(at(f"http://{host}:{receiver.port}/"), EVENTS)
    assert sent.outcome == "forbidden"
    assert receiver.posts == []


class _Turning(aiohttp.abc.AbstractResolver):
    """A name server whose answer is of the internet first, and then private."""

    def __init__(self) -> None:
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[aiohttp.abc.ResolveResult]:
        assert family in (socket.AF_INET, socket.AF_UNSPEC)
        self.asked += 1
        address = "127.0.0.1" if self.asked > 1 else "203.0.114.1"
        return [
            aiohttp.abc.ResolveResult(
                hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0
            )
        ]

    async def close(self) -> None:
        pass


async def test_a_name_that_turns_private_is_not_followed(
    receiver: Receiver,
) -> None:
    resolver = _Turning()
    async with Sender(0.3, may_be_private=False, resolver=resolver) as strict:
        first = await strict.send(at(f"http://turning.example:{receiver.port}/"), EVENTS)
        second = await strict.send(at(f"http://turning.example:{receiver.port}/"), EVENTS)
    assert first.outcome in ("timeout", "unreachable")  # it was tried: nobody is there
    assert second.outcome == "forbidden"
    assert receiver.posts == []


def test_odd_words_of_when_to_come_again_count_for_nothing() -> None:
    for odd in ("", "-1", "soon", "1e3", "9" * 30, "١"):
        failed = module._judged(503, odd).failed
        assert failed is not None
        assert failed.retry_after_ms == 0
