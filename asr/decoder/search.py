"""CTC prefix beam search as compiled loops over flat arrays.

A hypothesis is a prefix: a sequence of tokens, whatever its alignment. It carries the probability
of all its paths so far that end in a blank and of those that end in its last token (Hannun et al.
2014, arXiv:1408.2873). Everything is a product of probabilities and weights, relative to the best
hypothesis, so that the inner loops take neither logarithms nor exponentials.

Language model and word score are factors on the way: what the best continuation of a begun word
could be worth is paid at once, and settled where the word ends ("look-ahead"), so that the score
of a whole hypothesis does not depend on it.
"""

import numpy as np
from numba import types
from numpy.typing import NDArray

from asr.core.compiled import frozen_type, kernel, part, tuple_type
from asr.decoder.expand import extend, stay
from asr.decoder.hypotheses import (
    BLANK,
    COLUMNS,
    FUTURE,
    HIGH,
    IN_BLANK,
    IN_TOKEN,
    LAST,
    LOW,
    NO_MODEL,
    NODE,
    NONE,
    OF_WORDS,
    PLACE,
    RECORD,
    SLOT,
    STATE,
    TOKEN,
    UP,
    WORD_STATE,
    WORTH,
    Graph,
    Pruning,
    Scorer,
)
from asr.decoder.lexicon import ROOT
from asr.decoder.pick import least_worth, pick
from asr.decoder.prune import cut, recombine, rescale, select, settle
from asr.language_model.flat import FLAT_TYPE, walk

_INTS, _FLOATS = frozen_type(types.int32), frozen_type(types.float64)
_INT, _FLOAT = types.int64, types.float64
SIGNATURE = (
    frozen_type(types.float32, 3),
    *(types.int64[::1], types.int64[::1]),
    tuple_type(Graph, *[_INTS] * 5, *[_FLOATS] * 4, _FLOAT),
    tuple_type(Scorer, FLAT_TYPE, _INT, _FLOAT, _INT, _INT, _INT, _INTS),
    tuple_type(Pruning, _INT, _FLOAT, _INT, _FLOAT, _FLOAT, types.boolean),
    *(types.int32[:, :, ::1], types.int32[:, :, ::1], types.int32[:, ::1], types.float64[:, ::1]),
)


@kernel
def search(
    log_probs: NDArray[np.float32],  # (B, T, V)
    lengths: NDArray[np.int64],  # (B,)
    rows: NDArray[np.int64],  # the utterances to decode
    graph: Graph,
    scorer: Scorer,
    pruning: Pruning,
    tokens: NDArray[np.int32],  # out: (B, nbest, T)
    frames: NDArray[np.int32],  # out: (B, nbest, T), where each token begins
    sizes: NDArray[np.int32],  # out: (B, nbest), tokens of each hypothesis; -1: there is none
    scores: NDArray[np.float64],  # out: (B, nbest), nats, descending
) -> None:
    """Decode some utterances of a batch, one after the other."""
    size, vocabulary = pruning.beam_size, log_probs.shape[2]
    beam, next_beam = np.empty((size, COLUMNS), np.int32), np.empty((size, COLUMNS), np.int32)
    mass, next_mass = np.empty((size, 5), np.float64), np.empty((size, 5), np.float64)
    new, new_mass = np.empty((1024, 4), np.int32), np.empty((1024, 2), np.float64)
    tree = np.empty((4096, 5), np.int32)
    paid = np.empty((4096, 1), np.float64)  # the factor on the way into a node of the tree
    records = np.empty((4096, 2), np.int32)  # an earlier record and a frame
    picked, weights = np.empty(vocabulary, np.int32), np.zeros(vocabulary)
    stamps = np.zeros(vocabulary + 1, np.int64)  # the last one counts
    scratch = np.empty(1024, np.float64)
    table = np.full(_power_of_two(2 * size), NONE, np.int32)
    nbest, share = tokens.shape[1], np.exp(-pruning.beam_threshold)
    lift, of_words = np.exp(graph.most), scorer.unit == OF_WORDS

    for row in rows:
        _begin(beam, mass, tree, paid, graph.first, scorer.start)
        n, nodes, used, scale, settled = 1, 1, 0, 0.0, False
        for t in range(lengths[row]):
            frame = log_probs[row, t]
            if frame[BLANK] >= pruning.blank_skip:
                if not settled:
                    settle(mass, n)
                    settled = True
                scale += frame[BLANK]
                continue
            settled = False
            blank = np.exp(np.float64(frame[BLANK]))
            least = least_worth(beam, mass, n, frame, blank, pruning.beam_threshold) - graph.most
            inner_end, gaps_end, picked_end = pick(
                frame, beam, n, pruning, least, graph.spaces, picked, weights
            )
            most = n * (gaps_end + 1)
            if most > len(new):
                new, new_mass = np.empty((2 * most, 4), np.int32), np.empty((2 * most, 2))
                scratch = np.empty(2 * most)
            if nodes + size > len(tree):
                tree, paid = _longer(tree, nodes + size), _longer(paid, nodes + size)
            if used + 2 * size > len(records):
                records = _longer(records, used + 2 * size)
            used = stay(beam, mass, n, blank, weights, tree, paid,
                         records, used, t)  # fmt: skip
            inner, gaps = picked[:inner_end], picked[inner_end:gaps_end]
            m, best = extend(beam, mass, n, inner, gaps, weights, stamps, graph, scorer, lift,
                             share, new, new_mass)  # fmt: skip
            floor, ties = cut(mass, n, new_mass, m, best * share, size, scratch)
            n, nodes, used = select(beam, mass, n, new, new_mass, m, floor, ties, next_beam,
                                     next_mass, tree, paid, nodes, records, used, t,
                                     graph, of_words)  # fmt: skip
            beam, next_beam, mass, next_mass = next_beam, beam, next_mass, mass
            if pruning.recombine and n > 1:
                n = recombine(beam, mass, n, nbest, tree, table)
            if not 1e-30 < best < 1e30:
                scale += rescale(mass, n, best)
            for token in picked[:picked_end]:
                weights[token] = 0.0
            if n == 0:
                break
        _finish(beam, mass, n, graph, scorer, tree, records, scale, tokens[row], frames[row],
                sizes[row], scores[row])  # fmt: skip


@kernel
def _power_of_two(least: int) -> int:
    size = 16
    while size < least:
        size *= 2
    return size


@kernel
def _longer(array: NDArray[np.generic], least: int) -> NDArray[np.generic]:
    longer = np.empty((2 * least, array.shape[1]), array.dtype)
    longer[: len(array)] = array
    return longer


@part
def _begin(
    beam: NDArray[np.int32],
    mass: NDArray[np.float64],
    tree: NDArray[np.int32],
    paid: NDArray[np.float64],
    first: NDArray[np.int32],
    state: int,
) -> None:
    """The empty prefix alone."""
    tree[0, :] = NONE
    tree[0, SLOT], paid[0, 0] = 0, 1.0
    beam[0, NODE], beam[0, LAST], beam[0, PLACE] = 0, BLANK, ROOT
    beam[0, LOW], beam[0, HIGH] = first[ROOT], first[ROOT + 1]
    beam[0, STATE], beam[0, WORD_STATE] = state, state
    beam[0, FUTURE], beam[0, RECORD] = 0, NONE
    mass[0, IN_BLANK], mass[0, IN_TOKEN], mass[0, WORTH] = 1.0, 0.0, 1.0


@kernel
def _finish(
    beam: NDArray[np.int32],
    mass: NDArray[np.float64],
    n: int,
    graph: Graph,
    scorer: Scorer,
    tree: NDArray[np.int32],
    records: NDArray[np.int32],
    scale: float,
    tokens: NDArray[np.int32],
    frames: NDArray[np.int32],
    sizes: NDArray[np.int32],
    scores: NDArray[np.float64],
) -> None:
    """End the last word and the sentence, and write the best hypotheses down.

    Words that break off are given only where no hypothesis ends with a whole one.
    """
    whole = False
    for i in range(n):
        place = beam[i, PLACE]
        whole = whole or place == ROOT or graph.words[place] >= 0
    final = np.full(n, -np.inf)
    for i in range(n):
        place, state = beam[i, PLACE], beam[i, STATE]
        if whole and place != ROOT and graph.words[place] < 0:
            continue
        score = 0.0
        if place != ROOT:
            score += np.log(graph.ends[place])
            if scorer.unit == OF_WORDS:
                word = graph.words[place] if whole else scorer.unknown
                paid, after = walk(scorer.flat, state, word)
                score += scorer.weight * paid
                state = np.int32(after)
        if scorer.unit != NO_MODEL and scorer.end >= 0:
            score += scorer.weight * walk(scorer.flat, state, scorer.end)[0]
        final[i] = np.log(mass[i, IN_BLANK] + mass[i, IN_TOKEN]) + scale + score
    sizes[:] = NONE
    for rank in range(len(sizes)):
        best = NONE
        for i in range(n):
            if final[i] > (-np.inf if best == NONE else final[best]):
                best = i
        if best == NONE:
            break
        scores[rank] = final[best]
        final[best] = -np.inf
        length, node = 0, beam[best, NODE]
        while tree[node, UP] != NONE:
            length += 1
            node = tree[node, UP]
        sizes[rank] = length
        node, record = beam[best, NODE], beam[best, RECORD]
        for u in range(length - 1, -1, -1):
            tokens[rank, u], frames[rank, u] = tree[node, TOKEN], records[record, 1]
            node, record = tree[node, UP], records[record, 0]
