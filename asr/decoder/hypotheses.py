"""What a beam search works on: the graph, the scorer, and arrays by their columns.

Names in capitals are columns; a row is a hypothesis, a prefix that was found, or a node.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asr.language_model.flat import Flat

BLANK = 0
NO_MODEL, OF_WORDS, OF_TOKENS = range(3)
NONE = -1

# Columns of a hypothesis: its prefix, last token, place in the lexicon with the edges that leave
# it, state of the language model, that after its word (LATER: not asked yet), a hash of token,
# place and state; record of times and that of the frame to come; first child in the beam, next
# sibling, and how many of the same future are ahead of it.
NODE, LAST, PLACE, LOW, HIGH, STATE, WORD_STATE, FUTURE, RECORD = range(9)
NEXT_RECORD, CHILD, SIBLING, AHEAD, COLUMNS = range(9, 14)
LATER = -2
# Its paths' probability by what they end in: a blank or the token, now and after this frame; what
# ending its word is worth (before the language model was asked: at most).
IN_BLANK, IN_TOKEN, WORTH, TO_BLANK, TO_TOKEN = range(5)
# Columns of a prefix that is found: slot of its parent, token, place, state; probability, factor.
FROM, BY, TO, AFTER = range(4)
MASS, FACTOR = range(2)
# Columns of a node of the tree of prefixes: parent, token, first child, next sibling, slot in the
# beam.
UP, TOKEN, DOWN, BESIDE, SLOT = range(5)


class Graph(NamedTuple):
    """What may follow what, and for how much. N nodes, E edges, V tokens.

    first, tokens, targets, spaces: as `Lexicon`'s, with OUTSIDE where an open vocabulary leads.
    words: (N,) the language model's number of the word that ends in a node; -1: none may.
    factors: (E,) of each edge.  leave: (N,) of leaving the lexicon; 0 where it is closed.
    space_factors: (V,) of the rest of a token that begins with a space.
    ends: (N,) of ending a word, without its score.
    most: nats that no step within a word exceeds.
    """

    first: NDArray[np.int32]
    tokens: NDArray[np.int32]
    targets: NDArray[np.int32]
    words: NDArray[np.int32]
    spaces: NDArray[np.int32]
    factors: NDArray[np.float64]
    leave: NDArray[np.float64]
    space_factors: NDArray[np.float64]
    ends: NDArray[np.float64]
    most: float


class Scorer(NamedTuple):
    """The language model. unit: NO_MODEL, OF_WORDS or OF_TOKENS.

    start, unknown, end: state and numbers as of `NGram`; end is -1 where sentences have no end.
    tokens: (V,) the model's number of each token.
    """

    flat: Flat
    unit: int
    weight: float
    start: int
    unknown: int
    end: int
    tokens: NDArray[np.int32]


class Pruning(NamedTuple):
    """Which hypotheses live on; see `Beam`. log_probs in nats."""

    beam_size: int
    beam_threshold: float
    max_tokens: int
    token_threshold: float
    blank_skip: float
    recombine: bool
