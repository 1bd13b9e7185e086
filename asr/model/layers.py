"""Layers that honour lengths: convolution, batch normalisation, recurrence, lookahead.

All take and give a `Padded` with channels last, (B, T, C) or (B, T, F, C), zero beyond lengths.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from asr.core.distributed import add_up
from asr.core.padded import Padded


class MaskedConv(nn.Module):
    """Convolution over time and frequency, padded to ceil(T / stride) x ceil(F / stride).

    A 1-D convolution is one whose frequency axis is 1 wide. groups: of channels that do not mix.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        groups: int = 1,
        bias: bool = False,
    ) -> None:
        super().__init__()
        if min(kernel) < 1 or kernel[0] % 2 == 0 or kernel[1] % 2 == 0:
            raise ValueError(f"model: kernel sizes must be odd and positive, not {list(kernel)}")
        if min(stride) < 1:
            raise ValueError(f"model: strides must be positive, not {list(stride)}")
        padding = (kernel[0] // 2, kernel[1] // 2)
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel, stride, padding, groups=groups, bias=bias
        )

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """ceil(lengths / stride), in integers."""
        return (lengths - 1) // self.stride + 1

    @property
    def stride(self) -> int:
        """Frames in for one frame out."""
        return self.conv.stride[0]

    def forward(self, x: Padded) -> Padded:
        # (B, T, F, C) in memory is what torch calls (B, C, T, F) with channels last: no copy.
        values = self.conv(x.values.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)  # (B, T', F', C')
        return Padded(values, self.output_lengths(x.lengths)).zeroed()


class MaskedBatchNorm(nn.Module):
    """Batch normalisation whose statistics are those of the real frames (arXiv:1502.03167).

    Sequence-wise as in Deep Speech 2 (arXiv:1512.02595, 3.2): one mean and variance a channel,
    over all utterances, frames and frequencies of the batch, on whatever rank they are. Computed
    in at least float32.
    """

    running_mean: Tensor
    running_variance: Tensor

    def __init__(self, channels: int, *, momentum: float = 0.1, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.momentum = momentum
        self.epsilon = epsilon
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_variance", torch.ones(channels))

    def forward(self, x: Padded) -> Padded:
        values = x.values.to(torch.promote_types(x.values.dtype, torch.float32))
        mask = x.mask.view(*values.shape[:2], *[1] * (values.dim() - 2)).to(values.dtype)
        if not self.training:
            scale = self.weight * torch.rsqrt(self.running_variance + self.epsilon)
            shift = self.bias - self.running_mean * scale
            return Padded(torch.addcmul(mask * shift, values, scale), x.lengths)
        own = x.lengths.sum() * values.shape[2:-1].numel()
        normed, mean, variance, count = _Normalise.apply(  # type: ignore[no-untyped-call]
            values, mask, own, self.weight, self.bias, self.epsilon
        )
        momentum = self.momentum * (count > 0)  # (1,): of nothing there is nothing to learn
        momentum = momentum.to(self.running_mean.dtype)
        unbiased = variance * (count / (count - 1).clamp(min=1))
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
        self.running_variance.lerp_(unbiased.to(self.running_mean.dtype), momentum)
        return Padded(normed, x.lengths)


class _Normalise(torch.autograd.Function):
    """Batch norm of the real positions, with its derivative written out.

    Autograd's own would go ten times over the batch where this goes twice.
    """

    @staticmethod
    def forward(
        ctx: Any,
        values: Tensor,
        mask: Tensor,
        own: Tensor,
        weight: Tensor,
        bias: Tensor,
        epsilon: float,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(..., C) values, zero where the (..., 1) mask is; own: () how many positions it leaves.

        Returns:
            The result, zero there, too; and over all ranks mean and biased variance (C,), and the
            count (1,) of positions.
        """
        axes = tuple(range(values.dim() - 1))
        sums = torch.cat([values.sum(axes), own[None].to(values.dtype)])
        total, count = add_up(sums).tensor_split([-1])
        divisor = count.clamp(min=1)
        mean = total / divisor
        centred = torch.addcmul(values, mask, mean, value=-1)
        variance = add_up(centred.square().sum(axes)) / divisor
        rate = torch.rsqrt(variance + epsilon)
        ctx.save_for_backward(centred, mask, weight, rate, divisor)
        ctx.mark_non_differentiable(mean, variance, count)
        return torch.addcmul(mask * bias, centred, weight * rate), mean, variance, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        centred, mask, weight, rate, divisor = ctx.saved_tensors
        flat = gradient.reshape(-1, gradient.shape[-1])
        weights = mask.expand(*gradient.shape[:-1], 1).reshape(1, -1)
        of_bias = (weights @ flat)[0]  # the sum over the real positions
        of_scale = (gradient * centred).sum(tuple(range(gradient.dim() - 1)))
        mean, slope = add_up(torch.stack([of_bias, of_scale * rate.square()])) / divisor
        scale = weight * rate
        of_values = torch.addcmul(-mean * scale, gradient, scale)
        of_values.addcmul_(centred, slope * scale, value=-1)
        # Other ranks' sums of these are added where all gradients are.
        return of_values, None, None, of_scale * rate, of_bias, None


class Recurrence(nn.Module):
    """One LSTM or GRU layer, in one or both directions: (B, T, F) to (B, T, H) or (B, T, 2H).

    No packed sequences: on a CPU they cost several times the arithmetic. Padding stands behind
    each utterance, so the forward direction never sees it before the end, and the backward
    direction reads each utterance reversed within its own length.
    """

    def __init__(self, cell: str, in_size: int, hidden_size: int, *, bidirectional: bool) -> None:
        super().__init__()
        cells: dict[str, type[nn.LSTM] | type[nn.GRU]] = {"lstm": nn.LSTM, "gru": nn.GRU}
        if cell not in cells:
            raise ValueError(f"model.cell={cell!r} is unknown: choose lstm or gru")
        self.ahead = cells[cell](in_size, hidden_size, batch_first=True)
        self.back = cells[cell](in_size, hidden_size, batch_first=True) if bidirectional else None
        self.out_size = hidden_size * (2 if bidirectional else 1)
        for weight in self.parameters():
            weight.stacked = len(weight) // hidden_size  # type: ignore[attr-defined]  # gates

    def forward(self, x: Padded) -> Padded:
        if x.values.shape[1] == 0:
            return Padded(x.values.new_zeros(*x.values.shape[:2], self.out_size), x.lengths)
        outputs: list[Tensor] = [self.ahead(x.values)[0]]
        if self.back is not None:
            order = _reversed_order(x)
            reverse = self.back(_Reorder.apply(x.values, order))[0]  # type: ignore[no-untyped-call]
            outputs.append(_Reorder.apply(reverse, order))  # type: ignore[no-untyped-call]
        return Padded(torch.cat(outputs, dim=-1), x.lengths).zeroed()


def _reversed_order(x: Padded) -> Tensor:
    """(B, T) index of each frame's mirror image within its length; padding stays in place."""
    frames = torch.arange(x.values.shape[1], device=x.values.device)
    mirrored = x.lengths[:, None] - 1 - frames
    return torch.where(mirrored >= 0, mirrored, frames)


class _Reorder(torch.autograd.Function):
    """values[b, order[b, t]], where `order` is its own inverse.

    The gradient is then the same gather, and not the scatter-add of torch's own, which is an
    order of magnitude slower on a CPU.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, order: Tensor) -> Tensor:
        ctx.save_for_backward(order)
        return values[torch.arange(len(values), device=values.device)[:, None], order]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (order,) = ctx.saved_tensors
        return _Reorder.apply(gradient, order), None  # type: ignore[no-untyped-call]


class Lookahead(nn.Module):
    """Each channel's weighted sum of a frame and the `context` frames after it.

    It gives a unidirectional model a little future (Wang et al., "Lookahead convolution layer for
    unidirectional recurrent neural networks", 2016): (B, T, C) to (B, T, C).
    """

    def __init__(self, channels: int, context: int) -> None:
        super().__init__()
        if context < 1:
            raise ValueError(f"model.lookahead={context} must be at least 1 frame")
        self.context = context
        self.conv = nn.Conv1d(channels, channels, context + 1, groups=channels, bias=False)

    def forward(self, x: Padded) -> Padded:
        ahead = F.pad(x.values.transpose(1, 2), (0, self.context))  # (B, C, T + context)
        return Padded(self.conv(ahead).transpose(1, 2), x.lengths).zeroed()


class ConvBlock(nn.Module):
    """Convolution, batch normalisation (a bias without it), rectifier, dropout."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        dropout: float,
        batch_norm: bool = True,
    ) -> None:
        super().__init__()
        self.conv = MaskedConv(in_channels, out_channels, kernel, stride, bias=not batch_norm)
        self.norm = MaskedBatchNorm(out_channels) if batch_norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Padded) -> Padded:
        normed = self.norm(self.conv(x))
        # Zero stays zero through both: the mask still holds.
        return Padded(self.dropout(F.relu(normed.values)), normed.lengths)
