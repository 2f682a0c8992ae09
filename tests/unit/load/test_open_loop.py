"""`tieline.load.open_loop`: latencies from when messages were due, faults, and pairs that come and go."""

from collections.abc import Callable

import pytest

from tests.unit.load.small_relay import echoing, relaying
from tieline.load import open_loop
from tieline.load.client import LoadError, Target
from tieline.load.faults import Faults
from tieline.load.figures import SENT_LATE, UNDER_WAY, Figures
from tieline.load.measurement import Measurement
from tieline.load.open_loop import measure_load
from tieline.load.pairs import make_pairs

SECONDS = 0.4
RATE = 100.0


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_loop, "QUIET_S", 0.3)


async def loaded(target: Target, pairs: int = 2, churn: float = 0.0, seconds: float = SECONDS) -> Figures:
    measured = Measurement()
    await measure_load(target, pairs, RATE, churn, seconds, measured)
    return measured.figures()


async def test_a_good_relay_gets_the_rate_that_was_asked_for() -> None:
    async with relaying() as target:
        figures = await loaded(target)
    assert figures.faults == Faults()
    assert figures.count == pytest.approx(RATE * SECONDS, abs=1)
    assert figures.asked == {"pairs": 2, "rate": RATE, "churn": 0.0}
    assert SENT_LATE in figures.more


async def test_an_echo_is_loaded_too() -> None:
    async with echoing() as target:
        figures = await loaded(target, pairs=1)
    assert figures.faults == Faults()
    assert figures.count > 0


async def test_what_waits_for_a_relay_that_stands_still_counts_as_waiting() -> None:
    """The relay holds ten candidates and lets them go with the tenth: the first has waited for nine."""
    held: list[bytes] = []

    def in_heaps(message: bytes) -> list[bytes]:
        if b"WEBRTC_ICE_CANDIDATE" not in message:
            return [message]
        held.append(message)
        if len(held) < 10:
            return []
        released = list(held)
        held.clear()
        return released

    async with relaying(in_heaps) as target:
        figures = await loaded(target, pairs=1)
    assert figures.latency_ms is not None
    assert figures.latency_ms.max >= 9 * 1000 / RATE
    assert figures.faults.lost < 10
    assert figures.faults.out_of_order == 0


def repeated(message: bytes) -> list[bytes]:
    return [message, message] if b"WEBRTC_ICE_CANDIDATE" in message else [message]


def altered(message: bytes) -> list[bytes]:
    return [message.replace(b"192.168.1.100", b"192.168.1.101")]


def lost(message: bytes) -> list[bytes]:
    return [] if b"WEBRTC_ICE_CANDIDATE" in message else [message]


def swapping() -> Callable[[bytes], list[bytes]]:
    """Let every second candidate overtake the one before."""
    held: list[bytes] = []

    def swapped(message: bytes) -> list[bytes]:
        if b"WEBRTC_ICE_CANDIDATE" not in message:
            return [message]
        if not held:
            held.append(message)
            return []
        return [message, held.pop()]

    return swapped


@pytest.mark.parametrize(
    ("change", "found"),
    [(repeated, "duplicate"), (altered, "foreign"), (lost, "lost"), (swapping(), "out_of_order")],
)
async def test_each_fault_of_a_relay_is_counted(change: Callable[[bytes], list[bytes]], found: str) -> None:
    async with relaying(change) as target:
        faults = (await loaded(target, pairs=1)).faults
    assert getattr(faults, found) > 0


async def test_what_is_under_way_at_the_end_is_waited_for_only_so_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(open_loop, "QUIET_S", 1000)
    monkeypatch.setattr(open_loop, "LONGEST_S", 0.1)
    async with relaying(lost) as target:
        figures = await loaded(target, pairs=1)
    assert figures.more[UNDER_WAY] > 0
    assert figures.faults.lost == figures.more[UNDER_WAY]


async def test_an_error_to_the_sender_is_a_fault() -> None:
    async with relaying() as target:
        measured = Measurement()
        pair = (await make_pairs(target, 1))[0]
        line = open_loop.Line(measured, *pair)
        pair[0].connection.on_text(b'{"code":4003}')
        assert measured.faults.refused == 1
        assert await open_loop._end(line) == Faults()


async def test_pairs_come_and_go_while_messages_are_sent() -> None:
    seen: set[bytes] = set()

    def noted(message: bytes) -> list[bytes]:
        if b"WEBRTC_ICE_CANDIDATE" in message:
            seen.add(message.split(b'"from":"')[1].split(b'"')[0])
        return [message]

    async with relaying(noted) as target:
        figures, seconds = await loaded(target, churn=20), SECONDS
        while "pairs replaced" not in figures.more:  # a busy machine needs longer for one
            seconds *= 2
            figures = await loaded(target, churn=20, seconds=seconds)
    assert figures.faults == Faults()
    assert figures.more["pairs replaced"] > 0
    assert len(seen) > 2


async def test_a_pair_that_cannot_come_ends_the_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    offers = 0

    def without_newcomers(message: bytes) -> list[bytes]:
        nonlocal offers
        offers += b"WEBRTC_OFFER" in message
        return [message] if offers <= 1 else []

    monkeypatch.setattr("tieline.load.client.ANSWER_TIMEOUT_S", 0.5)
    async with relaying(without_newcomers) as target:
        with pytest.raises(LoadError, match="did not receive message 1 from"):
            await measure_load(target, 1, RATE, 1, 1000, Measurement())
