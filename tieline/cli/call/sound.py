"""Sound to send, and sound to keep: endless sources in packets of 20 ms, and WAV files.

Importing this needs av and numpy. Sound is sent and received by `peer`.
"""

import errno
import itertools
import os
import struct
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.error import FFmpegError

from tieline.cli.call.tone import FRAME_SAMPLES, RATE, Samples, tone

Source = Iterator[Samples]
"""Packets of `FRAME_SAMPLES` samples each, without end."""

SAMPLE_BYTES: Final = 2

LONGEST_WAV_BYTES: Final = 0xFFFF_FFFF - 64
"""The greatest size that a WAV header can name, less the header: twelve hours."""

_WAV_HEADER: Final = struct.Struct("<4sI4s4sIHHIIHH4sI")
_PCM: Final = 1


class Unplayable(Exception):
    """A file is missing, or holds no sound; the text says which and why."""


def tones(hz: float) -> Source:
    """Make the endless tone of `hz`."""
    return (tone(hz, first, FRAME_SAMPLES) for first in itertools.count(0, FRAME_SAMPLES))


def repeated(path: Path) -> Source:
    """Play a file, WAV or another format that FFmpeg reads, again and again.

    Raises:
        Unplayable: when the first packet is asked for, or a later one if the file has changed.
    """
    while True:
        is_silent = True
        try:
            with av.open(str(path)) as container:
                if not container.streams.audio:
                    raise Unplayable(f"{path} holds no sound")
                resampler = _mono(FRAME_SAMPLES)
                for frame in itertools.chain(container.decode(audio=0), (None,)):  # None: flush the rest
                    for piece in resampler.resample(frame):
                        is_silent = False
                        samples: Samples = piece.to_ndarray()[0]
                        yield np.pad(samples, (0, FRAME_SAMPLES - len(samples)))
        except (FFmpegError, OSError) as error:
            raise Unplayable(f"cannot play {path}: {error}") from error
        if is_silent:
            raise Unplayable(f"{path} holds no sound")


def check_playable(path: Path) -> None:
    """Find out whether a file can be played.

    Raises:
        Unplayable: it cannot.
    """
    next(repeated(path))


class Recorder:
    """Received sound: its length, its last second, and all of it in a WAV file if one is wanted.

    The file is complete after every packet, so that it can be played however this process ends. Sound that
    was not sent takes no time in it.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.samples = 0
        """How many were received, `RATE` of them a second."""
        self._form = (0, "")
        self._resampler = _mono()
        self._last: deque[Samples] = deque(maxlen=RATE // FRAME_SAMPLES)
        self._wav: _Wav | None = None
        self.problem: OSError | None = None
        """Why the file is not written any more; samples are counted all the same."""
        if path is not None:
            try:
                self._wav = _Wav(path)
            except OSError as problem:
                self.problem = problem

    def close(self) -> None:
        """Close the file."""
        if self._wav is not None:
            self._wav.close()
            self._wav = None

    def hear(self, frame: av.AudioFrame) -> None:
        """Add one packet, with the rate and layout of its codec."""
        form = (frame.sample_rate, frame.layout.name)
        if form != self._form:  # another codec was agreed on
            self._form, self._resampler = form, _mono()
        for piece in self._resampler.resample(frame):
            samples: Samples = piece.to_ndarray()[0]
            self._last.append(samples)
            self.samples += len(samples)
            try:
                if self._wav is not None:
                    self._wav.write(samples)
            except OSError as problem:
                self.problem = problem
                self.close()

    @property
    def last(self) -> Samples:
        """The last samples, about a second of them at most."""
        return np.concatenate(self._last) if self._last else np.zeros(0, np.int16)


class _Wav:
    """A WAV file that is whole after every write, and closed for good once a disk is full."""

    def __init__(self, path: Path) -> None:
        self._bytes = 0
        self._file = path.open("wb", buffering=0)
        try:
            self._write_header()
        except OSError:
            self._file.close()
            raise

    def write(self, samples: Samples) -> None:
        if self._bytes + samples.nbytes > LONGEST_WAV_BYTES:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        self._file.seek(0, os.SEEK_END)
        self._file.write(samples.astype("<i2", copy=False).tobytes())
        self._bytes += samples.nbytes
        self._write_header()

    def close(self) -> None:
        self._file.close()

    def _write_header(self) -> None:
        self._file.seek(0)
        self._file.write(
            _WAV_HEADER.pack(
                *(b"RIFF", _WAV_HEADER.size - 8 + self._bytes, b"WAVE"),
                *(b"fmt ", 16, _PCM, 1, RATE, RATE * SAMPLE_BYTES, SAMPLE_BYTES, 8 * SAMPLE_BYTES),
                *(b"data", self._bytes),
            )
        )


def _mono(frame_size: int | None = None) -> av.AudioResampler:
    return av.AudioResampler(format="s16", layout="mono", rate=RATE, frame_size=frame_size)
