"""Muon: momentum, orthogonalised (Jordan et al. 2024, kellerjordan.github.io/posts/muon).

Torch's own takes matrices only and rounds them to bfloat16 on the way, whatever their precision.
This one takes a whole model, its kernels as matrices and the rest by AdamW, rounds only where the
training does, and can leave an update out without being waited for.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, overload

import torch
from torch import Tensor
from torch.optim import Optimizer

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # Jordan's quintic, steep at zero
_ITERATIONS = 5


class Muon(Optimizer):
    """Muon for weights that mix channels, AdamW (arXiv:1711.05101) for all others and the head.

    An orthogonalised update is scaled to the size that AdamW's have, 0.2 * sqrt(longer side)
    (Liu et al., arXiv:2502.16982), so that one learning rate and one weight decay serve both.
    Where a layer keeps several matrices in one, as an LSTM those of its gates, it says how many in
    the parameter's attribute `stacked`, and each is made orthogonal by itself.

    Args:
        groups: as torch's optimizers take them, of (name, parameter) pairs.
        lr: learning rate.
        momentum: of Muon's moving average of gradients (Nesterov's).
        betas, eps: of AdamW.
        weight_decay: decoupled, as a share of the learning rate.
        precision: of the training; "bfloat16" iterates in it, all else in the weights' own.

    Raises:
        ValueError: an option is out of range.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        *,
        lr: float,
        momentum: float,
        betas: Sequence[float],
        eps: float,
        weight_decay: float,
        precision: str,
    ) -> None:
        if lr < 0 or eps <= 0 or weight_decay < 0:
            raise ValueError(
                f"optimizer: lr={lr} and weight_decay={weight_decay} must be >= 0, eps={eps} > 0"
            )
        if not all(0 <= share < 1 for share in (momentum, *betas)) or len(betas) != 2:
            raise ValueError(
                f"optimizer: momentum={momentum} and the two betas={list(betas)} must be in [0, 1)"
            )
        # "fused" tells that `step` looks at `found_inf` itself, as torch's fused optimizers do.
        super().__init__(
            _split(groups),
            {"lr": lr, "momentum": momentum, "betas": tuple(betas), "eps": eps,
             "weight_decay": weight_decay, "fused": True},
        )  # fmt: skip
        self.found_inf: Tensor | None = None
        self._rounds = precision == "bfloat16"

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Any) -> float: ...
    @torch.no_grad()
    def step(self, closure: Any = None) -> float | None:
        """Update all weights that have a gradient; none where `found_inf` is not zero."""
        for group in self.param_groups:
            weights = [p for p in group["params"] if p.grad is not None]
            if not weights:
                continue
            updates = (self._muon if group["mixes"] else self._adam)(weights, group)
            rate = group["lr"] if self.found_inf is None else group["lr"] * (self.found_inf == 0)
            torch._foreach_mul_(weights, 1 - rate * group["weight_decay"])
            torch._foreach_mul_(updates, rate)
            torch._foreach_sub_(weights, updates)
        return None

    def _muon(self, weights: list[Tensor], group: dict[str, Any]) -> list[Tensor]:
        averages = self._averages(weights, "momentum")
        gradients = self._unless_held([p.grad for p in weights], averages)
        torch._foreach_lerp_(averages, gradients, 1 - group["momentum"])
        ahead = torch._foreach_lerp(gradients, averages, group["momentum"])
        updates: list[Tensor] = [torch.empty(0)] * len(weights)
        alike: dict[torch.Size, list[int]] = defaultdict(list)  # several at once: fewer kernels
        for i, matrix in enumerate(ahead):
            alike[matrix.shape].append(i)
        for shape, places in alike.items():
            cuts = [ahead[i].flatten(1).tensor_split(stacked(weights[i])) for i in places]
            matrices = torch.stack([matrix for cut in cuts for matrix in cut])
            made = orthogonal(matrices.bfloat16() if self._rounds else matrices).to(matrices.dtype)
            made *= 0.2 * max(made.shape[1:]) ** 0.5
            for i, update in zip(
                places, torch.split(made, [len(cut) for cut in cuts]), strict=True
            ):
                updates[i] = update.reshape(shape)
        return updates

    def _adam(self, weights: list[Tensor], group: dict[str, Any]) -> list[Tensor]:
        steps = self._averages(weights, "step", scalar=True)
        first, second = self._averages(weights, "first"), self._averages(weights, "second")
        gradients: list[Any] = [p.grad for p in weights]
        torch._foreach_add_(steps, 1 if self.found_inf is None else (self.found_inf == 0).float())
        counts = torch._foreach_clamp_min(steps, 1)  # of a first update that is held
        (beta1, beta2), squares = group["betas"], torch._foreach_mul(gradients, gradients)
        torch._foreach_lerp_(first, self._unless_held(gradients, first), 1 - beta1)
        torch._foreach_lerp_(second, self._unless_held(squares, second), 1 - beta2)
        return [
            m / (1 - beta1**step) / ((v / (1 - beta2**step)).sqrt() + group["eps"])
            for step, m, v in zip(counts, first, second, strict=True)
        ]

    def _averages(
        self, weights: Sequence[Tensor], name: str, *, scalar: bool = False
    ) -> list[Tensor]:
        for weight in weights:
            if name not in self.state[weight]:
                zero = weight.new_zeros(()) if scalar else torch.zeros_like(weight)
                self.state[weight][name] = zero
        return [self.state[weight][name] for weight in weights]

    def _unless_held(self, news: Sequence[Any], averages: Sequence[Tensor]) -> list[Tensor]:
        """What is averaged in; of an update that is held, the average itself, for it is kept."""
        if self.found_inf is None:
            return list(news)
        held = self.found_inf != 0
        return [torch.where(held, a, n) for n, a in zip(news, averages, strict=True)]


def stacked(weight: Tensor) -> int:
    """How many matrices of equal size stand one above the other in a weight."""
    return getattr(weight, "stacked", 1)


def orthogonal(matrices: Tensor) -> Tensor:
    """The (K, M, N) with their singular values moved close to 1, by Newton-Schulz iterations."""
    high = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if high else matrices
    x = x / x.flatten(1).norm(dim=1).clamp(min=1e-7)[:, None, None]
    a, b, c = _COEFFICIENTS
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if high else x


def _split(groups: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each group in two, one for each of the ways."""
    halves = []
    for group in groups:
        for mixes in (True, False):
            pairs = [(n, p) for n, p in group["params"] if _mixes_channels(n, p) == mixes]
            if pairs:
                halves.append(group | {"params": pairs, "mixes": mixes})
    return halves


def _mixes_channels(name: str, weight: Tensor) -> bool:
    return weight.dim() > 1 and weight.shape[1] > 1 and ".head." not in name
