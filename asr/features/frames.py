"""What all features share: framing, the power spectrum, normalisation, and exact lengths."""

from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor

from asr.core.padded import Padded
from asr.features.base import FeatureExtractor
from asr.features.normalise import normalise


class FramedFeatures(FeatureExtractor):
    """Features that are a function of each frame's power spectrum.

    Frame t is centred on sample t * hop; around the waveform lies silence, so that padding a
    waveform with zeros changes no frame. N samples give N // hop + 1 frames, none give none.

    Args:
        sample_rate: samples per second.
        n_fft: size of the transform, even.
        window_seconds, hop_seconds: length of the Hann window and distance between frames.
        normalise: whether each utterance's features get mean 0 and variance 1.

    Raises:
        ValueError: an option is out of range.
    """

    def __init__(
        self,
        *,
        sample_rate: int,
        num_features: int,
        n_fft: int,
        window_seconds: float,
        hop_seconds: float,
        normalise: bool,
    ) -> None:
        super().__init__()
        for name, value in (
            ("sample_rate", sample_rate),
            ("num_features", num_features),
            ("n_fft", n_fft),
            ("window_seconds", window_seconds),
            ("hop_seconds", hop_seconds),
        ):
            if not value > 0:
                raise ValueError(f"features.{name}={value} must be > 0")
        window = round(window_seconds * sample_rate)
        hop = round(hop_seconds * sample_rate)
        if hop == 0:
            raise ValueError(f"features.hop_seconds={hop_seconds} is less than one sample")
        if n_fft % 2 or not 2 <= window <= n_fft:
            raise ValueError(
                f"features.n_fft={n_fft} must be even and at least the window, and the window 2 "
                f"samples or more: features.window_seconds={window_seconds} is {window} samples"
            )
        self.sample_rate = sample_rate
        self.num_features = num_features
        self.n_fft = n_fft
        self.hop = hop
        self.normalise = normalise
        self.window = window

    def forward(self, waveforms: Padded) -> Padded:
        """(B, N) waveforms in [-1, 1] to (B, T, F), in float32 (float64 for float64)."""
        with torch.autocast(waveforms.values.device.type, enabled=False):
            values = self.frame_features(self._power(waveforms.values))  # (B, T, F)
            features = Padded(values, self.output_lengths(waveforms.lengths))
            return normalise(features) if self.normalise else features.zeroed()

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Frames, int64, for numbers of samples of any shape."""
        return torch.where(lengths > 0, lengths // self.hop + 1, 0)

    @abstractmethod
    def frame_features(self, power: Tensor) -> Tensor:
        """(B, T, n_fft // 2 + 1) power spectra to (B, T, F) features."""

    def _power(self, samples: Tensor) -> Tensor:
        # A band 90 dB below another, as above an MP3's cut-off, drowns in float32's rounding;
        # so the transform is taken in float64 where the device has it.
        dtype = torch.float32 if samples.device.type == "mps" else torch.float64
        half = self.n_fft // 2
        spectrum = torch.stft(
            F.pad(samples.to(dtype), (half, half)),
            self.n_fft,
            hop_length=self.hop,
            win_length=self.window,
            window=torch.hann_window(self.window, dtype=dtype, device=samples.device),
            center=False,
            return_complex=True,
        )  # (B, n_fft // 2 + 1, T)
        spectrum = spectrum.to(torch.promote_types(samples.dtype, torch.complex64))
        power = torch.addcmul(spectrum.real.square(), spectrum.imag, spectrum.imag)
        return power.transpose(1, 2)
