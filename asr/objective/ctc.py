"""Connectionist temporal classification (Graves et al., ICML 2006) as the thing to minimise."""

import math

import torch

from asr.ctc.loss import BLANK, ctc_loss, feasible, posterior_limit
from asr.data.batch import Batch
from asr.objective.base import Objective, Outcome
from asr.recognizer.recognizer import Recognizer


class CTC(Objective):
    """The sum of feasible nats, counted in the tokens that they spell."""

    def __call__(self, recognizer: Recognizer, batch: Batch) -> Outcome:
        log_probs = recognizer(batch.waveforms, batch.seeds)  # (B, T', V)
        losses = ctc_loss(log_probs, batch.tokens)  # (B,)
        fits = feasible(log_probs.lengths, batch.tokens)
        values, mask = log_probs.values.detach(), log_probs.mask
        top, best = values.max(dim=-1)  # (B, T')
        limit = math.log(posterior_limit(values.shape[2])) + 1e-3  # beyond rounding
        entropies = torch.special.entr(values.exp()).sum(dim=-1).masked_fill(~mask, 0)
        return Outcome(
            nats=losses.sum(),
            count=(batch.tokens.lengths * fits).sum(),
            losses=losses.detach(),
            metrics={
                "frames": log_probs.lengths.sum(),
                "blanks": ((best == BLANK) & mask).sum(),
                "confident": ((top > limit) & mask).sum(),
                "entropy": entropies.sum(),
                "infeasible": (~fits).sum(),
            },
        )
