"""The contract of an acoustic model: features to logits, whatever happens in between."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from asr.core.padded import Padded


class AcousticModel(nn.Module, ABC):
    """Maps frames of features to frames of logits, one for each token and the blank.

    A model with `intermediate_layers` gives, in training mode only, what their outputs say as
    well: (H * B, T', V), the last layer's first.

    Constructors take `(num_features, vocab_size, *, ...)`. The last layer is `head`, which
    fine-tuning replaces when the alphabet changes. Padding changes no output, in training mode
    neither (dropout's draws aside): that is what the contract tests hold every model to.
    """

    head: nn.Linear

    @abstractmethod
    def forward(self, features: Padded) -> Padded:
        """(B, T, F) features to (B, T', V) logits, zero beyond `output_lengths`."""

    @abstractmethod
    def output_lengths(self, lengths: Tensor) -> Tensor:
        """T' for each T: int64 of any shape, exact, never a share of the whole."""

    @property
    @abstractmethod
    def stride(self) -> int:
        """Frames in for one frame out; output t is centred on input t * stride."""
