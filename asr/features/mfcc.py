"""Mel-frequency cepstral coefficients (Davis and Mermelstein, 1980): decorrelated log-mels."""

import math

import torch
from torch import Tensor

from asr.features.frames import FramedFeatures
from asr.features.mel import log_mel, mel_filters


class MFCC(FramedFeatures):
    """The first coefficients of the orthonormal DCT-II over `LogMel`'s bands.

    Of the natural logarithm: librosa's, of decibels, are 10 / ln 10 times as large.

    Args:
        num_features: how many coefficients, at most num_bands.
        num_bands: how many mel bands they come from.
        f_min, f_max: Hz; an f_max of None means half the sample rate.
        sample_rate, n_fft, window_seconds, hop_seconds, normalise: see `FramedFeatures`.

    Raises:
        ValueError: an option is out of range.
    """

    filters: Tensor
    cosines: Tensor

    def __init__(
        self,
        *,
        sample_rate: int,
        num_features: int,
        num_bands: int,
        n_fft: int,
        window_seconds: float,
        hop_seconds: float,
        f_min: float,
        f_max: float | None,
        normalise: bool,
    ) -> None:
        super().__init__(
            sample_rate=sample_rate,
            num_features=num_features,
            n_fft=n_fft,
            window_seconds=window_seconds,
            hop_seconds=hop_seconds,
            normalise=normalise,
        )
        if num_features > num_bands:
            raise ValueError(
                f"features.num_features={num_features} must be <= features.num_bands={num_bands}"
            )
        filters = mel_filters(sample_rate, n_fft, num_bands, f_min, f_max, "features.num_bands")
        self.register_buffer("filters", filters, persistent=False)
        self.register_buffer("cosines", _dct(num_bands, num_features), persistent=False)

    def frame_features(self, power: Tensor) -> Tensor:
        """(B, T, n_fft // 2 + 1) power spectra to (B, T, F) cepstra."""
        return log_mel(power, self.filters) @ self.cosines.to(power.dtype)


def _dct(size: int, coefficients: int) -> Tensor:
    """(size, coefficients): the orthonormal DCT-II as a matrix."""
    places = torch.arange(size, dtype=torch.float64)[:, None] + 0.5
    orders = torch.arange(coefficients, dtype=torch.float64)
    matrix = torch.cos(math.pi / size * places * orders) * math.sqrt(2 / size)
    matrix[:, 0] /= math.sqrt(2)
    return matrix.float()
