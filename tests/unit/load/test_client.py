"""`tieline.load.client`: which messages may arrive, and which count as a fault."""

import asyncio

import pytest

from tieline.load.client import LoadClient, LoadError, Target
from tieline.load.faults import Faults
from tieline.load.messages import candidates

first, second, third = (candidates("a", "b").write(number) for number in range(3))


def after(client: LoadClient, *messages: bytes) -> Faults:
    for message in messages:
        client.on_text(message)
    return client.faults


def test_messages_in_the_announced_order_are_no_fault() -> None:
    client = LoadClient("b")
    client.expect(first, second)
    assert after(client, first, second) == Faults()
    assert client.arrived == 2


@pytest.mark.parametrize(
    ("arriving", "faults"),
    [
        ([second, first], Faults(out_of_order=1)),
        ([first, first, second], Faults(duplicate=1)),
        ([first, third], Faults(foreign=1)),
        ([first + b" "], Faults(foreign=1)),
        ([b"no JSON"], Faults(foreign=1)),
        ([b'{"cmd":"\xff"}'], Faults(foreign=1)),
        ([b'{"x":' + b"[" * 100_000], Faults(foreign=1)),
        ([b'{"requestId":"","cmd":"WEBRTC_OFFER","code":1000,"reason":"TARGET_OFFLINE"}'], Faults(refused=1)),
        ([b'{"requestId":"1","cmd":"MEMBER_LEFT","code":200,"data":{}}'], Faults()),
    ],
)
def test_everything_else_is_counted(arriving: list[bytes], faults: Faults) -> None:
    client = LoadClient("b")
    client.expect(first, second)
    assert after(client, *arriving) == faults


async def test_a_wait_ends_when_the_last_message_has_arrived() -> None:
    client = LoadClient("b")
    client.expect(first, second)
    waiting = asyncio.ensure_future(client.until_arrived(2, LoadClient("a")))
    await asyncio.sleep(0)
    after(client, first)
    assert not waiting.done()
    after(client, second)
    await waiting
    await client.until_arrived(2, LoadClient("a"))


async def test_replies_and_events_complete_the_futures_of_notice() -> None:
    client = LoadClient("b")
    reply, event = client.notice("7"), client.notice("MEMBER_JOINED")
    after(client, b'{"requestId":"x1","cmd":"MEMBER_JOINED","code":200,"data":{}}')
    assert event.done()
    assert not reply.done()
    after(client, b'{"requestId":"7","cmd":"JOIN","code":1000,"reason":"ROOM_FULL"}')
    with pytest.raises(LoadError, match="JOIN refused: ROOM_FULL"):
        await reply


def test_of_two_gateways_the_first_has_all_senders() -> None:
    target = Target("ws://a", "ws://b")
    assert [target.of_pair(number) for number in range(2)] == [("ws://a", "ws://b")] * 2
    assert target.urls == ("ws://a", "ws://b")


def test_over_more_gateways_pairs_go_around() -> None:
    target = Target("ws://a", "ws://b", more_urls=("ws://c",))
    assert [target.of_pair(number) for number in range(3)] == [
        ("ws://a", "ws://b"),
        ("ws://b", "ws://c"),
        ("ws://c", "ws://a"),
    ]


def test_one_gateway_is_for_both() -> None:
    assert Target("ws://a", "ws://a").of_pair(0) == ("ws://a", "ws://a")
    assert Target("ws://a", None).urls == ("ws://a",)


def test_a_target_without_a_secret_wants_no_token() -> None:
    assert Target("ws://a", "ws://b").headers("ann") == {}
    assert Target("ws://a", "ws://b", "s" * 32).headers("ann")["Authorization"].startswith("Bearer ey")
