"""Wav2Letter (arXiv:1609.03193): a stack of 1-D convolutions over time, and nothing else."""

import math
from collections.abc import Sequence

from torch import Tensor, nn

from asr.core.padded import Padded
from asr.model.base import AcousticModel
from asr.model.layers import ConvBlock


class Wav2Letter(AcousticModel):
    """1-D convolutions with batch norm and rectifiers, the bands of the features as channels.

    channels, kernels, strides: one entry a layer; kernels and strides in frames.
    dropout: after each layer.
    """

    def __init__(
        self,
        num_features: int,
        vocab_size: int,
        *,
        channels: Sequence[int],
        kernels: Sequence[int],
        strides: Sequence[int],
        dropout: float,
    ) -> None:
        super().__init__()
        if not 1 <= len(channels) == len(kernels) == len(strides):
            raise ValueError(
                "model: channels, kernels and strides need one entry for each layer, not "
                f"{len(channels)}, {len(kernels)} and {len(strides)}"
            )
        self.blocks = nn.ModuleList()
        size = num_features
        for channel, kernel, stride in zip(channels, kernels, strides, strict=True):
            self.blocks.append(ConvBlock(size, channel, (kernel, 1), (stride, 1), dropout))
            size = channel
        self.head = nn.Linear(size, vocab_size)

    def output_lengths(self, lengths: Tensor) -> Tensor:
        for block in self.blocks:
            lengths = block.conv.output_lengths(lengths)  # type: ignore[union-attr, operator]
        return lengths

    @property
    def stride(self) -> int:
        return math.prod(block.conv.stride for block in self.blocks)  # type: ignore[misc]

    def forward(self, features: Padded) -> Padded:
        x = Padded(features.values[:, :, None], features.lengths)  # (B, T, 1, F)
        for block in self.blocks:
            x = block(x)
        return Padded(self.head(x.values.flatten(2)), x.lengths).zeroed()  # (B, T', V)
