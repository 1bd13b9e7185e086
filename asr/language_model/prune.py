"""Leaving out n-grams that matter least: A. Stolcke, "Entropy-based Pruning of Backoff Language
Models", DARPA Broadcast News Workshop, 1998.

An n-gram is left out if the model's perplexity would rise by less than a given part, measured by
the model itself: no text is needed. What it says of w after h is then what its shorter history
says. Kneser-Ney's lower orders are made to back off to, not to tell how frequent a history is, so
that strong pruning costs such a model more than others (Chelba et al., Interspeech 2010).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asr.language_model.count_table import END_ID, START_ID

_TINY = 1e-12  # a history that leaves less than this to others leaves nothing


class Level(NamedTuple):
    """The n-grams of one order: (M,) each.

    histories, ends: places of the first and of the last n-1 words in the lower order; -1 where
        these last words are not listed.
    words: the last word. probs: p(word | history).
    backoffs: the weight of shorter histories behind this n-gram; 1 where none continues it.
    """

    histories: NDArray[np.int32]
    words: NDArray[np.int32]
    ends: NDArray[np.int32]
    probs: NDArray[np.float64]
    backoffs: NDArray[np.float64]


def keep(levels: Sequence[Level], kept: Sequence[NDArray[np.bool_] | None]) -> list[Level]:
    """Only some n-grams of each order (None: all), whose histories are among them."""
    result: list[Level] = []
    places: NDArray[np.int32] | None = None  # of the lower order's n-grams, now
    for level, mask in zip(levels, kept, strict=True):
        left = level
        if mask is not None:
            h, w, ends, probs, backoffs = level
            left = Level(h[mask], w[mask], ends[mask], probs[mask], backoffs[mask])
        if places is not None:
            left = left._replace(histories=places[left.histories], ends=places[left.ends])
        places = None if mask is None else np.where(mask, np.cumsum(mask) - 1, -1).astype(np.int32)
        result.append(left)
    return result


def prune_by_entropy(levels: Sequence[Level], threshold: float) -> list[Level]:
    """Leave out n-grams, the highest order first, and weigh the back-offs anew.

    An n-gram stays if a longer one continues it, or if leaving out it alone would raise the
    perplexity by `threshold` (a part of 1) or more.
    """
    of_histories = _history_probs(levels)
    kept = [np.ones(len(level.words), bool) for level in levels]
    for n in range(len(levels) - 1, 0, -1):
        rise = _perplexity_rise(levels[n - 1], levels[n], of_histories[n - 1])
        kept[n] = rise >= threshold
        if n + 1 < len(levels):
            kept[n][levels[n + 1].histories[kept[n + 1]]] = True
    return _closed(levels, kept)


def _history_probs(levels: Sequence[Level]) -> list[NDArray[np.float64]]:
    """How probable each n-gram is in running text, by the chain rule; <s> is as likely as </s>."""
    first = levels[0].probs.copy()
    first[START_ID] = first[END_ID]
    result = [first]
    for level in levels[1:]:
        result.append(result[-1][level.histories] * level.probs)
    return result


def _perplexity_rise(
    lower: Level, level: Level, of_histories: NDArray[np.float64]
) -> NDArray[np.float64]:
    """By which part perplexity rises without each n-gram alone (Stolcke's equations 4 to 6)."""
    h = level.histories
    shorter = lower.probs[level.ends]
    size = len(lower.words)
    others = 1 - np.bincount(h, shorter, minlength=size)  # what h' leaves to unlisted words
    others = np.maximum(others, _TINY)[h]
    before = lower.backoffs[h]
    mass = before * others
    after = (mass + level.probs) / (others + shorter)
    entropy = level.probs * (np.log(level.probs) - np.log(shorter) - np.log(after))
    entropy -= mass * (np.log(after) - np.log(before))
    rise: NDArray[np.float64] = np.expm1(of_histories[h] * entropy)
    return rise


def _closed(levels: Sequence[Level], kept: Sequence[NDArray[np.bool_]]) -> list[Level]:
    """The model of what is kept: back-offs make the probabilities after each history sum to 1.

    An n-gram may be kept though its last n-1 words are not: these then have the probability that
    their own shorter history gives them, which is worked out for all n-grams, the lowest first.
    """
    result = [levels[0]]
    effective = levels[0].probs
    for level, mask in zip(levels[1:], kept[1:], strict=True):
        lower, h = result[-1], level.histories
        size = len(lower.words)
        shorter = effective[level.ends]
        touched = np.bincount(h, ~mask | (shorter != lower.probs[level.ends]), minlength=size) > 0
        continued = np.bincount(h, mask, minlength=size) > 0
        left = 1 - np.bincount(h, np.where(mask, level.probs, 0), minlength=size)
        others = 1 - np.bincount(h, np.where(mask, shorter, 0), minlength=size)
        weighed = np.maximum(left, _TINY) / np.maximum(others, _TINY)
        backoffs = np.where(touched, np.where(continued, weighed, 1), lower.backoffs)
        result[-1] = lower._replace(backoffs=backoffs)
        effective = np.where(mask, level.probs, backoffs[h] * shorter)
        result.append(level)
    return keep(result, kept)
