"""One frame of a beam search, at first: which tokens are looked at, and how likely each is."""

import numpy as np
from numpy.typing import NDArray

from asr.core.compiled import part
from asr.decoder.hypotheses import BLANK, IN_BLANK, IN_TOKEN, LAST, Pruning
from asr.decoder.lexicon import NO_SPACE


@part
def least_worth(
    beam: NDArray[np.int32],
    mass: NDArray[np.float64],
    n: int,
    frame: NDArray[np.float32],
    blank: float,
    threshold: float,
) -> float:
    """The log-probability of a token at which a new prefix lies `threshold` behind the best.

    Nothing is lost by it: the best prefix is worth at least what it is if it only stays.
    """
    top, most = 0, 0.0
    for i in range(n):
        both = mass[i, IN_BLANK] + mass[i, IN_TOKEN]
        if both > most:
            top, most = i, both
    stay = most * blank
    if beam[top, LAST] != BLANK:
        stay += mass[top, IN_TOKEN] * np.exp(np.float64(frame[beam[top, LAST]]))
    return float(np.log(stay / most) - threshold)


@part
def pick(
    frame: NDArray[np.float32],
    beam: NDArray[np.int32],
    n: int,
    pruning: Pruning,
    least: float,
    spaces: NDArray[np.int32],
    picked: NDArray[np.int32],
    weights: NDArray[np.float64],
) -> tuple[int, int, int]:
    """The tokens of a frame that are looked at, and their probabilities in `weights`.

    Returns:
        Where three stretches of `picked` end: tokens inside words that may extend a prefix, tokens
        that begin with a space, and those that are only needed because a prefix ends in them.
    """
    bar = pruning.token_threshold
    if pruning.max_tokens < len(frame) - 1:
        bar = max(bar, _nth_largest(frame, pruning.max_tokens, weights))
    low = max(bar, least)
    inner_end = 0
    for token in range(1, len(frame)):
        if frame[token] >= low and spaces[token] == NO_SPACE and frame[token] > -np.inf:
            picked[inner_end] = token
            inner_end += 1
    gaps_end = inner_end
    for token in range(1, len(frame)):
        if spaces[token] != NO_SPACE and frame[token] >= bar and frame[token] > -np.inf:
            picked[gaps_end] = token
            gaps_end += 1
    for token in picked[:gaps_end]:
        weights[token] = np.exp(np.float64(frame[token]))
    picked_end = gaps_end
    for i in range(n):
        token = beam[i, LAST]
        if weights[token] == 0.0 and token != BLANK and frame[token] >= bar:
            weights[token] = np.exp(np.float64(frame[token]))
            if weights[token] > 0.0:
                picked[picked_end] = token
                picked_end += 1
    return inner_end, gaps_end, picked_end


@part
def _nth_largest(frame: NDArray[np.float32], n: int, scratch: NDArray[np.float64]) -> float:
    """The n-th largest log-probability of a frame's tokens; `scratch` is empty before and after."""
    count = 0
    for token in range(1, len(frame)):
        if count == n and frame[token] <= scratch[n - 1]:
            continue
        place = min(count, n - 1)
        count = min(count + 1, n)
        while place > 0 and scratch[place - 1] < frame[token]:
            scratch[place] = scratch[place - 1]
            place -= 1
        scratch[place] = frame[token]
    least = scratch[n - 1]
    scratch[:count] = 0.0
    return float(least)
