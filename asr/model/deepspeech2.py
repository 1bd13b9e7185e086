"""Deep Speech 2 (arXiv:1512.02595): convolutions over time and frequency, recurrences, a head."""

import math
from collections.abc import Sequence

from torch import Tensor, nn

from asr.core.padded import Padded
from asr.model.base import AcousticModel
from asr.model.layers import ConvBlock, Lookahead, MaskedBatchNorm, Recurrence


class DeepSpeech2(AcousticModel):
    """Two or three strided 2-D convolutions, then recurrent layers with batch norm between them.

    channels, kernels, strides: one entry a convolution; kernels and strides are (frames, bands).
    cell: "lstm" or "gru". layers, hidden_size: the recurrent stack.
    bidirectional: else the last layer is followed by a lookahead over `lookahead` frames.
    dropout: after each recurrent layer; convolutions share their weights and need none.
    batch_norm: behind each layer; False shows what it is worth.
    """

    def __init__(
        self,
        num_features: int,
        vocab_size: int,
        *,
        channels: Sequence[int],
        kernels: Sequence[Sequence[int]],
        strides: Sequence[Sequence[int]],
        cell: str,
        layers: int,
        hidden_size: int,
        bidirectional: bool,
        lookahead: int,
        dropout: float,
        batch_norm: bool = True,
    ) -> None:
        super().__init__()
        if not 1 <= len(channels) == len(kernels) == len(strides):
            raise ValueError(
                "model: channels, kernels and strides need one entry for each convolution, not "
                f"{len(channels)}, {len(kernels)} and {len(strides)}"
            )
        if layers < 1 or hidden_size < 1:
            raise ValueError(
                f"model.layers={layers} and model.hidden_size={hidden_size}: at least 1"
            )
        self.convolutions = nn.ModuleList()
        size, bands = 1, num_features
        for channel, (kernel_t, kernel_f), (stride_t, stride_f) in zip(
            channels, kernels, strides, strict=True
        ):
            kernel, stride = (kernel_t, kernel_f), (stride_t, stride_f)
            self.convolutions.append(ConvBlock(size, channel, kernel, stride, 0.0, batch_norm))
            size, bands = channel, (bands - 1) // stride_f + 1
        size *= bands
        self.recurrences, self.norms = nn.ModuleList(), nn.ModuleList()
        for _ in range(layers):
            recurrence = Recurrence(cell, size, hidden_size, bidirectional=bidirectional)
            self.recurrences.append(recurrence)
            size = recurrence.out_size
            self.norms.append(MaskedBatchNorm(size) if batch_norm else nn.Identity())
        self.lookahead = nn.Identity() if bidirectional else Lookahead(size, lookahead)
        # Behind each norm: before it, its statistics would be of what evaluation never sees.
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(size, vocab_size)

    def output_lengths(self, lengths: Tensor) -> Tensor:
        for block in self.convolutions:
            lengths = block.conv.output_lengths(lengths)  # type: ignore[union-attr, operator]
        return lengths

    @property
    def stride(self) -> int:
        return math.prod(block.conv.stride for block in self.convolutions)  # type: ignore[misc]

    def forward(self, features: Padded) -> Padded:
        x = Padded(features.values[..., None], features.lengths)  # (B, T, F, 1)
        for block in self.convolutions:
            x = block(x)
        x = Padded(x.values.flatten(2), x.lengths)  # (B, T', F' * C)
        last = len(self.recurrences) - 1
        for layer, (recurrence, norm) in enumerate(zip(self.recurrences, self.norms, strict=True)):
            x = recurrence(x)
            x = norm(self.lookahead(x) if layer == last else x)
            x = Padded(self.dropout(x.values), x.lengths)
        return Padded(self.head(x.values), x.lengths).zeroed()  # (B, T', V)
