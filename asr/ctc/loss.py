"""CTC loss (Graves et al. 2006, ICML): the only place that knows what torch's `ctc_loss` wants.

Torch's gradient has the softmax folded in: it is right only behind a log_softmax. So the input
must be log-probabilities, and whoever hands over anything else is told so.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from asr.core.padded import Padded

BLANK = 0

# How far log-sum-exp of a frame may be from zero: what rounding to each type leaves.
_TOLERANCES = {torch.float16: 5e-3, torch.bfloat16: 2e-2}
_TOLERANCE = 1e-3


def ctc_loss(log_probs: Padded, tokens: Padded) -> Tensor:
    """Negative log-likelihood of each utterance's tokens, summed over all alignments.

    Computes in at least float32. An infeasible utterance (see `feasible`) has loss 0 and gradient
    0. A feasible one of probability zero keeps its infinite loss, for the caller to notice.
    Whatever lies beyond the lengths is never read. There is no second derivative.

    Args:
        log_probs: (B, T, V), the output of one log_softmax over V; the blank is 0.
        tokens: (B, U), each in 1..V-1.

    Returns:
        (B,) nats, float32 or float64.

    Raises:
        ValueError: shapes do not fit, a frame is not normalised, or a token is the blank or
            outside the vocabulary.

    On CUDA no step waits for the last two checks: such an utterance's loss is NaN instead, which
    the trainer makes no update with. On the CPU the same input gets its message.
    """
    _check_shapes(log_probs, tokens)
    device, dtype = log_probs.values.device, log_probs.values.dtype
    values = log_probs.values.to(torch.promote_types(dtype, torch.float32))
    tolerance = tolerance_of(dtype)
    refused = None
    if device.type == "cuda":
        wrong = _wrong_tokens(tokens, values.shape[2])  # (B, U)
        tokens = Padded(tokens.values.masked_fill(wrong, BLANK), tokens.lengths)  # safe to read
        gaps = _gaps(Padded(values.detach(), log_probs.lengths))  # (B, T)
        refused = wrong.any(dim=1) | (gaps > tolerance).any(dim=1)
    else:
        check_tokens(tokens, values.shape[2])
        check_normalised(Padded(values.detach(), log_probs.lengths), tolerance)
    if device.type == "mps":  # torch has no kernel for it there
        values = values.cpu()
    kept = feasible(log_probs.lengths, tokens)
    # Torch refuses T = 0; one frame more is beyond every length.
    values = F.pad(values, (0, 0, 0, int(values.shape[1] == 0)))
    loss = F.ctc_loss(
        values.transpose(0, 1),  # (T, B, V)
        tokens.values.to(values.device),
        # Without frames nothing of an infeasible utterance is read: even infinite
        # log-probabilities leave an exact zero.
        torch.where(kept, log_probs.lengths, 0).to(values.device),
        torch.where(kept, tokens.lengths, 0).to(values.device),
        blank=BLANK,
        reduction="none",
        zero_infinity=False,
    )
    return loss.to(device) if refused is None else loss.masked_fill(refused, torch.nan)


def feasible(lengths: Tensor, tokens: Padded) -> Tensor:
    """Whether any alignment exists: T >= U + the number of equal neighbours among the tokens.

    Args:
        lengths: (B,) frames.
        tokens: (B, U).

    Returns:
        (B,) bool.
    """
    repeated = (tokens.values[:, 1:] == tokens.values[:, :-1]) & tokens.mask[:, 1:]
    return lengths >= tokens.lengths + repeated.sum(dim=1)


def min_frames(tokens: Sequence[int]) -> int:
    """The fewest frames that can spell a transcript, so that one can be told before it is read."""
    return len(tokens) + sum(a == b for a, b in pairwise(tokens))


def posterior_limit(vocabulary: int) -> float:
    """The highest posterior that a softmax of a softmax over V symbols can give."""
    return math.e / (math.e + vocabulary - 1)


def _check_shapes(log_probs: Padded, tokens: Padded) -> None:
    shapes = [tuple(t.shape) for t in (*log_probs, *tokens)]
    batch = shapes[0][:1]
    if [len(s) for s in shapes] != [3, 1, 2, 1] or any(s[:1] != batch for s in shapes):
        raise ValueError(
            "ctc_loss wants log_probs (B, T, V) with lengths (B,) and tokens (B, U) with lengths "
            f"(B,), batch first; these are {shapes[0]}, {shapes[1]}, {shapes[2]} and {shapes[3]}"
        )


def _wrong_tokens(tokens: Padded, vocabulary: int) -> Tensor:
    return ~((tokens.values > BLANK) & (tokens.values < vocabulary)) & tokens.mask  # (B, U)


def check_tokens(tokens: Padded, vocabulary: int) -> None:
    """Raise ValueError if a token of the (B, U) is the blank or not below `vocabulary`."""
    wrong = _wrong_tokens(tokens, vocabulary)
    if not wrong.any():
        return
    row, column = wrong.nonzero()[0].tolist()
    token = int(tokens.values[row, column])
    what = "is the blank" if token == BLANK else f"lies outside 1..{vocabulary - 1}"
    raise ValueError(
        f"token {column} of utterance {row} in the batch is {token}, which {what}; the tokenizer "
        "and the model's output must be built from the same symbols"
    )


def _gaps(log_probs: Padded) -> Tensor:
    """(B, T) how far each real frame is from summing to one, as a logarithm."""
    return log_probs.values.logsumexp(dim=-1).abs().masked_fill(~log_probs.mask, 0)


def check_normalised(log_probs: Padded, tolerance: float) -> None:
    """Raise ValueError if a frame of the (B, T, V) is not log-probabilities, and say what it is.

    NaN passes on purpose: the loss becomes NaN, and the caller names the utterance.
    """
    gaps = _gaps(log_probs)
    if not (gaps > tolerance).any():
        return
    row, frame = divmod(int(gaps.nan_to_num(0, posinf=torch.inf).argmax()), gaps.shape[1])
    raise ValueError(
        f"CTC wants log-probabilities, but {_diagnose(log_probs, tolerance)} (frame {frame} of "
        f"utterance {row} in the batch: log-sum-exp "
        f"{float(log_probs.values[row, frame].logsumexp(-1)):.4g} instead of 0). Apply "
        "log_softmax once, over the last axis, to the model's logits"
    )


def looks_like(rows: Tensor, tolerance: float) -> str:
    """What the (N, V) are, each row of them: "probabilities", "log_probs" or "logits"."""
    if bool(rows.logsumexp(-1).abs().le(tolerance).all()):
        return "log_probs"
    if rows.numel() and rows.min() >= 0 and ((rows.sum(-1) - 1).abs() <= tolerance).all():
        return "probabilities"
    return "logits"


def tolerance_of(dtype: torch.dtype) -> float:
    """How far from one the sum of a frame's probabilities may be after rounding to a type."""
    return _TOLERANCES.get(dtype, _TOLERANCE)


def _diagnose(log_probs: Padded, tolerance: float) -> str:
    if looks_like(log_probs.values[log_probs.mask], tolerance) == "probabilities":
        return "these are probabilities: each frame lies in [0, 1] and sums to one"
    for axis, name in ((0, "batch"), (1, "time")):
        if (log_probs.values.logsumexp(dim=axis).abs() <= tolerance).all():
            return f"these are normalised over axis {axis} ({name}) instead of the last"
    return "these look like logits: their frames are not normalised"
