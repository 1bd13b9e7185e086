"""Random back-off models for tests: any order, histories always listed, some entries missing."""

import itertools
from collections.abc import Sequence

import numpy as np

from asr.language_model.base import END, START, UNKNOWN, Arpa, Grams


def random_arpa(words: Sequence[str], order: int, seed: int, *, unknown: bool = True) -> Arpa:
    """A model of some words; its probabilities are arbitrary and need not sum to one."""
    rng = np.random.default_rng([seed])
    vocabulary = [*([UNKNOWN] if unknown else []), START, END, *words]
    middle = [i for i, w in enumerate(vocabulary) if w != UNKNOWN]
    listed: list[list[tuple[int, ...]]] = [[(i,) for i in range(len(vocabulary))]]
    for _ in range(1, order):
        longer = [
            (*gram, word)
            for gram, word in itertools.product(listed[-1], middle)
            if vocabulary[word] != START
            and vocabulary[gram[-1]] not in (END, UNKNOWN)
            and rng.random() < 0.5
        ]
        listed.append([longer[i] for i in rng.permutation(len(longer))])
    return Arpa(vocabulary, [_grams(grams, n, rng) for n, grams in enumerate(listed, start=1)])


def _grams(grams: list[tuple[int, ...]], order: int, rng: np.random.Generator) -> Grams:
    count = len(grams)
    backoffs = rng.normal(-0.3, 0.3, count) * (rng.random(count) < 0.8)
    return Grams(
        np.array(grams, np.int32).reshape(count, order),
        rng.uniform(-3, -0.1, count).astype(np.float32),
        backoffs.astype(np.float32),
    )
