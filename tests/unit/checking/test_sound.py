"""Facts of samples: against numpy on the whole, and equal for equal samples."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from asr.checking.sound import Sound, measure
from asr.corpus.manifest import Utterance

RATE = 16000


def speechlike(seconds: float, seed: int = 1) -> NDArray[np.float64]:
    """Bursts of noise with pauses between, on 16-bit steps."""
    rng = np.random.default_rng(seed)
    count = round(seconds * RATE)
    bursts = np.arange(count) // (RATE // 4) % 2
    return np.round((0.001 + 0.1 * bursts) * rng.normal(0, 1, count) * 32768) / 32768


def facts(path: Path, duration: float = 100.0, offset: float = 0.0, **fields: str) -> Sound:
    sound = measure(Utterance("u", str(path), duration, "", offset=offset, **fields))
    assert isinstance(sound, Sound), sound
    return sound


def write(path: Path, samples: NDArray[np.float64], rate: int = RATE, **how: str) -> Path:
    soundfile.write(path, samples, rate, **how)
    return path


@pytest.mark.parametrize("seconds", [0.0049, 0.5, 7.123, 40.0])  # less than a level, many blocks
def test_as_numpy_has_it_on_the_whole(seconds: float, tmp_path: Path) -> None:
    samples = speechlike(seconds) + 0.01
    sound = facts(write(tmp_path / "a.wav", samples, subtype="FLOAT"))
    assert sound.seconds == sound.file_seconds == len(samples) / RATE
    assert sound.sample_rate == RATE
    assert sound.offset == pytest.approx(samples.mean(), abs=1e-6)
    whole = len(samples) // 160 * 160
    if whole:
        power = samples[:whole].reshape(-1, 160).var(axis=1)
        quiet, loud = 10 * np.log10(np.percentile(power, [10, 99]))
        assert sound.loud_db == pytest.approx(loud, abs=0.1)
        assert sound.quiet_db == pytest.approx(quiet, abs=0.1)
    if seconds > 1:  # half of it sounds
        assert sound.sounding == pytest.approx(seconds / 2, abs=0.3)
    assert 0 < sound.sounding <= max(seconds, 0.01)


def test_pauses_that_noise_hides_count(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    noisy = speechlike(4.0) + rng.normal(0, 0.04, 4 * RATE)
    assert facts(write(tmp_path / "a.wav", noisy)).sounding == pytest.approx(4.0)


@pytest.mark.parametrize("gain", [0.1, 1.0, 8.0])
def test_loudness_does_not_change_what_sounds(gain: float, tmp_path: Path) -> None:
    one = facts(write(tmp_path / "a.wav", speechlike(3.0), subtype="FLOAT"))
    other = facts(write(tmp_path / "b.wav", gain * speechlike(3.0), subtype="FLOAT"))
    assert other.sounding == pytest.approx(one.sounding, abs=0.011)
    assert other.loud_db - one.loud_db == pytest.approx(20 * np.log10(gain), abs=0.01)


def test_equal_samples_have_equal_digests(tmp_path: Path) -> None:
    samples = speechlike(2.0)
    stereo = np.repeat(samples[:, None], 2, axis=1)
    padded = np.concatenate([np.zeros(RATE), samples, np.zeros(RATE)])
    (tmp_path / "a.raw").write_bytes((samples * 32768).astype(">i2").tobytes())
    same = [
        facts(write(tmp_path / "a.wav", samples)),
        facts(write(tmp_path / "another name.wav", samples, subtype="FLOAT")),
        facts(write(tmp_path / "a.flac", samples)),
        facts(write(tmp_path / "b.flac", samples, subtype="PCM_24")),
        facts(write(tmp_path / "stereo.wav", stereo)),
        facts(write(tmp_path / "padded.flac", padded), 2.0, 1.0),
        facts(tmp_path / "a.raw", raw="s16be:16000:1"),
    ]
    assert len({sound.digest for sound in same}) == 1
    changed = samples.copy()
    changed[777] += 1 / 32768
    different = [
        facts(write(tmp_path / "c.wav", changed)),
        facts(write(tmp_path / "d.wav", samples[:-1])),
        facts(write(tmp_path / "e.wav", samples, RATE // 2)),
        facts(tmp_path / "padded.flac", 2.0, 1.0001),
    ]
    assert len({sound.digest for sound in [*different, same[0]]}) == 5


def test_negative_zeros_are_zeros(tmp_path: Path) -> None:
    samples = np.zeros(800)
    one = facts(write(tmp_path / "a.wav", samples, subtype="FLOAT"))
    assert one.digest == facts(write(tmp_path / "b.wav", -samples, subtype="FLOAT")).digest


def test_clipping_at_full_scale_and_below(tmp_path: Path) -> None:
    seconds = np.arange(2 * RATE) / RATE
    sine = np.sin(2 * np.pi * 220 * seconds)
    cut = np.clip(1.5 * sine, -1, 1)
    share = float((np.abs(1.5 * sine) >= 1).mean())
    assert facts(write(tmp_path / "a.wav", cut)).clipped == pytest.approx(share, rel=0.02)
    assert facts(write(tmp_path / "b.wav", 0.4 * cut)).clipped == pytest.approx(share, rel=0.06)
    rising = np.concatenate([*[0.1 * cut] * 9, speechlike(1.0)])  # flat only far below its peak
    assert facts(write(tmp_path / "c.wav", rising)).clipped < 0.001
    assert facts(write(tmp_path / "d.wav", 0.9 * sine)).clipped < 0.001
    quiet = np.round(sine * 3) / 32768  # three steps: nothing but flat tops, yet not clipped
    assert facts(write(tmp_path / "e.wav", quiet)).clipped == 0


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    assert "no such file" in str(measure(Utterance("u", str(tmp_path / "a.wav"), 1.0, "")))
    path = write(tmp_path / "b.wav", speechlike(1.0))
    path.write_bytes(path.read_bytes()[:-1000])
    assert "truncated" in str(measure(Utterance("u", str(path), 1.0, "")))


def test_a_slice_beyond_the_end_has_no_seconds(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", speechlike(1.0))
    assert facts(path, 1.0, 1.0).seconds == 0
    assert facts(path, 1.0, 0.75).seconds == 0.25
