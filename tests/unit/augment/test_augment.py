"""Augmentations: what they change, by how much, and that their generator alone decides."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from omegaconf import OmegaConf
from sounds import RATE, rng, scene, tone

from asr.augment.gain import Gain
from asr.augment.noise import Noise
from asr.augment.speed import Speed


def pitch(waveform: NDArray[np.float32]) -> float:
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform))))
    return float(np.argmax(spectrum) * RATE / len(waveform))


def test_speed_draws_the_inverses_of_its_factors_evenly() -> None:
    stretches = Speed(factors=[0.9, 1.0, 1.1]).stretch(3000, rng())
    values, counts = np.unique(stretches, return_counts=True)
    np.testing.assert_allclose(values, [1 / 1.1, 1.0, 1 / 0.9])
    assert (abs(counts - 1000) < 120).all()


@pytest.mark.parametrize("factor", [0.8, 0.9, 1.1, 1.25])
def test_speed_changes_length_and_pitch(factor: float) -> None:
    faster = Speed(factors=[factor])(tone(440), rng(), scene(1 / factor))
    assert faster.dtype == np.float32
    assert abs(len(faster) - 2 * RATE / factor) <= 1
    assert abs(pitch(faster) - 440 * factor) < 1
    assert abs(np.abs(faster[1000:-1000]).max() - 1) < 0.01


def test_speed_1_changes_nothing() -> None:
    waveform = tone(440)
    assert Speed(factors=[1.0])(waveform, rng(), scene()) is waveform


@settings(max_examples=50, deadline=None)
@given(samples=st.integers(1, 5000), factor=st.floats(0.5, 2.0))
def test_speed_keeps_its_word_on_lengths(samples: int, factor: float) -> None:
    faster = Speed(factors=[factor])(tone(300, samples), rng(), scene(1 / factor))
    assert abs(len(faster) - samples / factor) <= 1


def test_gain_scales_within_its_range() -> None:
    gains = [Gain(low_db=-10, high_db=6)(tone(440), rng(i), scene()).max() for i in range(300)]
    decibels = 20 * np.log10(gains)
    assert decibels.min() > -10.1 and decibels.max() < 6.1 and np.ptp(decibels) > 15
    assert Gain(low_db=-6, high_db=-6)(tone(440), rng(), scene()).dtype == np.float32


@pytest.mark.parametrize("snr_db", [0.0, 20.0])
def test_noise_has_the_ratio_asked_for_and_both_colours(snr_db: float) -> None:
    noise = Noise(probability=1.0, snr_low_db=snr_db, snr_high_db=snr_db)
    slopes = []
    for seed in range(12):
        added = noise(tone(440), rng(seed), scene()) - tone(440)
        assert added.dtype == np.float32
        assert 10 * np.log10(0.5 / np.mean(added**2)) == pytest.approx(snr_db, abs=0.01)
        power = np.abs(np.fft.rfft(added)) ** 2
        octaves = [power[k : 2 * k].mean() for k in (100, 200, 400, 800, 1600, 3200, 6400)]
        slopes.append(np.polyfit(range(7), 10 * np.log10(octaves), 1)[0])
    white = np.abs(slopes) < 0.5
    pink = np.abs(np.array(slopes) + 3.01) < 0.5  # dB an octave
    assert white.any() and pink.any() and (white | pink).all()


def test_noise_comes_as_often_as_asked() -> None:
    noise, clean = Noise(probability=0.3, snr_low_db=5, snr_high_db=5), tone(440, 160)
    noisy = sum(noise(clean, rng(seed), scene()) is not clean for seed in range(1000))
    assert abs(noisy - 300) < 60


@pytest.mark.parametrize(
    ("kind", "options", "says"),
    [
        (Speed, {"factors": []}, r"augment\.speed\.factors=\[\] must be"),
        (Speed, {"factors": [1.0, 0.0]}, r"augment\.speed\.factors=\[1\.0, 0\.0\] must be from"),
        (Gain, {"low_db": 3, "high_db": 2}, r"augment\.gain\.low_db=3 must be <= "),
        (Noise, {"probability": 2, "snr_low_db": 0, "snr_high_db": 1}, r"noise\.probability=2"),
        (Noise, {"probability": 1, "snr_low_db": 2, "snr_high_db": 1}, r"noise\.snr_low_db=2"),
    ],
)
def test_options_out_of_range(kind: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        kind(**options)


def test_factors_may_come_from_a_config() -> None:
    factors = OmegaConf.create([0.9, 1.1])
    assert Speed(factors=factors).factors == (0.9, 1.1)
