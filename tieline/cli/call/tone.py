"""Make a tone, and find out which tone was heard. Pure: samples in, numbers out. Sound is sent by `peer`.

Samples are signed 16-bit, one channel, `RATE` of them a second. Levels are in dB, 0 being the loudest sine
that fits into 16 bits.
"""

import math
from enum import Enum
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]

RATE: Final = 48_000
"""Samples a second: the rate of Opus, so that sound is not resampled on the way."""

FRAME_SAMPLES: Final = RATE // 50
"""20 ms, the usual packet of a voice call."""

LEVEL_DB: Final = -6.0
"""The level of a tone: far above any noise, and low enough that the codec does not clip it."""

SILENCE_DB: Final = -40.0
"""A lower level counts as silence: a tone sent at `LEVEL_DB` comes out of the codec within a few dB."""

PITCH_TOLERANCE_HZ: Final = 10.0
"""A tone may be off by so much: more than the error of a tenth of a second of samples, less than a semitone
at 440 Hz."""

LOWEST_HZ: Final = 50.0
"""Lower frequencies are offset and rumble, not a tone."""

SHORTEST: Final = RATE // 10
"""Fewer samples than this say nothing about a pitch."""

_FULL_SCALE: Final = 32_767.0


class Heard(NamedTuple):
    """The main frequency of some sound, and its level. Silence is -inf dB at 0 Hz."""

    hz: float
    level_db: float
    seconds: float


class Verdict(Enum):
    """Whether the right tone was heard."""

    RIGHT = "the right tone"
    WRONG = "a wrong tone"
    NOTHING = "nothing"


def tone(hz: float, first: int, count: int) -> Samples:
    """Make `count` samples of the endless tone of `hz`, from its sample number `first` on."""
    amplitude = _FULL_SCALE * 10 ** (LEVEL_DB / 20)
    phase = 2 * math.pi * hz / RATE * np.arange(first, first + count)
    samples: Samples = np.rint(amplitude * np.sin(phase)).astype(np.int16)
    return samples


def measure(samples: Samples) -> Heard:
    """Find the strongest frequency of `samples`, and their level."""
    seconds = len(samples) / RATE
    if len(samples) < SHORTEST or not samples.any():
        return Heard(0.0, -math.inf, seconds)
    wave = samples / _FULL_SCALE
    level_db = 20 * math.log10(math.sqrt(2 * float(np.mean(wave**2))))
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
    spectrum[: math.ceil(LOWEST_HZ * seconds)] = 0
    return Heard(_peak(spectrum) / seconds, level_db, seconds)


def _peak(spectrum: NDArray[np.float64]) -> float:
    """Find the highest point of a spectrum, in steps of its resolution, between the steps too.

    The point is that of the parabola through the highest step and its neighbours, in decibels.
    """
    top = min(max(int(np.argmax(spectrum)), 1), len(spectrum) - 2)
    left, middle, right = (math.log(max(value, 1e-12)) for value in spectrum[top - 1 : top + 2])
    curvature = left - 2 * middle + right
    return top + ((left - right) / (2 * curvature) if curvature else 0.0)


def judge(heard: Heard, expected_hz: float) -> Verdict:
    """Say whether `heard` is the tone of `expected_hz`."""
    if heard.level_db < SILENCE_DB:
        return Verdict.NOTHING
    if abs(heard.hz - expected_hz) > PITCH_TOLERANCE_HZ:
        return Verdict.WRONG
    return Verdict.RIGHT
