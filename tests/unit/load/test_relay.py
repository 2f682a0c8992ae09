"""`tieline.load.relay`: the figures of a good relay, and the faults of a bad one."""

import os
from collections.abc import Callable

import pytest

from tests.unit.load.small_relay import echoing, relaying
from tieline.load.client import LoadError
from tieline.load.faults import Faults
from tieline.load.figures import GENERATOR
from tieline.load.relay import make_pairs, measure_relay

SECONDS = 0.2


async def test_a_good_relay_is_measured_without_faults() -> None:
    async with relaying() as target:
        figures, faults = await measure_relay(target, 2, SECONDS, lambda: {"relay": [os.getpid()]})
    assert faults == Faults()
    assert figures.pairs == 2
    assert figures.signals_per_second > 0
    assert 0 < figures.p50_ms <= figures.p99_ms
    assert set(figures.cpu) == {"relay", GENERATOR}


async def test_an_echo_is_measured_with_one_connection_a_pair() -> None:
    async with echoing() as target:
        figures, faults = await measure_relay(target, 1, SECONDS)
        (pair,) = await make_pairs(target, 1)
        assert pair[0] is pair[1]
        await pair[0].connection.close()
    assert faults == Faults()
    assert figures.signals_per_second > 0


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
        _, faults = await measure_relay(target, 1, SECONDS)
    assert {name for name in Faults.__dataclass_fields__ if getattr(faults, name)} == found


async def test_a_pair_that_cannot_be_made_ends_the_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tieline.load.client.ANSWER_TIMEOUT_S", 1.0)
    async with relaying(lambda _message: []) as target:
        with pytest.raises(LoadError, match="did not receive message 1 from"):
            await measure_relay(target, 1, SECONDS)
