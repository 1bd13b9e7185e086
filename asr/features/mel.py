"""The mel filterbank: Slaney's scale and normalisation (Auditory Toolbox, 1998), as in librosa."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_HZ_PER_MEL = 200 / 3  # the scale is linear below 1 kHz, which is 15 mel
_KNEE_HZ, _KNEE_MEL = 1000.0, 15.0
_LOG_STEP = np.log(6.4) / 27  # and logarithmic above: 27 mel from 1 to 6.4 kHz
_FLOOR = 1e-10


def mel_filters(
    sample_rate: int, n_fft: int, bands: int, f_min: float, f_max: float | None, option: str
) -> Tensor:
    """Triangular filters of unit area, evenly spaced in mel.

    Args:
        sample_rate: samples per second.
        n_fft: size of the transform whose power they weigh.
        bands: how many.
        f_min, f_max: Hz; an f_max of None means half the sample rate.
        option: what the number of bands is called in the configuration, for errors.

    Returns:
        (n_fft // 2 + 1, bands) float32.

    Raises:
        ValueError: the band limits do not fit, or a band is narrower than the transform resolves.
    """
    top = sample_rate / 2 if f_max is None else f_max
    if not 0 <= f_min < top <= sample_rate / 2:
        raise ValueError(
            f"features.f_min={f_min} and features.f_max={f_max} must satisfy 0 <= f_min < f_max "
            f"<= {sample_rate / 2:g}, half the sample rate"
        )
    edges = _mel_to_hz(np.linspace(_hz_to_mel(f_min), _hz_to_mel(top), bands + 2))
    bins = np.linspace(0, sample_rate / 2, n_fft // 2 + 1)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])  # (bins, bands)
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    filters = np.maximum(0, np.minimum(rising, falling)) * 2 / (edges[2:] - edges[:-2])
    if not filters.any(axis=0).all():
        raise ValueError(
            f"{option}={bands} bands are more than features.n_fft={n_fft} can tell apart at "
            f"{sample_rate} Hz; use fewer bands or a larger n_fft"
        )
    return torch.tensor(filters, dtype=torch.float32)


def log_mel(power: Tensor, filters: Tensor) -> Tensor:
    """(B, T, bins) power to (B, T, bands): the natural logarithm, floored at 1e-10."""
    return (power @ filters.to(power.dtype)).clamp(min=_FLOOR).log()


def _hz_to_mel(hz: float) -> float:
    if hz < _KNEE_HZ:
        return hz / _HZ_PER_MEL
    return float(_KNEE_MEL + np.log(hz / _KNEE_HZ) / _LOG_STEP)


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    above = _KNEE_HZ * np.exp(_LOG_STEP * (mel - _KNEE_MEL))
    return np.where(mel < _KNEE_MEL, mel * _HZ_PER_MEL, above)
