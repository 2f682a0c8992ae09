"""`tieline.load.calls`: whole calls through a relay, and what ends the measurement."""

from collections.abc import Callable

import pytest

from tests.unit.load.small_relay import relaying
from tieline.load.calls import CALLERS_A_CALL, CANDIDATES, UserPool, measure_calls
from tieline.load.client import LoadError, arrive, leave
from tieline.load.faults import Faults
from tieline.load.measurement import Measurement


async def test_calls_are_set_up_one_after_the_other() -> None:
    commands: list[bytes] = []

    def counted(message: bytes) -> list[bytes]:
        commands.append(message.split(b'"cmd":"')[1].split(b'"')[0])
        return [message]

    async with relaying(counted) as target:
        measured = Measurement()
        await measure_calls(target, 2, 0.2, measured)
    figures = measured.figures()
    assert figures.faults == Faults()
    assert figures.per_second > 0
    assert figures.p50_ms > 0
    calls = commands.count(b"WEBRTC_OFFER")
    assert calls > 2
    assert commands.count(b"WEBRTC_ANSWER") == commands.count(b"WEBRTC_HANGUP") == calls
    assert commands.count(b"WEBRTC_ICE_CANDIDATE") == 2 * CANDIDATES * calls


def noting(pairs: list[tuple[bytes, bytes]]) -> Callable[[bytes], list[bytes]]:
    """Relay, and note who offers to whom."""

    def noted(message: bytes) -> list[bytes]:
        if b"WEBRTC_OFFER" in message:
            sender, to = (message.split(b'"%s":"' % key)[1].split(b'"')[0] for key in (b"from", b"to"))
            pairs.append((sender, to))
        return [message]

    return noted


async def test_a_caller_calls_another_callee_each_time() -> None:
    pairs: list[tuple[bytes, bytes]] = []
    async with relaying(noting(pairs)) as target:
        await measure_calls(target, 1, 0.2, Measurement())
    first = pairs[: CALLERS_A_CALL * (CALLERS_A_CALL + 1)]
    assert len(set(first)) == len(first)


async def test_pairs_that_redial_are_always_the_same() -> None:
    pairs: list[tuple[bytes, bytes]] = []
    measured = Measurement()
    async with relaying(noting(pairs)) as target:
        await measure_calls(target, 1, 0.2, measured, redial=True)
    assert len(set(pairs)) == CALLERS_A_CALL
    assert measured.figures().count == len(pairs) - CALLERS_A_CALL  # the first call of each is a warm-up


async def test_no_pair_calls_twice_where_none_may() -> None:
    pairs: list[tuple[bytes, bytes]] = []
    async with relaying(noting(pairs)) as target:
        clients = [await arrive(target, name, target.sender_url) for name in ("a", "b", "c")]
        pool = UserPool(target, clients[:1], clients[1:])
        while not pool.is_used_up:
            await pool.call()
        await leave(clients)
    assert pairs == [(b"a", b"b"), (b"a", b"c")]


async def test_a_candidate_that_is_lost_ends_the_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tieline.load.client.ANSWER_TIMEOUT_S", 1.0)

    def lost(message: bytes) -> list[bytes]:
        return [] if b"WEBRTC_ICE_CANDIDATE" in message else [message]

    async with relaying(lost) as target:
        with pytest.raises(LoadError, match="did not receive message 2"):
            await measure_calls(target, 1, 0.2, Measurement())
