"""Connectionist temporal classification (Graves et al., ICML 2006) as the thing to minimise."""

from asr.ctc.loss import ctc_loss, feasible
from asr.data.batch import Batch
from asr.objective.base import Objective, Outcome
from asr.recognizer.recognizer import Recognizer


class CTC(Objective):
    """The sum of feasible nats, counted in the tokens that they spell."""

    def __call__(self, recognizer: Recognizer, batch: Batch) -> Outcome:
        log_probs = recognizer(batch.waveforms, batch.seeds)  # (B, T', V)
        losses = ctc_loss(log_probs, batch.tokens)  # (B,)
        fits = feasible(log_probs.lengths, batch.tokens)
        blanks = (log_probs.values.detach().argmax(-1) == 0) & log_probs.mask
        return Outcome(
            nats=losses.sum(),
            count=(batch.tokens.lengths * fits).sum(),
            losses=losses.detach(),
            metrics={
                "frames": log_probs.lengths.sum(),
                "blanks": blanks.sum(),
                "infeasible": (~fits).sum(),
            },
        )
