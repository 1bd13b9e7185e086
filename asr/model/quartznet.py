"""QuartzNet (arXiv:1910.10261) and Citrinet (arXiv:2104.01721): separable convolutions over time.

A convolution over time of each channel by itself, then a mixture of the channels in each frame:
wide in time for few parameters. Citrinet adds squeeze-and-excitation, by which each channel is
weighted by what the whole utterance holds, and larger strides, for tokens that are pieces of words.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from asr.core.padded import Padded
from asr.model.base import AcousticModel
from asr.model.layers import MaskedBatchNorm, MaskedConv


class QuartzNet(AcousticModel):
    """Blocks of separable convolutions; one of several layers has a shortcut around them.

    channels, kernels, strides, repeats: one entry a block: its width; frames; frames of its first
    layer; its layers. squeeze: in squeeze-and-excitation the channels are squeezed to so many times
    fewer; 0: none of it. dropout: after each layer.
    """

    def __init__(
        self,
        num_features: int,
        vocab_size: int,
        *,
        channels: Sequence[int],
        kernels: Sequence[int],
        strides: Sequence[int],
        repeats: Sequence[int],
        squeeze: int,
        dropout: float,
    ) -> None:
        super().__init__()
        sizes = [len(channels), len(kernels), len(strides), len(repeats)]
        if not sizes[0] or len(set(sizes)) > 1:
            raise ValueError(
                "model: channels, kernels, strides and repeats need one entry for each block, not "
                f"{', '.join(map(str, sizes))}"
            )
        if min(repeats) < 1 or not 0 <= squeeze <= min(channels):
            raise ValueError(
                f"model.repeats={list(repeats)} must be at least 1, and model.squeeze={squeeze} 0 "
                "to the fewest channels"
            )
        self.blocks = nn.ModuleList()
        size = num_features
        for channel, kernel, stride, repeat in zip(
            channels, kernels, strides, repeats, strict=True
        ):
            self.blocks.append(_Block(size, channel, kernel, stride, repeat, squeeze, dropout))
            size = channel
        self.head = nn.Linear(size, vocab_size)

    def output_lengths(self, lengths: Tensor) -> Tensor:
        for block in self.blocks:
            lengths = block.first.output_lengths(lengths)  # type: ignore[union-attr, operator]
        return lengths

    @property
    def stride(self) -> int:
        return math.prod(block.first.stride for block in self.blocks)  # type: ignore[misc]

    def forward(self, features: Padded) -> Padded:
        x = Padded(features.values[:, :, None], features.lengths)  # (B, T, 1, F)
        for block in self.blocks:
            x = block(x)
        return Padded(self.head(x.values.flatten(2)), x.lengths).zeroed()  # (B, T', V)


class _Block(nn.Module):
    """Separable convolutions, squeeze-and-excitation, and a shortcut where it spares some layers.

    (B, T, 1, C) to (B, T', 1, C').
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int,
        repeat: int,
        squeeze: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList([_Separable(in_channels, out_channels, kernel, stride)])
        for _ in range(repeat - 1):
            self.layers.append(_Separable(out_channels, out_channels, kernel, 1))
        self.excite = _SqueezeExcite(out_channels, squeeze) if squeeze else nn.Identity()
        self.shortcut = None
        if repeat > 1:
            self.shortcut = nn.Sequential(
                MaskedConv(in_channels, out_channels, (1, 1), (stride, 1)),
                MaskedBatchNorm(out_channels),
            )
        self.dropout = nn.Dropout(dropout)

    @property
    def first(self) -> MaskedConv:
        """What decides the block's stride."""
        return self.layers[0].depthwise  # type: ignore[return-value]

    def forward(self, x: Padded) -> Padded:
        around = None if self.shortcut is None else self.shortcut(x).values
        for layer in self.layers[:-1]:
            x = self._rectified(layer(x))
        x = self.excite(self.layers[-1](x))
        return self._rectified(x if around is None else Padded(x.values + around, x.lengths))

    def _rectified(self, x: Padded) -> Padded:
        return Padded(self.dropout(F.relu(x.values)), x.lengths)  # zero stays zero


class _Separable(nn.Module):
    """Each channel over time, the channels of each frame, batch norm.

    Channels lie last in memory: torch's Conv1d takes seven times as long and more for a convolution
    of each channel by itself on a CPU (benchmarks/depthwise.py).
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.depthwise = MaskedConv(
            in_channels, in_channels, (kernel, 1), (stride, 1), groups=in_channels
        )
        self.pointwise = nn.Linear(in_channels, out_channels, bias=False)
        self.norm = MaskedBatchNorm(out_channels)

    def forward(self, x: Padded) -> Padded:
        x = self.depthwise(x)
        return self.norm(Padded(self.pointwise(x.values), x.lengths))  # type: ignore[no-any-return]


class _SqueezeExcite(nn.Module):
    """Weights for the channels of an utterance, from their means over its real frames.

    Hu et al., "Squeeze-and-excitation networks", arXiv:1709.01507.
    """

    def __init__(self, channels: int, squeeze: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, channels // squeeze)
        self.excite = nn.Linear(channels // squeeze, channels)

    def forward(self, x: Padded) -> Padded:
        frames = x.lengths.clamp(min=1)[:, None, None, None]
        means = x.values.sum(dim=1, keepdim=True) / frames  # (B, 1, 1, C)
        weights = torch.sigmoid(self.excite(F.relu(self.squeeze(means))))
        return Padded(x.values * weights, x.lengths)
