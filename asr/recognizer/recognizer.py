"""The recogniser: waveforms to log-probabilities. The one object that is trained and shipped."""

import torch
from torch import Tensor, nn

from asr.core.padded import Padded
from asr.features.base import FeatureExtractor
from asr.model.base import AcousticModel
from asr.tokenizer.base import Tokenizer


class Recognizer(nn.Module):
    """Features, their masking in training, the acoustic model, and the only softmax there is."""

    def __init__(
        self,
        features: FeatureExtractor,
        spec_augment: nn.Module,
        model: AcousticModel,
        tokenizer: Tokenizer,
    ) -> None:
        super().__init__()
        self.features = features
        self.spec_augment = spec_augment
        self.model = model
        self.tokenizer = tokenizer

    def forward(self, waveforms: Padded, seeds: Tensor | None = None) -> Padded:
        """(B, N) waveforms to (B, T', V) log-probabilities, in at least float32.

        Unlike other `Padded`s it is not zero beyond its lengths, but normalised there as well.

        seeds: (B,) int64 on the CPU, each utterance's own randomness; needed in training mode.
            (K * B,) of them give K views of the batch, masked differently, one behind the other.
        """
        exact = waveforms._replace(values=waveforms.values.to(next(self.parameters()).dtype))
        features: Padded = self.features(exact)  # (B, T, F)
        if seeds is not None and (views := len(seeds) // len(features.lengths)) > 1:
            values = features.values.repeat(views, 1, 1)  # (K * B, T, F)
            features = Padded(values, features.lengths.repeat(views))
        logits: Padded = self.model(self.spec_augment(features, seeds))  # (B, T', V)
        dtype = torch.promote_types(logits.values.dtype, torch.float32)
        return Padded(logits.values.log_softmax(dim=-1, dtype=dtype), logits.lengths)

    def output_lengths(self, samples: Tensor) -> Tensor:
        """T' for each number of samples."""
        return self.model.output_lengths(self.features.output_lengths(samples))

    @property
    def frame_seconds(self) -> float:
        """Seconds between frames of the output; frame t is centred on second t * frame_seconds."""
        return self.features.hop * self.model.stride / self.features.sample_rate

    @property
    def num_parameters(self) -> int:
        """How many numbers are trained."""
        return sum(p.numel() for p in self.parameters())
