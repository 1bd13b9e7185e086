"""Rooms: reverberation times as Schroeder measures them, and words where they were."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import signal
from sounds import RATE, decibels, delay, power, rng, scene, talk

from asr.augment.convolved import convolved
from asr.augment.reverb import Reverb, room_response
from asr.augment.reverb_folder import ReverbFolder


def schroeder(response: NDArray[np.float32], rate: int) -> float:
    """T60 from the backward integrated energy between -5 and -35 dB (ISO 3382's T30)."""
    remaining = np.cumsum(np.square(response[::-1], dtype=np.float64))[::-1]
    fall = 10 * np.log10(remaining / remaining[0])
    part = (fall < -5) & (fall > -35)
    return float(-60 / np.polyfit(np.flatnonzero(part) / rate, fall[part], 1)[0])


@pytest.mark.parametrize("rate", [8000, RATE])
@pytest.mark.parametrize("rt60", [0.2, 0.5, 1.0])
def test_schroeder_finds_the_reverberation_time(rt60: float, rate: int) -> None:
    found = [schroeder(room_response(rt60, 0.0, rate, rng(s))[1:], rate) for s in range(40)]
    assert np.mean(found) == pytest.approx(rt60, rel=0.03)
    assert np.std(found) < 0.1 * rt60


@given(rt60=st.floats(0.05, 2), drr_db=st.floats(-10, 20), seed=st.integers(0, 1 << 40))
@settings(max_examples=30, deadline=None)
def test_direct_to_reflected_energy(rt60: float, drr_db: float, seed: int) -> None:
    response = room_response(rt60, drr_db, RATE, rng(seed))
    assert response[0] == 1
    reflected = float(np.sum(np.square(response[1:], dtype=np.float64)))
    assert decibels(1 / reflected) == pytest.approx(drr_db, abs=0.01)


def test_reflections_grow_denser() -> None:
    """Single echoes first; their number up to a time is the room's image sources within reach."""
    responses = np.stack([room_response(0.5, 0.0, RATE, rng(s))[1:] for s in range(200)])
    reach = 343 * 0.010
    within = (responses[:, : round(0.010 * RATE)] != 0).sum(axis=1)
    assert within.mean() == pytest.approx(4 / 3 * np.pi * reach**3 / 60, rel=0.15)
    assert (responses[:, -1000:] != 0).all()


def reverb(**options: float) -> Reverb:
    good = {"probability": 1.0, "rt60_low": 0.2, "rt60_high": 0.6}
    return Reverb(**(good | {"drr_low_db": -3.0, "drr_high_db": 9.0} | options))


def test_times_and_ratios_fill_their_ranges() -> None:
    responses = [reverb().response(rng(seed), RATE)[0] for seed in range(80)]
    seconds = [(len(response) - 1) / RATE for response in responses]
    ratios = [decibels(1 / float(np.sum(response[1:] ** 2))) for response in responses]
    assert 0.2 <= min(seconds) < 0.22 and 0.58 < max(seconds) <= 0.601
    assert -3.01 < min(ratios) < -2 and 8 < max(ratios) < 9.01


def test_energy_is_kept_and_words_stay() -> None:
    for seed in range(20):
        wet = reverb()(talk(seed=seed), rng(seed), scene())
        assert decibels(power(wet), power(talk(seed=seed))) == pytest.approx(0, abs=1e-3)
        assert delay(wet, talk(seed=seed)) == 0


@given(one=st.integers(1, 3000), other=st.integers(1, 3000))
@settings(max_examples=30, deadline=None)
def test_convolution_is_scipys(one: int, other: int) -> None:
    ours = convolved(talk(one), talk(other, 1))
    theirs = signal.convolve(talk(one).astype(float), talk(other, 1), method="direct")
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_a_measured_room_is_its_convolution_from_the_direct_path_on(tmp_path: Path) -> None:
    response = np.zeros((900, 2), np.float32)  # two microphones
    response[200], response[230], response[150] = (0.8, 0.7), (0.4, -0.3), (0.01, 0.0)
    soundfile.write(tmp_path / "room.wav", response, RATE, subtype="FLOAT")
    augment = ReverbFolder(folder=str(tmp_path), probability=1.0)
    heard = set()
    for seed in range(8):
        wet = augment(talk(), rng(seed), scene()).astype(np.float64)
        for channel in (0, 1):
            expected = signal.convolve(talk(), response[:, channel])[200 : 200 + len(talk())]
            expected *= np.sqrt(power(talk()) / power(expected))
            if np.allclose(wet, expected, atol=1e-5):
                heard.add(channel)
                break
        else:
            pytest.fail("neither microphone")
    assert heard == {0, 1}


def test_a_measured_room_at_another_rate(tmp_path: Path) -> None:
    response = room_response(0.4, 0.0, 48000, rng())
    soundfile.write(tmp_path / "room.wav", response / 2, 48000, subtype="FLOAT")
    resampled, direct = ReverbFolder(folder=str(tmp_path), probability=1.0).response(rng(), RATE)
    assert direct <= 1 and len(resampled) == pytest.approx(0.4 * RATE, abs=2)
    assert schroeder(resampled[20:], RATE) == pytest.approx(schroeder(response, 48000), rel=0.1)


def test_a_file_that_is_no_response(tmp_path: Path) -> None:
    augments = []
    for name, value in (("silent", 0.0), ("nan", np.nan)):
        (tmp_path / name).mkdir()
        soundfile.write(tmp_path / name / "x.wav", np.full(99, value), RATE, subtype="FLOAT")
        augments.append(ReverbFolder(folder=str(tmp_path / name), probability=1.0))
    for augment in augments:
        with pytest.raises(ValueError, match=r"x\.wav: no room's impulse response"):
            augment(talk(), rng(), scene())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"rt60_low": 0.0}, r"augment\.reverb\.rt60_low=0\.0, .* from 0\.05 to 10 seconds"),
        ({"rt60_low": 0.7}, r"reverb\.rt60_low=0\.7 must be <= augment\.reverb\.rt60_high=0\.6"),
        ({"drr_low_db": 10.0}, r"reverb\.drr_low_db=10\.0 must be <= "),
        ({"probability": -0.1}, r"reverb\.probability=-0\.1 must be from 0 to 1"),
    ],
)
def test_options_out_of_range(options: dict[str, float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        reverb(**options)


def test_a_folder_must_be_named() -> None:
    with pytest.raises(ValueError, match=r"augment\.reverb_folder\.folder is not set"):
        ReverbFolder(folder=None, probability=1.0)
