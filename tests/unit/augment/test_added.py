"""Added sounds: recorded noise and babble, at the ratio that was drawn."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sounds import RATE, decibels, power, rng, scene, talk, tone

from asr.augment.added import Added
from asr.augment.babble import Babble
from asr.augment.base import Scene
from asr.augment.noise import Noise
from asr.augment.noise_folder import NoiseFolder

FREQUENCIES = (500, 1000, 3000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tone in each of three files, at three rates, one shorter than an utterance."""
    path = tmp_path_factory.mktemp("noise")
    (path / "sub" / "deeper").mkdir(parents=True)
    for name, hertz, rate, seconds in (
        ("z.flac", FREQUENCIES[0], 8000, 5.0),
        ("sub/c.WAV", FREQUENCIES[1], 44100, 9.0),
        ("sub/deeper/a.wav", FREQUENCIES[2], RATE, 0.3),
    ):
        ticks = np.arange(round(seconds * rate))
        soundfile.write(path / name, 0.3 * np.sin(2 * np.pi * hertz * ticks / rate), rate)
    (path / "README").write_text("no audio")
    (path / "._z.flac").write_text("what some archives put beside each file")
    return path


def babble(low: float, high: float) -> Babble:
    return Babble(
        probability=1.0, talkers_low=2, talkers_high=5, level_range_db=10.0,
        snr_low_db=low, snr_high_db=high,
    )  # fmt: skip


def kinds(folder: Path, low: float, high: float) -> list[Added]:
    return [
        Noise(probability=1.0, snr_low_db=low, snr_high_db=high),
        NoiseFolder(folder=str(folder), probability=1.0, snr_low_db=low, snr_high_db=high),
        babble(low, high),
    ]


@settings(max_examples=20, deadline=None)
@given(
    snr_db=st.floats(-10, 40),
    samples=st.integers(10, 2 * RATE),
    loudness=st.floats(1e-3, 1.0),
    seed=st.integers(0, 1 << 40),
)
def test_the_ratio_is_the_one_asked_for(
    folder: Path, snr_db: float, samples: int, loudness: float, seed: int
) -> None:
    clean = np.float32(loudness) * talk(samples, seed)
    for augment in kinds(folder, snr_db, snr_db):
        added = augment(clean, rng(seed), scene()).astype(np.float64) - clean
        assert decibels(power(clean), power(added)) == pytest.approx(snr_db, abs=0.05)


def test_ratios_fill_their_range(folder: Path) -> None:
    clean = talk()
    for augment in kinds(folder, 5, 25):
        found = [
            decibels(power(clean), power(augment(clean, rng(seed), scene()) - clean))
            for seed in range(60)
        ]
        assert 4.9 < min(found) < 7 and 23 < max(found) < 25.1
        assert abs(np.mean(found) - 15) < 3


def test_every_file_is_drawn_and_sounds_right_at_any_rate(folder: Path) -> None:
    augment = NoiseFolder(folder=str(folder), probability=1.0, snr_low_db=0, snr_high_db=0)
    names = [Path(path).relative_to(folder).as_posix() for path in augment.files.paths]
    assert names == ["sub/c.WAV", "sub/deeper/a.wav", "z.flac"]  # by path, never as a disk lists
    clean, counts = talk(), dict.fromkeys(FREQUENCIES, 0)
    for seed in range(90):
        added = augment(clean, rng(seed), scene()) - clean
        spectrum = np.abs(np.fft.rfft(added * np.hanning(len(added))))
        hertz = np.argmax(spectrum) / 2
        nearest = min(FREQUENCIES, key=lambda f: abs(f - hertz))
        assert abs(hertz - nearest) < 2
        counts[nearest] += 1
    assert all(abs(count - 30) < 16 for count in counts.values())


def test_places_in_a_long_recording_are_spread(tmp_path: Path) -> None:
    ramp = np.linspace(0.1, 0.9, 20 * RATE)  # its level tells the place
    soundfile.write(tmp_path / "ramp.wav", ramp, RATE, subtype="FLOAT")
    augment = NoiseFolder(folder=str(tmp_path), probability=1.0, snr_low_db=0, snr_high_db=0)
    firsts = [augment.sound(RATE, rng(seed), scene())[0] for seed in range(100)]
    assert min(firsts) < 0.16 and max(firsts) > 0.8
    assert (np.diff(augment.sound(RATE, rng(), scene())) > 0).all()  # one piece, not repeated


def test_a_silent_recording_adds_nothing(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros(RATE), RATE)
    augment = NoiseFolder(folder=str(tmp_path), probability=1.0, snr_low_db=0, snr_high_db=0)
    np.testing.assert_array_equal(augment(talk(), rng(), scene()), talk())


@pytest.mark.parametrize(
    ("folder", "says"),
    [
        (None, r"noise_folder\.folder is not set; name a folder"),
        ("missing", r"noise_folder\.folder=.*missing: there is no such folder"),
        ("empty", r"noise_folder\.folder=.*empty: no audio files in it or below"),
    ],
)
def test_a_folder_that_is_none(folder: str | None, says: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "README").write_text("no audio")
    path = None if folder is None else str(tmp_path / folder)
    with pytest.raises(ValueError, match=says):
        NoiseFolder(folder=path, probability=1.0, snr_low_db=0, snr_high_db=1)


def test_babble_is_several_others_each_at_its_own_level() -> None:
    asked: list[float] = []

    def others(count: int, draw: np.random.Generator) -> NDArray[np.float32]:
        asked.append(500.0 * (1 + len(asked)))
        return np.float32(draw.uniform(0.01, 1)) * tone(asked[-1], count)  # loud or soft

    counts, spreads = [], []
    for seed in range(60):
        asked.clear()
        sound = babble(0, 0).sound(RATE, rng(seed), Scene(RATE, 1.0, others))
        lines = np.abs(np.fft.rfft(sound))[[int(f) for f in asked]] ** 2
        assert lines.sum() == pytest.approx((np.abs(np.fft.rfft(sound)) ** 2).sum(), rel=1e-3)
        counts.append(len(asked))
        spreads.append(decibels(lines.max(), lines.min()))
    assert set(counts) == {2, 3, 4, 5}
    assert max(spreads) < 10.1 and np.mean(spreads) > 3


def test_a_short_talker_talks_on() -> None:
    short = Scene(RATE, 1.0, lambda count, draw: tone(1000, 4000))
    sound = babble(0, 0).sound(2 * RATE, rng(), short)
    assert min(power(part) for part in np.split(sound, 10)) > 0.5 * power(sound)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"talkers_low": 0}, r"augment\.babble\.talkers_low=0 must be at least 1"),
        ({"talkers_low": 6}, r"babble\.talkers_low=6 must be <= augment\.babble\.talkers_high=5"),
        ({"level_range_db": -1.0}, r"babble\.level_range_db=-1\.0 must be >= 0"),
        ({"probability": 1.1}, r"babble\.probability=1\.1 must be from 0 to 1"),
        ({"snr_low_db": float("nan")}, r"babble\.snr_low_db=nan must be <="),
    ],
)
def test_babble_options_out_of_range(options: dict[str, float], says: str) -> None:
    good = {"probability": 1.0, "talkers_low": 2, "talkers_high": 5, "level_range_db": 10.0}
    good |= {"snr_low_db": 0.0, "snr_high_db": 5.0}
    with pytest.raises(ValueError, match=says):
        Babble(**(good | options))  # type: ignore[arg-type]
