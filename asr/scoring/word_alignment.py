"""Which word was heard for which: the best alignment itself, where `error_rate` only counts.

It has the counts of `word_errors`: the fewest errors, and among those the most substitutions. Of
several such alignments that is taken which, read from the end, has a pair of words before a
deletion, and a deletion before an insertion.
"""

from collections import defaultdict
from collections.abc import Sequence
from itertools import count
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

_PAIR, _DELETION, _INSERTION = 0, 1, 2


class Place(NamedTuple):
    """A word (or character) of the reference beside what was heard for it; None: nothing there."""

    reference: str | None
    heard: str | None

    @property
    def is_right(self) -> bool:
        return self.reference == self.heard


def align_words(reference: str, hypothesis: str) -> list[Place]:
    """The places of two texts, in their order; words are what white space separates."""
    return _places(reference.split(), hypothesis.split())


def align_characters(reference: str, hypothesis: str) -> list[Place]:
    """The same of characters (code points), spaces included: the counts of `character_errors`."""
    return _places(list(reference), list(hypothesis))


def _places(said: Sequence[str], heard: Sequence[str]) -> list[Place]:
    numbers: defaultdict[str, int] = defaultdict(count().__next__)
    moves = _moves(*(np.array([numbers[w] for w in words], np.int32) for words in (said, heard)))
    left, right = iter(said), iter(heard)
    return [
        Place(
            None if move == _INSERTION else next(left),
            None if move == _DELETION else next(right),
        )
        for move in moves.tolist()
    ]


@numba.njit(cache=True)
def _moves(reference: NDArray[np.int32], hypothesis: NDArray[np.int32]) -> NDArray[np.int8]:
    rows, columns = len(reference), len(hypothesis)
    big = rows + columns + 1  # a substitution; an insertion or a deletion costs one more
    costs = np.empty((rows + 1, columns + 1), dtype=np.int64)
    for j in range(columns + 1):
        costs[0, j] = j * (big + 1)
    for i in range(rows):
        costs[i + 1, 0] = (i + 1) * (big + 1)
        for j in range(columns):
            pair = costs[i, j] + (0 if reference[i] == hypothesis[j] else big)
            costs[i + 1, j + 1] = min(pair, min(costs[i, j + 1], costs[i + 1, j]) + big + 1)
    moves = np.empty(rows + columns, dtype=np.int8)
    i, j, first = rows, columns, rows + columns
    while i or j:
        first -= 1
        wrong = 0 if i and j and reference[i - 1] == hypothesis[j - 1] else big
        if i and j and costs[i, j] == costs[i - 1, j - 1] + wrong:
            moves[first] = _PAIR
        elif i and costs[i, j] == costs[i - 1, j] + big + 1:
            moves[first] = _DELETION
        else:
            moves[first] = _INSERTION
        i -= moves[first] != _INSERTION
        j -= moves[first] != _DELETION
    return moves[first:]
