"""Sound from files and into files, and how much of it was heard."""

import wave
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from av import AudioFrame

from tieline.cli.call.sound import Recorder, Unplayable, check_playable, repeated, tones
from tieline.cli.call.tone import FRAME_SAMPLES, RATE, Samples, Verdict, judge, measure, tone


def write_wav(path: Path, samples: Samples, rate: int, channels: int = 1) -> None:
    with wave.open(str(path), "wb") as wav:
        wav.setparams((channels, 2, rate, 0, "NONE", "not compressed"))
        wav.writeframes(np.repeat(samples, channels).tobytes())


def read_wav(path: Path) -> Samples:
    with wave.open(str(path), "rb") as wav:
        assert (wav.getnchannels(), wav.getsampwidth(), wav.getframerate()) == (1, 2, RATE)
        samples = np.frombuffer(wav.readframes(wav.getnframes()), np.int16)
        assert len(samples) == wav.getnframes()
    return samples


def packet(samples: Samples, rate: int = RATE, layout: str = "mono") -> AudioFrame:
    """What a decoder gives."""
    frame = AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout=layout)
    frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
    return frame


def test_a_tone_goes_on_from_packet_to_packet() -> None:
    packets = list(islice(tones(440), 50))

    assert all(len(one) == FRAME_SAMPLES for one in packets)
    assert np.array_equal(np.concatenate(packets), tone(440, 0, RATE))


@pytest.mark.parametrize(("rate", "channels"), [(48_000, 1), (44_100, 2), (8_000, 1)])
def test_a_file_is_played_again_and_again_at_the_rate_of_calls(
    tmp_path: Path, rate: int, channels: int
) -> None:
    path = tmp_path / "one second.wav"
    write_wav(path, tone(440 * RATE / rate, 0, rate), rate, channels)
    check_playable(path)

    packets = list(islice(repeated(path), 120))

    assert all(len(one) == FRAME_SAMPLES and one.dtype == np.int16 for one in packets)
    for second in (packets[5:45], packets[60:100]):
        assert judge(measure(np.concatenate(second)), 440) is Verdict.RIGHT


def test_a_missing_or_silent_file_cannot_be_played(tmp_path: Path) -> None:
    text, empty = tmp_path / "text.wav", tmp_path / "empty.wav"
    text.write_text("no sound")
    write_wav(empty, np.zeros(0, np.int16), RATE)
    for path in (tmp_path / "missing.wav", tmp_path, text, empty):
        with pytest.raises(Unplayable) as problem:
            check_playable(path)
        assert str(path) in str(problem.value)


def test_what_is_heard_is_counted_and_its_end_kept() -> None:
    recorder = Recorder()
    assert len(recorder.last) == 0
    for sound in islice(tones(440), 100):
        recorder.hear(packet(np.repeat(sound, 2), layout="stereo"))
    for sound in islice(tones(660), 50):
        recorder.hear(packet(sound))

    assert recorder.samples == 150 * FRAME_SAMPLES
    assert measure(recorder.last).seconds == pytest.approx(1)
    assert judge(measure(recorder.last), 660) is Verdict.RIGHT


def test_a_recording_can_be_played_after_every_packet(tmp_path: Path) -> None:
    path = tmp_path / "heard.wav"
    recorder = Recorder(path)
    assert len(read_wav(path)) == 0
    sounds = list(islice(tones(440), 5))
    for number, sound in enumerate(sounds, 1):
        recorder.hear(packet(sound))
        assert np.array_equal(read_wav(path), np.concatenate(sounds[:number]))
    recorder.close()

    assert np.array_equal(read_wav(path), np.concatenate(sounds))
    assert recorder.problem is None


def test_a_codec_of_another_rate_is_recorded_at_the_rate_of_calls(tmp_path: Path) -> None:
    path = tmp_path / "heard.wav"
    recorder = Recorder(path)
    for first in range(0, 8_000, 160):
        recorder.hear(packet(tone(440 * RATE / 8_000, first, 160), rate=8_000))
    recorder.close()

    assert judge(measure(read_wav(path)[RATE // 10 :]), 440) is Verdict.RIGHT


def test_a_file_that_cannot_be_written_ends_only_the_recording(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "missing" / "heard.wav")
    recorder.hear(packet(next(tones(440))))
    recorder.close()

    assert isinstance(recorder.problem, FileNotFoundError)
    assert recorder.samples == FRAME_SAMPLES


def test_a_disk_that_is_full_ends_the_recording_and_not_the_call() -> None:
    recorder = Recorder(Path("/dev/full"))
    for sound in islice(tones(440), 500):
        recorder.hear(packet(sound))
    recorder.close()

    assert recorder.problem is not None
    assert recorder.samples == 500 * FRAME_SAMPLES
