"""An n-gram model as flat arrays, and the walk over its states, which decoders compile in.

A state is a history that the model knows; a word leads to the next state. What a history does not
list is found in its shorter histories, at the price of their back-off weights (Katz 1987). States
are as short as can be: a history that no longer n-gram continues is the same state as its end, so
that a decoder sees that two hypotheses have the same future.
"""

from typing import NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from asr.core.compiled import frozen, frozen_type, part, tuple_type

ROOT = -1  # the state of the empty history


class Flat(NamedTuple):
    """The arrays. A node is an n-gram; those of order 1 come first: node w is the word w.

    first: (S + 1,) int32, the nodes first[s] .. first[s + 1] continue the history of state s.
    words: (M,) int32, each node's last word, ascending within a history.
    log_probs: (M,) float32, natural logarithms.
    states: (M,) int32, the state after a node's n-gram, or ROOT.
    backoffs: (S,) float32, natural logarithms.
    shorter: (S,) int32, the state of a history without its first word, or ROOT.
    """

    first: NDArray[np.int32]
    words: NDArray[np.int32]
    log_probs: NDArray[np.float32]
    states: NDArray[np.int32]
    backoffs: NDArray[np.float32]
    shorter: NDArray[np.int32]


FLAT_TYPE = tuple_type(
    Flat,
    *(frozen_type(types.int32), frozen_type(types.int32), frozen_type(types.float32)),
    *(frozen_type(types.int32), frozen_type(types.float32), frozen_type(types.int32)),
)
_INTS, _FLOATS = frozen(np.zeros(1, np.int32)), frozen(np.zeros(1, np.float32))
EMPTY = Flat(_INTS, _INTS, _FLOATS, _INTS, _FLOATS, _INTS)  # stands where no model is


@part
def walk(flat: Flat, state: int, word: int) -> tuple[float, int]:
    """Log-probability (nats) of a word after a state, and the state that follows."""
    paid = 0.0
    while state != ROOT:
        low, high = flat.first[state], flat.first[state + 1]
        end = high
        while low < high:
            middle = (low + high) >> 1
            if flat.words[middle] < word:
                low = middle + 1
            else:
                high = middle
        if low < end and flat.words[low] == word:
            return paid + flat.log_probs[low], flat.states[low]
        paid += flat.backoffs[state]
        state = flat.shorter[state]
    return paid + flat.log_probs[word], flat.states[word]
