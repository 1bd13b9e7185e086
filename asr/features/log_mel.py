"""Log-mel filterbank energies: what most recognisers hear. Equal to librosa's `melspectrogram`."""

from torch import Tensor

from asr.features.frames import FramedFeatures
from asr.features.mel import log_mel, mel_filters


class LogMel(FramedFeatures):
    """The natural logarithm of the power in mel bands (Slaney), floored at 1e-10.

    Args:
        num_features: how many bands.
        f_min, f_max: Hz; an f_max of None means half the sample rate.
        sample_rate, n_fft, window_seconds, hop_seconds, normalise: see `FramedFeatures`.

    Raises:
        ValueError: an option is out of range.
    """

    filters: Tensor

    def __init__(
        self,
        *,
        sample_rate: int,
        num_features: int,
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
        filters = mel_filters(
            sample_rate, n_fft, num_features, f_min, f_max, "features.num_features"
        )
        self.register_buffer("filters", filters, persistent=False)

    def frame_features(self, power: Tensor) -> Tensor:
        """(B, T, n_fft // 2 + 1) power spectra to (B, T, F) log energies."""
        return log_mel(power, self.filters)
