import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.cli.call.tone import (
    FRAME_SAMPLES,
    LEVEL_DB,
    PITCH_TOLERANCE_HZ,
    RATE,
    SHORTEST,
    SILENCE_DB,
    Heard,
    Samples,
    Verdict,
    judge,
    measure,
    tone,
)


def noise(seconds: float, level: float) -> Samples:
    """White noise, the same every time; `level` is its standard deviation in sample steps."""
    random = np.random.default_rng(seed=1)
    return random.normal(0, level, int(seconds * RATE)).astype(np.int16)


def constant(value: int) -> Samples:
    return np.full(RATE, value, np.int16)


@given(hz=st.floats(100, 8_000), seconds=st.floats(0.1, 1.0), first=st.integers(0, 10**6))
def test_any_tone_is_heard_as_itself(hz: float, seconds: float, first: int) -> None:
    heard = measure(tone(hz, first, int(seconds * RATE)))
    assert heard.hz == pytest.approx(hz, abs=1.0)
    assert heard.level_db == pytest.approx(LEVEL_DB, abs=0.5)
    assert heard.seconds == pytest.approx(seconds, abs=1e-3)
    assert judge(heard, hz) is Verdict.RIGHT


def test_frames_follow_each_other_without_a_seam() -> None:
    frames = [tone(440, number * FRAME_SAMPLES, FRAME_SAMPLES) for number in range(50)]
    assert np.array_equal(np.concatenate(frames), tone(440, 0, RATE))


@pytest.mark.parametrize("hz", [440.0, 660.0])
def test_a_tone_is_heard_through_noise_and_gaps(hz: float) -> None:
    samples = tone(hz, 0, RATE) // 2 + noise(1, 300)
    samples[RATE // 2 : RATE // 2 + 3 * FRAME_SAMPLES] = 0  # three packets that were lost
    assert judge(measure(samples), hz) is Verdict.RIGHT


def test_another_tone_is_wrong() -> None:
    heard = measure(tone(440, 0, RATE))
    assert judge(heard, 660) is Verdict.WRONG
    assert judge(heard, 440 + PITCH_TOLERANCE_HZ + 1) is Verdict.WRONG
    assert judge(heard, 440 - PITCH_TOLERANCE_HZ + 1) is Verdict.RIGHT


def test_the_louder_of_two_tones_is_the_one_heard() -> None:
    assert measure(tone(440, 0, RATE) // 2 + tone(660, 0, RATE) // 3).hz == pytest.approx(440, abs=1)


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(0, np.int16),
        np.zeros(RATE, np.int16),
        noise(1, 20),
        tone(440, 0, SHORTEST - 1),
        tone(440, 0, RATE) // 200,
        tone(0, 0, RATE),
    ],
    ids=["no samples", "silence", "faint noise", "too short", "too soft", "no pitch"],
)
def test_what_is_no_tone_is_nothing(samples: Samples) -> None:
    assert judge(measure(samples), 440) is Verdict.NOTHING


def test_loud_noise_is_a_wrong_tone() -> None:
    assert judge(measure(noise(1, 5_000)), 440) is Verdict.WRONG


@pytest.mark.parametrize("value", [32_767, -32_768, 100])
def test_an_offset_has_no_pitch_of_a_tone(value: int) -> None:
    assert judge(measure(constant(value)), 440) is not Verdict.RIGHT


def test_a_square_wave_at_full_scale_is_heard_at_its_base() -> None:
    square = np.where(tone(440, 0, RATE) >= 0, 32_767, -32_768).astype(np.int16)
    assert measure(square).hz == pytest.approx(440, abs=1)


@pytest.mark.parametrize("hz", [RATE / 2 - 1, 51.0])
def test_the_ends_of_the_spectrum_are_measured_too(hz: float) -> None:
    assert measure(tone(hz, 0, RATE)).hz == pytest.approx(hz, abs=2)


def test_silence_has_a_level_of_its_own() -> None:
    assert measure(np.zeros(RATE, np.int16)) == Heard(0.0, -math.inf, 1.0)
    assert judge(Heard(440.0, SILENCE_DB, 1.0), 440) is Verdict.RIGHT
