"""Greedy decoding: the best symbol of each frame, collapsed (Graves et al. 2006, best path)."""

import torch

from asr.core.padded import Padded
from asr.ctc.collapse import collapse
from asr.decoder.base import Decoder, Hypothesis


class Greedy(Decoder):
    """One hypothesis for each utterance; its score is the log-probability of the best path."""

    def __call__(self, log_probs: Padded) -> list[list[Hypothesis]]:
        """See `Decoder`. An utterance without frames has an empty text and score 0."""
        self._check_vocabulary(log_probs)
        top, best = log_probs.values.max(dim=-1)  # (B, T)
        frames = top.shape[1]
        top = top.to(torch.promote_types(top.dtype, torch.float32))
        # One transfer; symbols and lengths are below 2^24, which float32 holds exactly.
        columns = (best.to(top.dtype), top, log_probs.lengths[:, None].to(top.dtype))
        table = torch.cat(columns, dim=1).cpu()  # (B, 2 T + 1)
        best, top, lengths = table[:, :frames].long(), table[:, frames:-1], table[:, -1].long()
        # Each sum runs over real frames alone, so that padding cannot even change its rounding.
        scores = [float(row[:n].double().sum()) for row, n in zip(top, lengths, strict=True)]
        for index, score in enumerate(scores):
            if score != score:
                raise ValueError(
                    f"the log-probabilities of utterance {index} in the batch hold NaN; its audio "
                    "or the model's weights are not finite"
                )
        return [
            [Hypothesis(self.tokenizer.decode(tokens), tuple(tokens), score, tuple(timesteps))]
            for tokens, timesteps, score in zip(*collapse(best, lengths), scores, strict=True)
        ]
