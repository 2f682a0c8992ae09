"""Deliveries over real HTTP, to receivers that behave as badly as backends do."""

import socket
from collections.abc import AsyncIterator, Sequence

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


class _Names(aiohttp.abc.AbstractResolver):
    """A name server of one name, with what it answers each time; the last answer again and again."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[aiohttp.abc.ResolveResult]:
        assert family in (socket.AF_INET, socket.AF_UNSPEC)
        addresses = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [
            aiohttp.abc.ResolveResult(hostname=host, host=each, port=port, family=kind, proto=0, flags=0)
            for each in addresses
            for kind in [socket.AF_INET6 if ":" in each else socket.AF_INET]
        ]

    async def close(self) -> None:
        pass


async def test_a_name_that_turns_private_is_not_followed(
    receiver: Receiver,
) -> None:
    resolver = _Names(["203.0.114.1"], ["127.0.0.1"])
    async with Sender(0.3, may_be_private=False, resolver=resolver) as strict:
        first = await strict.send(at(f"http://turning.example:{receiver.port}/"), EVENTS)
        second = await strict.send(at(f"http://turning.example:{receiver.port}/"), EVENTS)
    assert first.outcome in ("timeout", "unreachable")  # it was tried: nobody is there
    assert second.outcome == "forbidden"
    assert receiver.posts == []


@pytest.mark.parametrize("addresses", [["127.0.0.1", "::1"], ["10.0.0.1", "10.0.0.2", "fd00::1"]])
async def test_a_name_of_several_private_addresses_is_forbidden(
    addresses: list[str], receiver: Receiver
) -> None:
    async with Sender(5.0, may_be_private=False, resolver=_Names(addresses)) as strict:
        sent = await strict.send(at(f"http://inner.example:{receiver.port}/"), EVENTS)
    assert sent.outcome == "forbidden"
    assert receiver.posts == []


def test_odd_words_of_when_to_come_again_count_for_nothing() -> None:
    for odd in ("", "-1", "soon", "1e3", "9" * 30, "١"):
        failed = module._judged(503, odd).failed
        assert failed is not None
        assert failed.retry_after_ms == 0
