"""Conformer (Gulati et al., arXiv:2005.08100): attention for the far, convolution for the near."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from asr.core.padded import Padded
from asr.model.base import AcousticModel
from asr.model.layers import MaskedConv


class Conformer(AcousticModel):
    """Convolutional subsampling by 4, then blocks of attention and convolution.

    Positions are rotary (Su et al., arXiv:2104.09864). Where the paper has batch norm, in the
    convolution module, this has layer norm: no utterance then depends on its batch.

    size: channels. layers, heads: of attention. feed_forward: width of the inner layers, in
    sizes. kernel: frames of the depthwise convolution. subsampling: channels of the two strided
    convolutions in front. intermediate_layers: those whose output is trained as well, counted from
    1, through the same head. dropout: of every branch. stochastic_depth: chance of the last block
    to be left out for an utterance in training; earlier ones less, in proportion
    (arXiv:1603.09382).

    Raises:
        ValueError: an option is out of range.
    """

    def __init__(
        self,
        num_features: int,
        vocab_size: int,
        *,
        size: int,
        layers: int,
        heads: int,
        feed_forward: int,
        kernel: int,
        subsampling: int,
        intermediate_layers: Sequence[int],
        dropout: float,
        stochastic_depth: float,
    ) -> None:
        super().__init__()
        if min(size, layers, heads, feed_forward, subsampling) < 1 or size % (2 * heads):
            raise ValueError(
                f"model: size={size}, layers={layers}, feed_forward={feed_forward} and "
                f"subsampling={subsampling} must be positive, and size a multiple of twice "
                f"heads={heads}"
            )
        if not all(1 <= layer < layers for layer in intermediate_layers):
            raise ValueError(
                f"model.intermediate_layers={list(intermediate_layers)}: from 1 to {layers - 1}"
            )
        if not 0 <= stochastic_depth < 1:
            raise ValueError(f"model.stochastic_depth={stochastic_depth} must be in [0, 1)")
        self.convolutions = nn.ModuleList(
            [MaskedConv(1, subsampling, (3, 3), (2, 2)),
             MaskedConv(subsampling, subsampling, (3, 3), (2, 2))]
        )  # fmt: skip
        bands = math.ceil(math.ceil(num_features / 2) / 2)
        self.entrance = nn.Linear(subsampling * bands, size)
        self.blocks = nn.ModuleList(
            Block(size, heads, feed_forward * size, kernel, dropout,
                  stochastic_depth * (i + 1) / layers)
            for i in range(layers)
        )  # fmt: skip
        self.intermediate_layers = frozenset(intermediate_layers)
        self.rotation = Rotation(size // heads)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(size, vocab_size)

    def output_lengths(self, lengths: Tensor) -> Tensor:
        for convolution in self.convolutions:
            lengths = convolution.output_lengths(lengths)  # type: ignore[operator]
        return lengths

    @property
    def stride(self) -> int:
        return 4

    def forward(self, features: Padded) -> Padded:
        x = Padded(features.values[..., None], features.lengths)  # (B, T, F, 1)
        for convolution in self.convolutions:
            x = convolution(x)
            x = Padded(F.silu(x.values), x.lengths)  # zero stays zero: the mask still holds
        lengths, seen = x.lengths, x.mask  # (B, T')
        values = self.dropout(self.entrance(x.values.flatten(2)))  # (B, T', C)
        rotation = self.rotation(values)
        seen[:, :1] = (
            True  # whoever has no frames looks at one of padding, lest it looks at nothing
        )
        outputs = []
        for number, block in enumerate(self.blocks, 1):
            values = block(values, lengths, seen[:, None, None], rotation)
            if self.training and number in self.intermediate_layers:
                outputs.append(values)
        outputs.insert(0, values)
        logits = self.head(torch.cat(outputs))  # (H * B, T', V)
        return Padded(logits, lengths.repeat(len(outputs))).zeroed()


class Block(nn.Module):
    """Half a feed-forward, attention, convolution, the other half, and a norm at the end."""

    def __init__(
        self, size: int, heads: int, inner: int, kernel: int, dropout: float, skip: float
    ) -> None:
        super().__init__()
        self.before, self.after = (FeedForward(size, inner, dropout) for _ in range(2))
        self.attention = Attention(size, heads, dropout)
        self.convolution = Convolution(size, kernel)
        self.norm = nn.LayerNorm(size)
        self.dropout = nn.Dropout(dropout)
        self.skip = skip

    def forward(
        self, x: Tensor, lengths: Tensor, seen: Tensor, rotation: tuple[Tensor, Tensor]
    ) -> Tensor:
        """(B, T, C) to as many. seen: (B, 1, 1, T) bool, what attention may look at."""
        kept: Tensor | float = 1.0
        if self.training and self.skip:  # left out for some, and stronger for the others
            kept = (torch.rand(len(x), 1, 1, device=x.device) >= self.skip) / (1 - self.skip)
            kept = kept.to(x.dtype)
        y = x + 0.5 * kept * self.dropout(self.before(x))
        y = y + kept * self.dropout(self.attention(y, seen, rotation))
        y = y + kept * self.dropout(self.convolution(y, lengths))
        y = y + 0.5 * kept * self.dropout(self.after(y))
        return self.norm(y)  # type: ignore[no-any-return]


class FeedForward(nn.Sequential):
    """Norm, expansion, swish, contraction: (B, T, C) to as many."""

    def __init__(self, size: int, inner: int, dropout: float) -> None:
        super().__init__(
            nn.LayerNorm(size),
            nn.Linear(size, inner),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(inner, size),
        )


class Attention(nn.Module):
    """Multi-head self-attention over an utterance, positions by rotation."""

    def __init__(self, size: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(size)
        self.inward, self.outward = nn.Linear(size, 3 * size), nn.Linear(size, size)
        self.inward.weight.stacked = 3  # type: ignore[attr-defined]  # queries, keys, values
        self.heads, self.dropout = heads, nn.Dropout(dropout)

    def forward(self, x: Tensor, seen: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
        """(B, T, C) to as many."""
        projected = self.inward(self.norm(x)).unflatten(-1, (3, self.heads, -1))
        q, k, v = projected.permute(2, 0, 3, 1, 4)  # (B, H, T, C / H) each
        q, k = rotated(q, *rotation), rotated(k, *rotation)
        dropout = self.dropout.p if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=seen, dropout_p=dropout)
        return self.outward(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class Rotation(nn.Module):
    """The angles of rotary positions: pair i of channels turns by 10000^(-2i/C) a frame."""

    rates: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        rates = 10_000.0 ** -(torch.arange(0, channels, 2, dtype=torch.float64) / channels)
        self.register_buffer("rates", rates.float(), persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines, (T, C / 2) each, for the T frames of (B, T, ...)."""
        frames = torch.arange(x.shape[1], device=x.device, dtype=self.rates.dtype)
        angles = frames[:, None] * self.rates
        return angles.cos(), angles.sin()


def rotated(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """(B, H, T, C) with each pair (i, i + C / 2) of channels turned by its frame's angles."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cosines - b * sines, a * sines + b * cosines], dim=-1).to(x.dtype)


class Convolution(nn.Module):
    """Gate, depthwise convolution over time, norm, swish: (B, T, C) to as many."""

    def __init__(self, size: int, kernel: int) -> None:
        super().__init__()
        self.entrance = nn.Sequential(nn.LayerNorm(size), nn.Linear(size, 2 * size), nn.GLU())
        self.depthwise = MaskedConv(size, size, (kernel, 1), (1, 1), groups=size)
        self.exit = nn.Sequential(nn.LayerNorm(size), nn.SiLU(), nn.Linear(size, size))

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        gated = Padded(self.entrance(x)[:, :, None], lengths).zeroed()  # (B, T, 1, C)
        return self.exit(self.depthwise(gated).values[:, :, 0])  # type: ignore[no-any-return]
