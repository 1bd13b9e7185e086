"""Connectionist temporal classification (Graves et al., ICML 2006) as the thing to minimise."""

import math

import torch
from torch import Tensor

from asr.core.padded import Padded
from asr.ctc.loss import BLANK, ctc_loss, feasible, posterior_limit
from asr.data.batch import Batch
from asr.objective.base import Objective, Outcome
from asr.recognizer.recognizer import Recognizer


class CTC(Objective):
    """The sum of feasible nats, counted in the tokens that they spell.

    intermediate_weight: share of the loss that the outputs of inner layers have, for a model with
        `intermediate_layers` (Lee and Watanabe, arXiv:2102.03216).
    entropy_weight: nats of loss for each nat of entropy that a frame has less; keeps posteriors
        from becoming spikes (Liu et al., NeurIPS 2018).

    Raises:
        ValueError: a weight is out of range.
    """

    def __init__(self, *, intermediate_weight: float, entropy_weight: float) -> None:
        if not 0 <= intermediate_weight < 1:
            raise ValueError(
                f"objective.intermediate_weight={intermediate_weight} must be in [0, 1)"
            )
        if entropy_weight < 0:
            raise ValueError(f"objective.entropy_weight={entropy_weight} must be >= 0")
        self.intermediate_weight, self.entropy_weight = intermediate_weight, entropy_weight

    def __call__(self, recognizer: Recognizer, batch: Batch) -> Outcome:
        tokens, size = batch.tokens, len(batch.seeds)
        seeds = self.views(batch.seeds)  # (K * B,)
        outputs = recognizer(batch.waveforms, seeds)  # (H * K * B, T', V): the last layer's first
        rows = len(outputs.lengths)
        losses = ctc_loss(outputs, _repeated(tokens, rows // size)).view(-1, size)  # (H * K, B)
        final = first_rows(outputs, len(seeds))
        fits = feasible(final.lengths[:size], tokens)
        ctc, inner = losses.tensor_split([len(seeds) // size])
        terms = {"ctc": ctc.mean(dim=0)} | self.regularisers(final, fits)
        if len(inner):
            share = self.intermediate_weight
            terms = {"ctc": (1 - share) * terms["ctc"], "intermediate": share * inner.mean(dim=0),
                     **{k: v for k, v in terms.items() if k != "ctc"}}  # fmt: skip
        total = torch.stack(list(terms.values())).sum(dim=0)  # (B,)
        return Outcome(
            nats=total.sum(),
            count=(tokens.lengths * fits).sum(),
            losses=total.detach(),
            metrics=_metrics(first_rows(final, size)) | {"infeasible": (~fits).sum()},
            terms={k: v.detach().sum() for k, v in terms.items()} if len(terms) > 1 else {},
        )

    def views(self, seeds: Tensor) -> Tensor:
        """(B,) seeds to (K * B,): how many differently masked views are taken, each its seeds."""
        return seeds

    def regularisers(self, final: Padded, fits: Tensor) -> dict[str, Tensor]:
        """(B,) nats of each utterance by name, beside CTC's.

        final: (K * B, T', V) what the last layer says. fits: (B,) bool, those that weigh anything.
        """
        if self.entropy_weight == 0:
            return {}
        entropies = torch.special.entr(final.values.exp()).sum(dim=-1)  # (K * B, T')
        entropies = entropies.masked_fill(~final.mask, 0).sum(dim=-1).view(-1, len(fits))
        return {"entropy_bonus": -self.entropy_weight * entropies.mean(dim=0) * fits}


def first_rows(padded: Padded, count: int) -> Padded:
    """The first `count` sequences."""
    return Padded(padded.values[:count], padded.lengths[:count])


def _repeated(tokens: Padded, times: int) -> Padded:
    return Padded(tokens.values.repeat(times, 1), tokens.lengths.repeat(times))


def _metrics(log_probs: Padded) -> dict[str, Tensor]:
    values, mask = log_probs.values.detach(), log_probs.mask
    top, best = values.max(dim=-1)  # (B, T')
    limit = math.log(posterior_limit(values.shape[2])) + 1e-3  # beyond rounding
    entropies = torch.special.entr(values.exp()).sum(dim=-1).masked_fill(~mask, 0)
    return {
        "frames": log_probs.lengths.sum(),
        "blanks": ((best == BLANK) & mask).sum(),
        "confident": ((top > limit) & mask).sum(),
        "entropy": entropies.sum(),
    }
