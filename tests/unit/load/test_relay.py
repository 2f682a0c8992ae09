"""`tieline.load.relay`: the figures of a good relay, and the faults of a bad one."""

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import replace

import pytest
from websockets.utils import accept_key

from tests.unit.load.small_relay import echoing, relaying
from tieline.load.client import LoadError, Target, arrive, leave
from tieline.load.faults import Faults
from tieline.load.figures import GENERATOR, Figures
from tieline.load.measurement import Measurement
from tieline.load.pairs import make_pairs
from tieline.load.relay import Pair, measure_relay

SECONDS = 0.2


async def relayed(target: Target, pairs: int, measured: Measurement | None = None) -> Figures:
    measured = measured or Measurement()
    await measure_relay(target, pairs, SECONDS, measured)
    return measured.figures()


async def test_a_good_relay_is_measured_without_faults() -> None:
    async with relaying() as target:
        figures = await relayed(target, 2, Measurement(lambda: {"relay": [os.getpid()]}))
    assert figures.faults == Faults()
    assert figures.asked == {"pairs": 2}
    assert figures.per_second > 0
    assert 0 < figures.p50_ms <= figures.p99_ms
    assert set(figures.cpu) == {"relay", GENERATOR}


async def test_an_echo_is_measured_with_one_connection_a_pair() -> None:
    async with echoing() as target:
        figures = await relayed(target, 1)
        (pair,) = await make_pairs(target, 1)
        assert pair[0] is pair[1]
        await pair[0].connection.close()
    assert figures.faults == Faults()
    assert figures.per_second > 0


ACK = (
    '{{"requestId":"{name}","module":"ROOM","cmd":"{cmd}",'
    '"code":200,"msg":"success","data":null,"ack":"relayed"}}'
)


def acknowledged(message: bytes) -> list[bytes]:
    return [with_fields(ACK, message)] if is_of_who_asks(message) else []


def refused(message: bytes) -> list[bytes]:
    return [with_fields(ACK.replace('"relayed"', '""'), message)] if is_of_who_asks(message) else []


def acknowledged_twice(message: bytes) -> list[bytes]:
    return 2 * acknowledged(message)


def never_acknowledged(_message: bytes) -> list[bytes]:
    return []


def with_fields(text: str, message: bytes) -> bytes:
    read = json.loads(message)
    return text.format(name=read["requestId"], cmd=read["cmd"]).encode()


def is_of_who_asks(message: bytes) -> bool:
    """Whether it is from the pair's sender: who is called asks for no acks."""
    return b"WEBRTC_ANSWER" not in message


async def test_acks_that_were_asked_for_come_one_for_each() -> None:
    async with relaying(answer=acknowledged) as target:
        figures = await relayed(replace(target, acks=True), 2)
    assert figures.faults == Faults()
    assert figures.asked == {"pairs": 2, "acks": "asked for"}
    assert figures.per_second > 0


@pytest.mark.parametrize(
    ("answer", "asks", "found"),
    [
        (acknowledged, False, {"foreign", "refused"}),  # the offer's, and the candidates'
        (refused, True, {"foreign", "refused", "lost"}),
        (acknowledged_twice, True, {"refused"}),
        (never_acknowledged, True, {"lost"}),
    ],
)
async def test_each_fault_of_acks_is_counted(
    answer: Callable[[bytes], list[bytes]], asks: bool, found: set[str]
) -> None:
    async with relaying(answer=answer) as target:
        faults = (await relayed(replace(target, acks=asks), 1)).faults
    assert {name for name in Faults.__dataclass_fields__ if getattr(faults, name)} == found


def is_candidate(message: bytes) -> bool:
    return b"WEBRTC_ICE_CANDIDATE" in message


def repeated(message: bytes) -> list[bytes]:
    return [message, message] if is_candidate(message) else [message]


def altered(message: bytes) -> list[bytes]:
    return [message.replace(b"192.168.1.100", b"192.168.1.101")]


def lost(message: bytes) -> list[bytes]:
    return [] if is_candidate(message) else [message]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (repeated, {"duplicate"}),
        (altered, {"foreign", "lost"}),  # the sender waits for what it sent
        (lost, {"lost"}),
    ],
)
async def test_each_fault_of_a_relay_is_counted(
    change: Callable[[bytes], list[bytes]], found: set[str]
) -> None:
    async with relaying(change) as target:
        faults = (await relayed(target, 1)).faults
    assert {name for name in Faults.__dataclass_fields__ if getattr(faults, name)} == found


async def test_a_pair_that_cannot_be_made_ends_the_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tieline.load.client.ANSWER_TIMEOUT_S", 1.0)
    async with relaying(lambda _message: []) as target:
        with pytest.raises(LoadError, match="did not receive message 1 from"):
            await relayed(target, 1)


async def say_goodbye(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one WebSocket: send a text between the close frames of the client and of the server."""
    request = (await reader.readuntil(b"\r\n\r\n")).decode()
    key = request.partition("Sec-WebSocket-Key: ")[2].partition("\r\n")[0]
    writer.write(f"HTTP/1.1 101 Switching\r\nSec-WebSocket-Accept: {accept_key(key)}\r\n\r\n".encode())
    await reader.readexactly(2 + 4 + 2)  # a masked close frame with its code
    writer.write(b"\x81\x04left" + b"\x88\x02\x03\xe8")
    await reader.read()
    writer.close()
    await writer.wait_closed()


async def test_events_of_the_common_end_are_no_faults() -> None:
    async with await asyncio.start_server(say_goodbye, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        sender, receiver = [await arrive(Target(url, None), user, url) for user in ("a", "b")]
        measured = Measurement()
        Pair(measured, sender, receiver)
        assert await leave([sender, receiver]) == Faults()
        assert measured.faults == Faults()
