"""Long recordings: nothing lost between segments, cuts where it is quiet, bounded memory."""

import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.core.audio import load_waveform
from asr.data.segment import segments

RATE = 8000


def write_words(path: Path, seconds: int, rate: int) -> None:
    """Noise of 0.6 s and pauses of 0.2 s, by turns."""
    rng = np.random.default_rng(0)
    loud = (np.arange(seconds * rate) / rate) % 0.8 < 0.6
    soundfile.write(path, 0.1 * rng.standard_normal(seconds * rate) * loud, rate, subtype="FLOAT")


@pytest.mark.parametrize(("rate", "max_seconds"), [(8000, 5.0), (44100, 5.0), (8000, 0.1)])
def test_segments_join_to_the_whole(tmp_path: Path, rate: int, max_seconds: float) -> None:
    write_words(tmp_path / "a.wav", 61, rate)
    parts = list(segments(tmp_path / "a.wav", RATE, max_seconds=max_seconds))
    whole = load_waveform(tmp_path / "a.wav", RATE)
    np.testing.assert_allclose(np.concatenate([p.waveform for p in parts]), whole, atol=1e-6)
    starts = np.cumsum([0] + [len(p.waveform) for p in parts[:-1]])
    np.testing.assert_allclose([p.offset for p in parts], starts / RATE)
    lengths = np.array([len(p.waveform) for p in parts[:-1]]) / RATE
    assert (lengths <= max_seconds).all() and (lengths >= max_seconds * 2 / 3 - 0.02).all()


def test_cuts_are_in_pauses(tmp_path: Path) -> None:
    write_words(tmp_path / "a.wav", 61, RATE)
    for part in list(segments(tmp_path / "a.wav", RATE, max_seconds=5.0))[1:]:
        assert 0.6 < part.offset % 0.8 < 0.8


def test_a_short_file_is_one_segment(tmp_path: Path) -> None:
    write_words(tmp_path / "a.wav", 5, RATE)
    (part,) = segments(tmp_path / "a.wav", RATE, max_seconds=5.0)
    assert part.offset == 0 and len(part.waveform) == 5 * RATE


def test_an_hour_in_bounded_memory(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).integers(-9999, 9999, 60 * RATE).astype("<i2").tobytes()
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", 36 + 60 * len(samples), b"WAVE", b"fmt ", 16, 1, 1, RATE, 2 * RATE, 2, 16),
        *(b"data", 60 * len(samples)),
    )
    with (tmp_path / "a.wav").open("wb") as file:
        file.writelines([header] + [samples] * 60)
    total = 0
    tracemalloc.start()
    for part in segments(tmp_path / "a.wav", 2 * RATE, max_seconds=20.0):
        total += len(part.waveform)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 3600 * 2 * RATE
    assert peak < 0.1 * total * 4


def test_a_limit_that_makes_no_sense(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"max_seconds=0 must be >= 0\.1"):
        next(segments(tmp_path / "a.wav", RATE, max_seconds=0))
