"""The contract of a feature extractor: waveforms to frames, on whatever device they are."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from asr.core.padded import Padded


class FeatureExtractor(nn.Module, ABC):
    """Turns waveforms into frames. Padding never changes a frame.

    sample_rate: samples per second that the waveforms must have.
    num_features: F, the size of one frame.
    hop: samples between frames; frame t is centred on sample t * hop.
    """

    sample_rate: int
    num_features: int
    hop: int

    @abstractmethod
    def forward(self, waveforms: Padded) -> Padded:
        """(B, N) float32 waveforms in [-1, 1] to (B, T, F) float32 features."""

    @abstractmethod
    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Frames, int64, for numbers of samples of any shape."""
