"""Feature extractors: silence, dtypes, autocast, saving, and options out of range."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from asr.core.padded import Padded
from asr.features.log_mel import LogMel
from asr.features.mfcc import MFCC
from asr.features.normalise import normalise
from asr.features.spectrogram import Spectrogram

SHARED = {
    "sample_rate": 16000,
    "n_fft": 512,
    "window_seconds": 0.025,
    "hop_seconds": 0.010,
    "normalise": True,
}
MEL = SHARED | {"num_features": 40, "f_min": 0.0, "f_max": None}
MAKERS: list[Callable[..., torch.nn.Module]] = [LogMel, MFCC, Spectrogram]


def make(kind: Callable[..., Any], **options: object) -> Any:
    if kind is Spectrogram:
        return kind(**SHARED | options)
    return kind(**MEL | ({"num_bands": 80} if kind is MFCC else {}) | options)


@pytest.mark.parametrize("kind", MAKERS)
def test_silence_becomes_zero(kind: Callable[..., Any]) -> None:
    lengths = torch.tensor([16000, 0, 1, 7777])
    features = make(kind)(Padded(torch.zeros(4, 16000), lengths))
    assert features.values.shape == (4, 101, make(kind).num_features)
    assert features.lengths.tolist() == [101, 0, 1, 49]
    assert (features.values == 0).all()


@pytest.mark.parametrize("kind", MAKERS)
def test_a_batch_without_samples(kind: Callable[..., Any]) -> None:
    features = make(kind)(Padded(torch.zeros(2, 0), torch.zeros(2, dtype=torch.int64)))
    assert features.lengths.tolist() == [0, 0] and (features.values == 0).all()


@pytest.mark.parametrize("kind", MAKERS)
def test_precision(kind: Callable[..., Any]) -> None:
    waveforms = Padded(0.1 * torch.randn(2, 8000), torch.tensor([8000, 5000])).zeroed()
    module = make(kind)
    single = module(waveforms).values
    double = module(Padded(waveforms.values.double(), waveforms.lengths)).values
    assert single.dtype == torch.float32 and double.dtype == torch.float64
    torch.testing.assert_close(single.double(), double, atol=1e-4, rtol=0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = module(waveforms).values
    assert torch.equal(inside, single)


@pytest.mark.parametrize("kind", MAKERS)
def test_nothing_of_it_is_saved(kind: Callable[..., Any]) -> None:
    assert make(kind).state_dict() == {}


@pytest.mark.parametrize("kind", MAKERS)
def test_lengths_of_any_shape(kind: Callable[..., Any]) -> None:
    lengths = make(kind).output_lengths(torch.tensor([[0, 1, 159], [160, 16000, 16159]]))
    assert lengths.dtype == torch.int64 and lengths.tolist() == [[0, 1, 1], [2, 101, 101]]


def test_normalising_ignores_what_lies_beyond() -> None:
    values = 50 + torch.randn(2, 30, 4)
    features = normalise(Padded(values, torch.tensor([30, 12])))
    values[1, 12:] = 1e6
    again = normalise(Padded(values, torch.tensor([30, 12])))
    assert torch.equal(features.values, again.values)
    assert (again.values[1, 12:] == 0).all()
    torch.testing.assert_close(again.values[1, :12].mean(dim=0), torch.zeros(4), atol=1e-5, rtol=0)
    variance = again.values[1, :12].var(dim=0, correction=0)
    torch.testing.assert_close(variance, torch.ones(4), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("kind", "options", "says"),
    [
        (LogMel, {"hop_seconds": -1}, r"features\.hop_seconds=-1 must be > 0"),
        (LogMel, {"hop_seconds": 1e-6}, r"features\.hop_seconds=1e-06 is less than one sample"),
        (LogMel, {"sample_rate": 0}, r"features\.sample_rate=0 must be > 0"),
        (LogMel, {"num_features": 0}, r"features\.num_features=0 must be > 0"),
        (Spectrogram, {"n_fft": 511}, r"features\.n_fft=511 must be even"),
        (MFCC, {"n_fft": 256}, r"features\.n_fft=256 .*\.window_seconds=0\.025 is 400"),
        (LogMel, {"window_seconds": float("nan")}, r"features\.window_seconds=nan must be > 0"),
        (LogMel, {"f_max": 9000.0}, r"features\.f_max=9000\.0 must .* <= 8000"),
        (LogMel, {"f_min": 500.0, "f_max": 400.0}, r"features\.f_min=500\.0"),
        (LogMel, {"num_features": 300}, r"features\.num_features=300 bands are more than"),
        (MFCC, {"num_bands": 300}, r"features\.num_bands=300 bands are more than"),
        (MFCC, {"num_features": 81}, r"num_features=81 must be <= features\.num_bands=80"),
    ],
)
def test_options_out_of_range(
    kind: Callable[..., Any], options: dict[str, object], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        make(kind, **options)
