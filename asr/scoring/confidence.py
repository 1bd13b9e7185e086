"""How sure a model is of each word that was heard."""

from collections.abc import Sequence

import numpy as np
import torch

from asr.core.padded import Padded
from asr.decoder.base import Hypothesis
from asr.tokenizer.base import Tokenizer


def word_confidences(
    tokenizer: Tokenizer, log_probs: Padded, hypotheses: Sequence[Hypothesis]
) -> list[tuple[float, ...]]:
    """Of each word of each hypothesis, 0 to 1: the mean over its tokens.

    That of a token is its highest posterior from the frame where it begins to where the next does.

    log_probs: (B, T, V), from which the hypotheses were found.
    """
    path = np.zeros(log_probs.values.shape[:2], dtype=np.int64)  # (B, T) whose turn it is
    for row, hypothesis in zip(path, hypotheses, strict=True):
        for token, start in zip(hypothesis.tokens, hypothesis.timesteps, strict=True):
            row[start:] = token
    turns = torch.from_numpy(path).to(log_probs.values.device)
    sure = log_probs.values.gather(2, turns[..., None])[..., 0].exp().cpu().numpy()  # (B, T)
    lengths = log_probs.lengths.tolist()
    found = []
    for row, length, hypothesis in zip(sure, lengths, hypotheses, strict=True):
        words = tokenizer.words(hypothesis.tokens)
        tokens = np.maximum.reduceat(row[:length], hypothesis.timesteps) if words else row[:0]
        found.append(tuple(float(tokens[where].mean()) for _, where in words))
    return found
