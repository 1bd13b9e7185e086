"""The plain spectrogram, as Deep Speech 2 (arXiv:1512.02595) hears it."""

from torch import Tensor

from asr.features.frames import FramedFeatures


class Spectrogram(FramedFeatures):
    """log(1 + magnitude) of each of the n_fft // 2 + 1 frequencies.

    Args:
        sample_rate, n_fft, window_seconds, hop_seconds, normalise: see `FramedFeatures`.

    Raises:
        ValueError: an option is out of range.
    """

    def __init__(
        self,
        *,
        sample_rate: int,
        n_fft: int,
        window_seconds: float,
        hop_seconds: float,
        normalise: bool,
    ) -> None:
        super().__init__(
            sample_rate=sample_rate,
            num_features=n_fft // 2 + 1,
            n_fft=n_fft,
            window_seconds=window_seconds,
            hop_seconds=hop_seconds,
            normalise=normalise,
        )

    def frame_features(self, power: Tensor) -> Tensor:
        """(B, T, n_fft // 2 + 1) power spectra to features of the same shape."""
        return power.sqrt().log1p()
