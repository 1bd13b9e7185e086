"""CTC prefix beam search as compiled loops over flat arrays.

A hypothesis is a prefix: a sequence of tokens, whatever its alignment. It carries the probability
of all its paths so far that end in a blank and of those that end in its last token (Hannun et al.
2014, arXiv:1408.2873). Everything is a product of probabilities and weights, relative to the best
hypothesis, so that the inner loops take neither logarithms nor exponentials.

Language model and word score are factors on the way: what the best continuation of a begun word
could be worth is paid at once, and settled where the word ends ("look-ahead"), so that the score
of a whole hypothesis does not depend on it.
"""

from typing import NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from asr.core.compiled import frozen_type, kernel, part, tuple_type
from asr.decoder.lexicon import NO_SPACE, NOWHERE, OUTSIDE, ROOT
from asr.language_model.ngram import FLAT_TYPE, Flat, walk

BLANK = 0
NO_MODEL, OF_WORDS, OF_TOKENS = range(3)
_NONE = -1

# Columns of a hypothesis: its prefix, last token, place in the lexicon with the edges that leave
# it, state of the language model, that after its word (_LATER: not asked yet), a hash of token,
# place and state; record of times and that of the frame to come; first child in the beam, next
# sibling, and how many of the same future are ahead of it.
_NODE, _LAST, _PLACE, _LOW, _HIGH, _STATE, _WORD_STATE, _FUTURE, _RECORD = range(9)
_NEXT_RECORD, _CHILD, _SIBLING, _AHEAD, _COLUMNS = range(9, 14)
_LATER = -2
# Its paths' probability by what they end in: a blank or the token, now and after this frame; what
# ending its word is worth (before the language model was asked: at most).
_IN_BLANK, _IN_TOKEN, _WORTH, _TO_BLANK, _TO_TOKEN = range(5)
# Columns of a prefix that is found: slot of its parent, token, place, state; probability, factor.
_FROM, _BY, _TO, _AFTER = range(4)
_MASS, _FACTOR = range(2)
# Columns of a node of the tree of prefixes: parent, token, first child, next sibling, slot in the
# beam.
_UP, _TOKEN, _DOWN, _BESIDE, _SLOT = range(5)


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
    beam, next_beam = np.empty((size, _COLUMNS), np.int32), np.empty((size, _COLUMNS), np.int32)
    mass, next_mass = np.empty((size, 5), np.float64), np.empty((size, 5), np.float64)
    new, new_mass = np.empty((1024, 4), np.int32), np.empty((1024, 2), np.float64)
    tree = np.empty((4096, 5), np.int32)
    paid = np.empty((4096, 1), np.float64)  # the factor on the way into a node of the tree
    records = np.empty((4096, 2), np.int32)  # an earlier record and a frame
    picked, weights = np.empty(vocabulary, np.int32), np.zeros(vocabulary)
    stamps = np.zeros(vocabulary + 1, np.int64)  # the last one counts
    scratch = np.empty(1024, np.float64)
    table = np.full(_power_of_two(2 * size), _NONE, np.int32)
    nbest, share = tokens.shape[1], np.exp(-pruning.beam_threshold)
    lift, of_words = np.exp(graph.most), scorer.unit == OF_WORDS

    for row in rows:
        _begin(beam, mass, tree, paid, graph.first, scorer.start)
        n, nodes, used, scale, settled = 1, 1, 0, 0.0, False
        for t in range(lengths[row]):
            frame = log_probs[row, t]
            if frame[BLANK] >= pruning.blank_skip:
                if not settled:
                    _settle(mass, n)
                    settled = True
                scale += frame[BLANK]
                continue
            settled = False
            blank = np.exp(np.float64(frame[BLANK]))
            least = _least_worth(beam, mass, n, frame, blank, pruning.beam_threshold) - graph.most
            few, fewer, all_ = _pick(frame, beam, n, pruning, least, graph.spaces, picked, weights)
            most = n * (fewer + 1)
            if most > len(new):
                new, new_mass = np.empty((2 * most, 4), np.int32), np.empty((2 * most, 2))
                scratch = np.empty(2 * most)
            if nodes + size > len(tree):
                tree, paid = _longer(tree, nodes + size), _longer(paid, nodes + size)
            if used + 2 * size > len(records):
                records = _longer(records, used + 2 * size)
            used = _stay(beam, mass, n, blank, weights, tree, paid,
                         records, used, t)  # fmt: skip
            m, best = _extend(beam, mass, n, picked[:few], picked[few:fewer], weights, stamps,
                              graph, scorer, lift, share, new, new_mass)  # fmt: skip
            floor, ties = _cut(mass, n, new_mass, m, best * share, size, scratch)
            n, nodes, used = _select(beam, mass, n, new, new_mass, m, floor, ties, next_beam,
                                     next_mass, tree, paid, nodes, records, used, t,
                                     graph, of_words)  # fmt: skip
            beam, next_beam, mass, next_mass = next_beam, beam, next_mass, mass
            if pruning.recombine and n > 1:
                n = _recombine(beam, mass, n, nbest, tree, table)
            if not 1e-30 < best < 1e30:
                scale += _rescale(mass, n, best)
            for token in picked[:all_]:
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
    tree[0, :] = _NONE
    tree[0, _SLOT], paid[0, 0] = 0, 1.0
    beam[0, _NODE], beam[0, _LAST], beam[0, _PLACE] = 0, BLANK, ROOT
    beam[0, _LOW], beam[0, _HIGH] = first[ROOT], first[ROOT + 1]
    beam[0, _STATE], beam[0, _WORD_STATE] = state, state
    beam[0, _FUTURE], beam[0, _RECORD] = 0, _NONE
    mass[0, _IN_BLANK], mass[0, _IN_TOKEN], mass[0, _WORTH] = 1.0, 0.0, 1.0


@part
def _settle(mass: NDArray[np.float64], n: int) -> None:
    """A frame that is surely blank: every path ends in a blank."""
    for i in range(n):
        mass[i, _IN_BLANK] += mass[i, _IN_TOKEN]
        mass[i, _IN_TOKEN] = 0.0


@part
def _least_worth(
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
        both = mass[i, _IN_BLANK] + mass[i, _IN_TOKEN]
        if both > most:
            top, most = i, both
    stay = most * blank
    if beam[top, _LAST] != BLANK:
        stay += mass[top, _IN_TOKEN] * np.exp(np.float64(frame[beam[top, _LAST]]))
    return float(np.log(stay / most) - threshold)


@part
def _pick(
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
    few = 0
    for token in range(1, len(frame)):
        if frame[token] >= low and spaces[token] == NO_SPACE and frame[token] > -np.inf:
            picked[few] = token
            few += 1
    fewer = few
    for token in range(1, len(frame)):
        if spaces[token] != NO_SPACE and frame[token] >= bar and frame[token] > -np.inf:
            picked[fewer] = token
            fewer += 1
    for token in picked[:fewer]:
        weights[token] = np.exp(np.float64(frame[token]))
    all_ = fewer
    for i in range(n):
        token = beam[i, _LAST]
        if weights[token] == 0.0 and token != BLANK and frame[token] >= bar:
            weights[token] = np.exp(np.float64(frame[token]))
            if weights[token] > 0.0:
                picked[all_] = token
                all_ += 1
    return few, fewer, all_


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


@part
def _stay(
    beam: NDArray[np.int32],
    mass: NDArray[np.float64],
    n: int,
    blank: float,
    weights: NDArray[np.float64],
    tree: NDArray[np.int32],
    paid: NDArray[np.float64],
    records: NDArray[np.int32],
    used: int,
    t: int,
) -> int:
    """Prefixes that stay what they are, with what their parents in the beam give to them."""
    for i in range(n):
        mass[i, _TO_BLANK] = (mass[i, _IN_BLANK] + mass[i, _IN_TOKEN]) * blank
        mass[i, _TO_TOKEN] = mass[i, _IN_TOKEN] * weights[beam[i, _LAST]]
        beam[i, _NEXT_RECORD] = beam[i, _RECORD]
        beam[i, _CHILD] = _NONE
    for j in range(n):
        node, token = beam[j, _NODE], beam[j, _LAST]
        parent = tree[node, _UP]
        i = _NONE if parent == _NONE else tree[parent, _SLOT]
        if i == _NONE:
            continue
        beam[j, _SIBLING], beam[i, _CHILD] = beam[i, _CHILD], j
        given = mass[i, _IN_BLANK] + (0.0 if token == beam[i, _LAST] else mass[i, _IN_TOKEN])
        given *= weights[token] * paid[node, 0]
        if given > mass[j, _TO_BLANK] + mass[j, _TO_TOKEN]:  # most of it begins here
            records[used, 0], records[used, 1] = beam[i, _RECORD], t
            beam[j, _NEXT_RECORD] = used
            used += 1
        mass[j, _TO_TOKEN] += given
    return used


@part
def _extend(
    beam: NDArray[np.int32],
    mass: NDArray[np.float64],
    n: int,
    inner: NDArray[np.int32],
    gaps: NDArray[np.int32],
    weights: NDArray[np.float64],
    stamps: NDArray[np.int64],
    graph: Graph,
    scorer: Scorer,
    lift: float,
    share: float,
    new: NDArray[np.int32],
    new_mass: NDArray[np.float64],
) -> tuple[int, float]:
    """Prefixes with one token more that are not in the beam, and the best probability of all.

    inner, gaps: the picked tokens, those that begin with a space apart.
    lift: what a step within a word is worth at most.
    share: of the best hypothesis' probability, below which nothing lives on.
    """
    # Each taking of an array out of a tuple is counted by numba: not in the loops.
    edge_tokens, targets, factors, leave = graph.tokens, graph.targets, graph.factors, graph.leave
    words, spaces, space_factors = graph.words, graph.spaces, graph.space_factors
    flat, token_numbers = scorer.flat, scorer.tokens
    closed = leave[ROOT] == 0.0
    best, top, top_gap = 0.0, 0.0, 0.0
    for i in range(n):
        best = max(best, mass[i, _TO_BLANK] + mass[i, _TO_TOKEN])
    for token in inner:
        top = max(top, weights[token] * lift)
    for token in gaps:
        top_gap = max(top_gap, weights[token] * space_factors[token])
    m, floor = 0, best * share
    for i in range(n):
        after_blank = mass[i, _IN_BLANK]
        after_any = after_blank + mass[i, _IN_TOKEN]
        useful = len(inner) if after_any * top >= floor else 0
        breaks = len(gaps) if after_any * top_gap * mass[i, _WORTH] >= floor else 0
        if useful + breaks == 0:
            continue
        place, last = beam[i, _PLACE], beam[i, _LAST]
        stamps[-1] += 1
        child = beam[i, _CHILD]
        while child != _NONE:
            stamps[beam[child, _LAST]] = stamps[-1]
            child = beam[child, _SIBLING]
        low, high = beam[i, _LOW], beam[i, _HIGH]
        # Of a closed lexicon the few edges are looked at rather than the many tokens.
        by_edge = closed and high - low < useful
        steps = high - low if by_edge else useful
        for k in range(steps + breaks):
            state = beam[i, _STATE]
            if k >= steps:
                token = gaps[k - steps]
                target = spaces[token]
                factor = space_factors[token] * mass[i, _WORTH]
            elif by_edge:
                token = edge_tokens[low + k]
                target, factor = targets[low + k], factors[low + k]
            else:
                token = inner[k]
                edge, bound = low, high
                while edge < bound:
                    middle = (edge + bound) >> 1
                    if edge_tokens[middle] < token:
                        edge = middle + 1
                    else:
                        bound = middle
                if edge < high and edge_tokens[edge] == token:
                    target, factor = targets[edge], factors[edge]
                else:
                    target, factor = np.int32(OUTSIDE), leave[place]
            if stamps[token] == stamps[-1] or target == NOWHERE:
                continue
            base = (after_blank if token == last else after_any) * weights[token]
            # A language model's scores are factors of at most 1: what fails without them, fails.
            if base * factor < floor or base * factor <= 0.0:
                continue
            if k >= steps:
                if beam[i, _WORD_STATE] == _LATER:
                    score, after = walk(flat, state, words[place])
                    mass[i, _WORTH] *= np.exp(scorer.weight * score)
                    beam[i, _WORD_STATE] = after
                    factor = space_factors[token] * mass[i, _WORTH]
                state = beam[i, _WORD_STATE]
            if scorer.unit == OF_TOKENS:
                score, after = walk(flat, state, token_numbers[token])
                factor *= np.exp(scorer.weight * score)
                state = np.int32(after)
            found = base * factor
            if found < floor or found <= 0.0:
                continue
            if found > best:
                best, floor = found, found * share
            new[m, _FROM], new[m, _BY], new[m, _TO], new[m, _AFTER] = i, token, target, state
            new_mass[m, _MASS], new_mass[m, _FACTOR] = found, factor
            m += 1
    return m, best


@part
def _cut(
    mass: NDArray[np.float64],
    n: int,
    new_mass: NDArray[np.float64],
    m: int,
    floor: float,
    size: int,
    scratch: NDArray[np.float64],
) -> tuple[float, int]:
    """The least probability of the `size` best, and how many of just that are among them."""
    if n + m <= size:
        return floor, size
    count = 0
    for i in range(n):
        total = mass[i, _TO_BLANK] + mass[i, _TO_TOKEN]
        if total >= floor:
            scratch[count] = total
            count += 1
    for i in range(m):
        if new_mass[i, _MASS] >= floor:
            scratch[count] = new_mass[i, _MASS]
            count += 1
    if count <= size:
        return floor, size
    # The size-th largest, by quickselect (Hoare 1961).
    low, high, wanted = 0, count - 1, size - 1
    while low < high:
        pivot = scratch[(low + high) >> 1]
        i, j = low, high
        while i <= j:
            while scratch[i] > pivot:
                i += 1
            while scratch[j] < pivot:
                j -= 1
            if i <= j:
                scratch[i], scratch[j] = scratch[j], scratch[i]
                i += 1
                j -= 1
        if wanted <= j:
            high = j
        elif wanted >= i:
            low = i
        else:
            break
    least, better = scratch[wanted], 0
    for i in range(count):
        better += scratch[i] > least
    return least, size - better


@part
def _select(
    beam: NDArray[np.int32],
    mass: NDArray[np.float64],
    n: int,
    new: NDArray[np.int32],
    new_mass: NDArray[np.float64],
    m: int,
    floor: float,
    ties: int,
    next_beam: NDArray[np.int32],
    next_mass: NDArray[np.float64],
    tree: NDArray[np.int32],
    paid: NDArray[np.float64],
    nodes: int,
    records: NDArray[np.int32],
    used: int,
    t: int,
    graph: Graph,
    of_words: bool,
) -> tuple[int, int, int]:
    """Move what lives on into the next beam; of equals those that were there first."""
    first, words, ends = graph.first, graph.words, graph.ends
    count = 0
    for i in range(n):
        node = beam[i, _NODE]
        total = mass[i, _TO_BLANK] + mass[i, _TO_TOKEN]
        if total == floor:
            ties -= 1
        if total < floor or total <= 0.0 or (total == floor and ties < 0):
            tree[node, _SLOT] = _NONE
            continue
        tree[node, _SLOT] = count
        for column in range(_RECORD):
            next_beam[count, column] = beam[i, column]
        next_beam[count, _RECORD] = beam[i, _NEXT_RECORD]
        next_mass[count, _IN_BLANK] = mass[i, _TO_BLANK]
        next_mass[count, _IN_TOKEN] = mass[i, _TO_TOKEN]
        next_mass[count, _WORTH] = mass[i, _WORTH]
        count += 1
    for k in range(m):
        if new_mass[k, _MASS] == floor:
            ties -= 1
        if new_mass[k, _MASS] < floor or (new_mass[k, _MASS] == floor and ties < 0):
            continue
        i, token = new[k, _FROM], new[k, _BY]
        parent = beam[i, _NODE]
        node = tree[parent, _DOWN]  # it may have been in the beam before
        while node != _NONE and tree[node, _TOKEN] != token:
            node = tree[node, _BESIDE]
        if node == _NONE:
            node = nodes
            nodes += 1
            tree[node, _UP], tree[node, _TOKEN], tree[node, _DOWN] = parent, token, _NONE
            tree[node, _BESIDE], tree[parent, _DOWN] = tree[parent, _DOWN], node
            paid[node, 0] = new_mass[k, _FACTOR]
        tree[node, _SLOT] = count
        records[used, 0], records[used, 1] = beam[i, _RECORD], t
        next_beam[count, _NODE], next_beam[count, _LAST] = node, token
        place, state = new[k, _TO], new[k, _AFTER]
        ending = place != ROOT and words[place] >= 0
        next_beam[count, _PLACE], next_beam[count, _STATE] = place, state
        next_beam[count, _LOW], next_beam[count, _HIGH] = first[place], first[place + 1]
        next_beam[count, _WORD_STATE] = _LATER if of_words and ending else state
        future = place * 73856093 ^ state * 19349663 ^ token * 83492791
        next_beam[count, _FUTURE] = (future ^ future >> 15) & 0x7FFFFFFF
        worth = 1.0 if place == ROOT else 0.0
        next_mass[count, _WORTH] = ends[place] if ending else worth
        next_beam[count, _RECORD] = used
        next_mass[count, _IN_BLANK], next_mass[count, _IN_TOKEN] = 0.0, new_mass[k, _MASS]
        used += 1
        count += 1
    return count, nodes, used


@part
def _recombine(
    beam: NDArray[np.int32],
    mass: NDArray[np.float64],
    n: int,
    nbest: int,
    tree: NDArray[np.int32],
    table: NDArray[np.int32],
) -> int:
    """Drop hypotheses that have the same future as `nbest` others that are nowhere behind them.

    table: of hypotheses by what their future depends on, empty before and after. Those of the
        same future are linked in the column _SIBLING.
    """
    size, twins = len(table), 0
    for i in range(n):
        place = beam[i, _FUTURE] & (size - 1)
        other = table[place]
        while other != _NONE and (
            beam[other, _PLACE] != beam[i, _PLACE]
            or beam[other, _STATE] != beam[i, _STATE]
            or beam[other, _LAST] != beam[i, _LAST]
        ):
            place = (place + 1) & (size - 1)
            other = table[place]
        twins += other != _NONE
        beam[i, _SIBLING], beam[i, _CHILD], beam[i, _AHEAD] = other, place, 0
        table[place] = i
    if twins >= nbest:
        for i in range(n):
            other = table[beam[i, _CHILD]]
            while other != _NONE:
                blank = mass[other, _IN_BLANK] - mass[i, _IN_BLANK]
                token = mass[other, _IN_TOKEN] - mass[i, _IN_TOKEN]
                # Of equals the first is ahead.
                if blank >= 0.0 and token >= 0.0 and (other < i or blank > 0.0 or token > 0.0):
                    beam[i, _AHEAD] += 1
                other = beam[other, _SIBLING]
    count = 0
    for i in range(n):
        table[beam[i, _CHILD]] = _NONE
        if beam[i, _AHEAD] >= nbest:
            tree[beam[i, _NODE], _SLOT] = _NONE
            continue
        if count != i:
            for column in range(_RECORD + 1):
                beam[count, column] = beam[i, column]
            for column in range(_WORTH + 1):
                mass[count, column] = mass[i, column]
            tree[beam[i, _NODE], _SLOT] = count
        count += 1
    return count


@part
def _rescale(mass: NDArray[np.float64], n: int, best: float) -> float:
    """Keep probabilities within the range of numbers; returns the logarithm of what is left out."""
    if best <= 0.0:
        return 0.0
    for i in range(n):
        mass[i, _IN_BLANK] /= best
        mass[i, _IN_TOKEN] /= best
    return float(np.log(best))


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
        place = beam[i, _PLACE]
        whole = whole or place == ROOT or graph.words[place] >= 0
    final = np.full(n, -np.inf)
    for i in range(n):
        place, state = beam[i, _PLACE], beam[i, _STATE]
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
        final[i] = np.log(mass[i, _IN_BLANK] + mass[i, _IN_TOKEN]) + scale + score
    sizes[:] = _NONE
    for rank in range(len(sizes)):
        best = _NONE
        for i in range(n):
            if final[i] > (-np.inf if best == _NONE else final[best]):
                best = i
        if best == _NONE:
            break
        scores[rank] = final[best]
        final[best] = -np.inf
        length, node = 0, beam[best, _NODE]
        while tree[node, _UP] != _NONE:
            length += 1
            node = tree[node, _UP]
        sizes[rank] = length
        node, record = beam[best, _NODE], beam[best, _RECORD]
        for u in range(length - 1, -1, -1):
            tokens[rank, u], frames[rank, u] = tree[node, _TOKEN], records[record, 1]
            node, record = tree[node, _UP], records[record, 0]
