"""What the parts of a language model exchange: n-grams as ARPA files list them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LN10 = float(np.log(10.0))
START, END, UNKNOWN = "<s>", "</s>", "<unk>"


class Grams(NamedTuple):
    """All n-grams of one order n, in any order.

    words: (M, n) int32, places in the vocabulary.
    log10_probs, log10_backoffs: (M,) float32, base-10 logarithms; a back-off is 0 where the file
        gives none.
    """

    words: NDArray[np.int32]
    log10_probs: NDArray[np.float32]
    log10_backoffs: NDArray[np.float32]


class Arpa(NamedTuple):
    """An n-gram back-off model, as an ARPA file lists it.

    vocabulary: the words, in the order of the unigrams: orders[0].words is 0, 1, 2, ...
    orders: orders[n - 1] holds the n-grams.
    """

    vocabulary: list[str]
    orders: list[Grams]
