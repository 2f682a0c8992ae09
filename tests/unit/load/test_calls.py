"""`tieline.load.calls`: whole calls through a relay, and what ends the measurement."""

import pytest

from tests.unit.load.small_relay import relaying
from tieline.load.calls import CALLERS_A_CALL, CANDIDATES, measure_calls
from tieline.load.client import LoadError
from tieline.load.faults import Faults


async def test_calls_are_set_up_one_after_the_other() -> None:
    commands: list[bytes] = []

    def counted(message: bytes) -> list[bytes]:
        commands.append(message.split(b'"cmd":"')[1].split(b'"')[0])
        return [message]

    async with relaying(counted) as target:
        figures, faults = await measure_calls(target, at_once=2, seconds=0.2)
    assert faults == Faults()
    assert figures.calls_per_second > 0
    assert figures.p50_ms > 0
    calls = commands.count(b"WEBRTC_OFFER")
    assert calls > 2
    assert commands.count(b"WEBRTC_ANSWER") == commands.count(b"WEBRTC_HANGUP") == calls
    assert commands.count(b"WEBRTC_ICE_CANDIDATE") == 2 * CANDIDATES * calls


async def test_a_caller_calls_another_callee_each_time() -> None:
    pairs: list[tuple[bytes, bytes]] = []

    def noted(message: bytes) -> list[bytes]:
        if b"WEBRTC_OFFER" in message:
            sender, to = (message.split(b'"%s":"' % key)[1].split(b'"')[0] for key in (b"from", b"to"))
            pairs.append((sender, to))
        return [message]

    async with relaying(noted) as target:
        await measure_calls(target, at_once=1, seconds=0.2)
    first = pairs[: CALLERS_A_CALL * (CALLERS_A_CALL + 1)]
    assert len(set(first)) == len(first)


async def test_a_candidate_that_is_lost_ends_the_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tieline.load.client.ANSWER_TIMEOUT_S", 1.0)

    def lost(message: bytes) -> list[bytes]:
        return [] if b"WEBRTC_ICE_CANDIDATE" in message else [message]

    async with relaying(lost) as target:
        with pytest.raises(LoadError, match="did not receive message 2"):
            await measure_calls(target, at_once=1, seconds=0.2)
