"""Features against librosa and scipy, and alone against in a batch."""

from pathlib import Path

import librosa
import numpy as np
import pytest
import scipy.fft
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from omegaconf import OmegaConf

from asr.core.audio import load_waveform
from asr.core.padded import Padded
from asr.features.frames import FramedFeatures
from asr.features.log_mel import LogMel
from asr.features.mel import mel_filters
from asr.features.mfcc import MFCC
from asr.features.spectrogram import Spectrogram

RATE = 16000
SHARED = {"sample_rate": RATE, "n_fft": 512, "window_seconds": 0.025, "hop_seconds": 0.010}
MEL = SHARED | {"f_min": 0.0, "f_max": None}


def extractor(name: str, normalise: bool) -> FramedFeatures:
    if name == "log_mel":
        return LogMel(**MEL, num_features=80, normalise=normalise)
    if name == "mfcc":
        return MFCC(**MEL, num_features=20, num_bands=80, normalise=normalise)
    return Spectrogram(**SHARED, normalise=normalise)


def speechlike(samples: int, seed: int = 0) -> NDArray[np.float32]:
    """Coloured noise of changing loudness, over a little white noise."""
    rng = np.random.default_rng(seed)
    colour = np.convolve(rng.standard_normal(samples + 40), np.hanning(12), "same")[:samples]
    loudness = 0.02 + 0.05 * (1 + np.sin(np.arange(samples) / 2000))
    return (colour * loudness + 0.003 * rng.standard_normal(samples)).astype(np.float32)


def one(module: FramedFeatures, waveform: NDArray[np.floating]) -> Padded:
    samples = torch.from_numpy(waveform)[None]
    return module(Padded(samples, torch.tensor([samples.shape[1]])))


def librosa_log_mel(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    power = librosa.feature.melspectrogram(
        y=waveform,
        sr=RATE,
        n_fft=512,
        win_length=400,
        hop_length=160,
        n_mels=80,
        center=True,
        pad_mode="constant",
    )
    return np.log(np.maximum(power, 1e-10)).T


@pytest.mark.filterwarnings("ignore:n_fft=512 is too large")
@pytest.mark.parametrize("samples", [1, 159, 160, 161, 511, 512, 16000, 48123])
def test_log_mel_is_librosas(samples: int) -> None:
    waveform = speechlike(samples)
    features = one(extractor("log_mel", False), waveform)
    expected = librosa_log_mel(waveform)
    assert features.lengths.tolist() == [len(expected)]
    np.testing.assert_allclose(features.values[0].numpy(), expected, atol=1e-4)


def test_log_mel_is_librosas_on_real_speech(shared_data: Path) -> None:
    raws = sorted((shared_data / "an4").rglob("*.raw"))[::150]
    compressed = sorted((shared_data / "LibriSpeech").rglob("*-0000.*"))[::10]
    assert len(raws) == 8 and len(compressed) > 4
    for path in raws + compressed:
        waveform = load_waveform(path, RATE, raw="s16be:16000:1" if path in raws else None)
        ours = one(extractor("log_mel", False), waveform).values[0].numpy()
        np.testing.assert_allclose(ours, librosa_log_mel(waveform), atol=1e-4)


@pytest.mark.parametrize(
    ("rate", "n_fft", "bands", "f_min", "f_max"),
    [(16000, 512, 80, 0.0, None), (8000, 256, 40, 20.0, 3800.0), (44100, 2048, 128, 50.0, 2e4)],
)
def test_mel_filters_are_librosas(
    rate: int, n_fft: int, bands: int, f_min: float, f_max: float | None
) -> None:
    expected = librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=bands, fmin=f_min, fmax=f_max)
    ours = mel_filters(rate, n_fft, bands, f_min, f_max, "bands").numpy()
    np.testing.assert_allclose(ours, expected.T, atol=1e-7)


def test_mfcc_is_librosas_but_for_the_logarithms_base() -> None:
    waveform = speechlike(30000)
    ours = one(extractor("mfcc", False), waveform).values[0].numpy()
    decibels = librosa.power_to_db(np.exp(librosa_log_mel(waveform)), amin=1e-10, top_db=None)
    expected = librosa.feature.mfcc(S=decibels.T, n_mfcc=20).T
    np.testing.assert_allclose(ours * 10 / np.log(10), expected, atol=2e-3)


def test_mfcc_is_the_orthonormal_dct_of_log_mel() -> None:
    waveform = speechlike(30000).astype(np.float64)
    log_mel = one(extractor("log_mel", False), waveform).values[0].numpy()
    ours = one(extractor("mfcc", False), waveform).values[0].numpy()
    expected = scipy.fft.dct(log_mel, type=2, norm="ortho")[:, :20]
    np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_spectrogram_is_librosas_magnitude() -> None:
    waveform = speechlike(30000)
    ours = one(extractor("spectrogram", False), waveform).values[0].numpy()
    spectrum = librosa.stft(
        waveform, n_fft=512, win_length=400, hop_length=160, pad_mode="constant"
    )
    np.testing.assert_allclose(ours, np.log1p(np.abs(spectrum)).T, atol=1e-5)


@pytest.mark.parametrize("name", ["log_mel", "mfcc", "spectrogram"])
def test_normalised_is_the_plain_feature_with_mean_0_and_variance_1(name: str) -> None:
    waveform = speechlike(30000)
    plain = one(extractor(name, False), waveform).values[0].double().numpy()
    ours = one(extractor(name, True), waveform).values[0].numpy()
    expected = (plain - plain.mean(axis=0)) / (plain.std(axis=0) + 1e-5)
    np.testing.assert_allclose(ours, expected, atol=1e-4)


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("name", ["log_mel", "mfcc", "spectrogram"])
@settings(max_examples=15, deadline=None)
@given(lengths=st.lists(st.integers(0, 12000), min_size=1, max_size=4), more=st.integers(0, 3000))
def test_alone_is_as_in_a_batch(name: str, normalise: bool, lengths: list[int], more: int) -> None:
    module = extractor(name, normalise)
    waveforms = [torch.from_numpy(speechlike(n, seed)) for seed, n in enumerate(lengths)]
    padded = Padded.stack([*waveforms, torch.zeros(max(lengths) + more)])
    batch = module(Padded(padded.values[:-1], padded.lengths[:-1]))
    assert batch.lengths.tolist() == [n // 160 + 1 if n else 0 for n in lengths]
    for values, length, waveform in zip(*batch, waveforms, strict=True):
        alone = module(Padded.stack([waveform])).values[0]
        # Of two frames that hardly differ, dividing by their spread magnifies rounding.
        atol = 1e-4 if normalise else 1e-5
        torch.testing.assert_close(values[:length], alone[:length], atol=atol, rtol=0)
        assert (values[length:] == 0).all()


def test_the_shipped_default_is_what_is_checked_here(repository: Path) -> None:
    shipped = OmegaConf.to_container(OmegaConf.load(repository / "configs/features/log_mel.yaml"))
    expected = MEL | {"num_features": 80, "normalise": True}
    assert shipped == expected | {"_target_": "asr.features.log_mel.LogMel"}
