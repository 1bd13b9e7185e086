"""From listed n-grams to flat arrays: sorted by history, with the states that they lead to."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from asr.language_model.base import LN10, Arpa, Grams
from asr.language_model.flat import ROOT, Flat

_LEAST = -1e4  # nats; -inf in a file: impossible all the same, and a weight of 0 makes it 0


def arrange(arpa: Arpa) -> Flat:
    """The arrays of a model.

    Raises:
        ValueError: an n-gram's history is not listed.
    """
    sizes = [len(grams.words) for grams in arpa.orders]
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    count, states = int(offsets[-1]), int(offsets[-2])
    words, log_probs = np.empty(count, np.int32), np.empty(count, np.float32)
    backoffs = np.zeros(count, np.float32)
    ends = np.full(count, ROOT, np.int32)  # each n-gram without its first word
    first = np.zeros(states + 1, np.int32)
    first[0] = sizes[0]
    keys: list[NDArray[np.int64]] = []  # of each order: (history's node, word), ascending
    for order, grams in enumerate(arpa.orders, start=1):
        here = slice(offsets[order - 1], offsets[order])
        if order == 1:
            histories = np.full(sizes[0], ROOT)
        else:
            histories = grams.words[:, 0].astype(np.int64)
            for column in range(1, order - 1):
                histories = _find(keys, offsets, histories, grams.words[:, column])
                _check_histories(arpa, grams, histories, order)
        key = (histories << 32) + grams.words[:, -1]
        by_key = np.argsort(key, kind="stable")
        keys.append(key[by_key])
        words[here] = grams.words[by_key, -1]
        log_probs[here] = np.maximum(grams.log10_probs[by_key] * LN10, _LEAST)
        backoffs[here] = np.maximum(grams.log10_backoffs[by_key] * LN10, _LEAST)
        if order > 1:
            histories = histories[by_key]
            ends[here] = _longest_ends(keys, offsets, ends, histories, words[here])
            level = slice(offsets[order - 2], offsets[order - 1])
            per_history = np.bincount(histories - level.start, minlength=sizes[order - 2])
            first[level.start + 1 : level.stop + 1] = offsets[order - 1] + np.cumsum(per_history)
    return Flat(first, words, log_probs, _states(first, backoffs, ends, offsets),
                backoffs[:states],
                ends[:states])  # fmt: skip


def _find(
    keys: list[NDArray[np.int64]],
    offsets: NDArray[np.int64],
    histories: NDArray[np.int64],
    words: NDArray[np.int32],
) -> NDArray[np.int64]:
    """The nodes that continue histories by words; ROOT where there is none.

    A history of ROOT is continued by the word itself. Others may be of different orders.
    """
    found = np.where(histories == ROOT, words, ROOT).astype(np.int64)
    wanted = (histories << 32) + words
    for order in range(2, len(keys) + 1):
        at = np.flatnonzero((histories >= offsets[order - 2]) & (histories < offsets[order - 1]))
        if len(at) == 0 or len(keys[order - 1]) == 0:
            continue
        place = np.searchsorted(keys[order - 1], wanted[at])
        place = np.minimum(place, len(keys[order - 1]) - 1)
        hit = keys[order - 1][place] == wanted[at]
        found[at[hit]] = offsets[order - 1] + place[hit]
    return found


def _check_histories(arpa: Arpa, grams: Grams, histories: NDArray[np.int64], order: int) -> None:
    if (missing := np.flatnonzero(histories == ROOT)).size:
        gram = [arpa.vocabulary[w] for w in grams.words[missing[0]]]
        raise ValueError(
            f"the {order}-gram {' '.join(gram)!r} continues {' '.join(gram[:-1])!r}, which the "
            f"model does not list with a back-off weight ({missing.size} {order}-grams are so); "
            "it was cut or damaged: make it again"
        )


def _longest_ends(
    keys: list[NDArray[np.int64]],
    offsets: NDArray[np.int64],
    ends: NDArray[np.int32],
    histories: NDArray[np.int64],
    words: NDArray[np.int32],
) -> NDArray[np.int64]:
    """Of each n-gram the longest listed n-gram that ends it."""
    shorter = ends[histories].astype(np.int64)
    found = _find(keys, offsets, shorter, words)
    while (open_ := np.flatnonzero((found == ROOT) & (shorter != ROOT))).size:
        shorter[open_] = ends[shorter[open_]]
        found[open_] = _find(keys, offsets, shorter[open_], words[open_])
    return found


def _states(
    first: NDArray[np.int32],
    backoffs: NDArray[np.float32],
    ends: NDArray[np.int32],
    offsets: NDArray[np.int64],
) -> NDArray[np.int32]:
    """The shortest history that predicts as each n-gram does."""
    states = np.arange(len(ends), dtype=np.int32)
    dull = np.ones(len(ends), dtype=bool)  # n-grams of the highest order are no histories
    dull[: len(first) - 1] = (np.diff(first) == 0) & (backoffs[: len(first) - 1] == 0)
    for start, stop in pairwise(offsets):  # ends are of lower orders
        own = start + np.flatnonzero(dull[start:stop])
        states[own] = np.where(ends[own] == ROOT, ROOT, states[ends[own]])
    return states
