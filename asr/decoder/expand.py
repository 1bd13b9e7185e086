"""One frame of a beam search, forwards: what prefixes become, and which new ones there are."""

import numpy as np
from numpy.typing import NDArray

from asr.core.compiled import part
from asr.decoder.hypotheses import (
    AFTER,
    BY,
    CHILD,
    FACTOR,
    FROM,
    HIGH,
    IN_BLANK,
    IN_TOKEN,
    LAST,
    LATER,
    LOW,
    MASS,
    NEXT_RECORD,
    NODE,
    NONE,
    OF_TOKENS,
    PLACE,
    RECORD,
    SIBLING,
    SLOT,
    STATE,
    TO,
    TO_BLANK,
    TO_TOKEN,
    UP,
    WORD_STATE,
    WORTH,
    Graph,
    Scorer,
)
from asr.decoder.lexicon import NOWHERE, OUTSIDE, ROOT
from asr.language_model.flat import walk


@part
def stay(
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
        mass[i, TO_BLANK] = (mass[i, IN_BLANK] + mass[i, IN_TOKEN]) * blank
        mass[i, TO_TOKEN] = mass[i, IN_TOKEN] * weights[beam[i, LAST]]
        beam[i, NEXT_RECORD] = beam[i, RECORD]
        beam[i, CHILD] = NONE
    for j in range(n):
        node, token = beam[j, NODE], beam[j, LAST]
        parent = tree[node, UP]
        i = NONE if parent == NONE else tree[parent, SLOT]
        if i == NONE:
            continue
        beam[j, SIBLING], beam[i, CHILD] = beam[i, CHILD], j
        given = mass[i, IN_BLANK] + (0.0 if token == beam[i, LAST] else mass[i, IN_TOKEN])
        given *= weights[token] * paid[node, 0]
        if given > mass[j, TO_BLANK] + mass[j, TO_TOKEN]:  # most of it begins here
            records[used, 0], records[used, 1] = beam[i, RECORD], t
            beam[j, NEXT_RECORD] = used
            used += 1
        mass[j, TO_TOKEN] += given
    return used


@part
def extend(
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
        best = max(best, mass[i, TO_BLANK] + mass[i, TO_TOKEN])
    for token in inner:
        top = max(top, weights[token] * lift)
    for token in gaps:
        top_gap = max(top_gap, weights[token] * space_factors[token])
    m, floor = 0, best * share
    for i in range(n):
        after_blank = mass[i, IN_BLANK]
        after_any = after_blank + mass[i, IN_TOKEN]
        useful = len(inner) if after_any * top >= floor else 0
        breaks = len(gaps) if after_any * top_gap * mass[i, WORTH] >= floor else 0
        if useful + breaks == 0:
            continue
        place, last = beam[i, PLACE], beam[i, LAST]
        stamps[-1] += 1
        child = beam[i, CHILD]
        while child != NONE:
            stamps[beam[child, LAST]] = stamps[-1]
            child = beam[child, SIBLING]
        low, high = beam[i, LOW], beam[i, HIGH]
        # Of a closed lexicon the few edges are looked at rather than the many tokens.
        by_edge = closed and high - low < useful
        steps = high - low if by_edge else useful
        for k in range(steps + breaks):
            state = beam[i, STATE]
            if k >= steps:
                token = gaps[k - steps]
                target = spaces[token]
                factor = space_factors[token] * mass[i, WORTH]
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
                if beam[i, WORD_STATE] == LATER:
                    score, after = walk(flat, state, words[place])
                    mass[i, WORTH] *= np.exp(scorer.weight * score)
                    beam[i, WORD_STATE] = after
                    factor = space_factors[token] * mass[i, WORTH]
                state = beam[i, WORD_STATE]
            if scorer.unit == OF_TOKENS:
                score, after = walk(flat, state, token_numbers[token])
                factor *= np.exp(scorer.weight * score)
                state = np.int32(after)
            found = base * factor
            if found < floor or found <= 0.0:
                continue
            if found > best:
                best, floor = found, found * share
            new[m, FROM], new[m, BY], new[m, TO], new[m, AFTER] = i, token, target, state
            new_mass[m, MASS], new_mass[m, FACTOR] = found, factor
            m += 1
    return m, best
