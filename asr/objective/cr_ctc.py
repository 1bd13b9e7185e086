"""CR-CTC: two views of an utterance must agree (Yao et al., arXiv:2410.05101)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from asr.core.padded import Padded
from asr.objective.ctc import CTC

_OTHER_VIEW = 0x5DEECE66D  # with which a seed becomes that of the second view


class CRCTC(CTC):
    """CTC's mean over two views that SpecAugment masks differently, and how much they disagree.

    Each view's posteriors are drawn to the other's, frame by frame: half of KL(b || a) plus half
    of KL(a || b), in which what is drawn to gets no gradient. An update costs twice as much.

    consistency_weight: of the disagreement; the paper takes 0.2.

    Raises:
        ValueError: a weight is out of range.
    """

    def __init__(
        self, *, consistency_weight: float, intermediate_weight: float, entropy_weight: float
    ) -> None:
        super().__init__(intermediate_weight=intermediate_weight, entropy_weight=entropy_weight)
        if consistency_weight < 0:
            raise ValueError(f"objective.consistency_weight={consistency_weight} must be >= 0")
        self.consistency_weight = consistency_weight

    def views(self, seeds: Tensor) -> Tensor:
        return torch.cat([seeds, seeds ^ _OTHER_VIEW])

    def regularisers(self, final: Padded, fits: Tensor) -> dict[str, Tensor]:
        a, b = final.values.chunk(2)  # (B, T', V) each
        mask = final.mask[: len(a)]
        apart = (_divergence(a, b.detach()) + _divergence(b, a.detach())) / 2  # (B, T')
        nats = self.consistency_weight * apart.masked_fill(~mask, 0).sum(dim=-1) * fits
        return super().regularisers(final, fits) | {"consistency": nats}


def _divergence(log_probs: Tensor, target: Tensor) -> Tensor:
    """(B, T', V) twice to (B, T'): KL(target || log_probs) in nats."""
    return F.kl_div(log_probs, target, reduction="none", log_target=True).sum(dim=-1)
