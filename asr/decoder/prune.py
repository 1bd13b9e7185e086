"""One frame of a beam search, afterwards: which hypotheses live on, and in what order."""

import numpy as np
from numpy.typing import NDArray

from asr.core.compiled import part
from asr.decoder.hypotheses import (
    AFTER,
    AHEAD,
    BESIDE,
    BY,
    CHILD,
    DOWN,
    FACTOR,
    FROM,
    FUTURE,
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
    PLACE,
    RECORD,
    SIBLING,
    SLOT,
    STATE,
    TO,
    TO_BLANK,
    TO_TOKEN,
    TOKEN,
    UP,
    WORD_STATE,
    WORTH,
    Graph,
)
from asr.decoder.lexicon import ROOT


@part
def settle(mass: NDArray[np.float64], n: int) -> None:
    """A frame that is surely blank: every path ends in a blank."""
    for i in range(n):
        mass[i, IN_BLANK] += mass[i, IN_TOKEN]
        mass[i, IN_TOKEN] = 0.0


@part
def cut(
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
        total = mass[i, TO_BLANK] + mass[i, TO_TOKEN]
        if total >= floor:
            scratch[count] = total
            count += 1
    for i in range(m):
        if new_mass[i, MASS] >= floor:
            scratch[count] = new_mass[i, MASS]
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
def select(
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
        node = beam[i, NODE]
        total = mass[i, TO_BLANK] + mass[i, TO_TOKEN]
        if total == floor:
            ties -= 1
        if total < floor or total <= 0.0 or (total == floor and ties < 0):
            tree[node, SLOT] = NONE
            continue
        tree[node, SLOT] = count
        for column in range(RECORD):
            next_beam[count, column] = beam[i, column]
        next_beam[count, RECORD] = beam[i, NEXT_RECORD]
        next_mass[count, IN_BLANK] = mass[i, TO_BLANK]
        next_mass[count, IN_TOKEN] = mass[i, TO_TOKEN]
        next_mass[count, WORTH] = mass[i, WORTH]
        count += 1
    for k in range(m):
        if new_mass[k, MASS] == floor:
            ties -= 1
        if new_mass[k, MASS] < floor or (new_mass[k, MASS] == floor and ties < 0):
            continue
        i, token = new[k, FROM], new[k, BY]
        parent = beam[i, NODE]
        node = tree[parent, DOWN]  # it may have been in the beam before
        while node != NONE and tree[node, TOKEN] != token:
            node = tree[node, BESIDE]
        if node == NONE:
            node = nodes
            nodes += 1
            tree[node, UP], tree[node, TOKEN], tree[node, DOWN] = parent, token, NONE
            tree[node, BESIDE], tree[parent, DOWN] = tree[parent, DOWN], node
            paid[node, 0] = new_mass[k, FACTOR]
        tree[node, SLOT] = count
        records[used, 0], records[used, 1] = beam[i, RECORD], t
        next_beam[count, NODE], next_beam[count, LAST] = node, token
        place, state = new[k, TO], new[k, AFTER]
        ending = place != ROOT and words[place] >= 0
        next_beam[count, PLACE], next_beam[count, STATE] = place, state
        next_beam[count, LOW], next_beam[count, HIGH] = first[place], first[place + 1]
        next_beam[count, WORD_STATE] = LATER if of_words and ending else state
        future = place * 73856093 ^ state * 19349663 ^ token * 83492791
        next_beam[count, FUTURE] = (future ^ future >> 15) & 0x7FFFFFFF
        worth = 1.0 if place == ROOT else 0.0
        next_mass[count, WORTH] = ends[place] if ending else worth
        next_beam[count, RECORD] = used
        next_mass[count, IN_BLANK], next_mass[count, IN_TOKEN] = 0.0, new_mass[k, MASS]
        used += 1
        count += 1
    return count, nodes, used


@part
def recombine(
    beam: NDArray[np.int32],
    mass: NDArray[np.float64],
    n: int,
    nbest: int,
    tree: NDArray[np.int32],
    table: NDArray[np.int32],
) -> int:
    """Drop hypotheses that have the same future as `nbest` others that are nowhere behind them.

    A heuristic: a parent that is in the beam might still have brought one of them ahead.

    table: of hypotheses by what their future depends on, empty before and after. Those of the
        same future are linked in the column SIBLING.
    """
    size, twins = len(table), 0
    for i in range(n):
        place = beam[i, FUTURE] & (size - 1)
        other = table[place]
        while other != NONE and (
            beam[other, PLACE] != beam[i, PLACE]
            or beam[other, STATE] != beam[i, STATE]
            or beam[other, LAST] != beam[i, LAST]
        ):
            place = (place + 1) & (size - 1)
            other = table[place]
        twins += other != NONE
        beam[i, SIBLING], beam[i, CHILD], beam[i, AHEAD] = other, place, 0
        table[place] = i
    if twins >= nbest:
        for i in range(n):
            other = table[beam[i, CHILD]]
            while other != NONE:
                blank = mass[other, IN_BLANK] - mass[i, IN_BLANK]
                token = mass[other, IN_TOKEN] - mass[i, IN_TOKEN]
                # Of equals the first is ahead.
                if blank >= 0.0 and token >= 0.0 and (other < i or blank > 0.0 or token > 0.0):
                    beam[i, AHEAD] += 1
                other = beam[other, SIBLING]
    count = 0
    for i in range(n):
        table[beam[i, CHILD]] = NONE
        if beam[i, AHEAD] >= nbest:
            tree[beam[i, NODE], SLOT] = NONE
            continue
        if count != i:
            for column in range(RECORD + 1):
                beam[count, column] = beam[i, column]
            for column in range(WORTH + 1):
                mass[count, column] = mass[i, column]
            tree[beam[i, NODE], SLOT] = count
        count += 1
    return count


@part
def rescale(mass: NDArray[np.float64], n: int, best: float) -> float:
    """Keep probabilities within the range of numbers; returns the logarithm of what is left out."""
    if best <= 0.0:
        return 0.0
    for i in range(n):
        mass[i, IN_BLANK] /= best
        mass[i, IN_TOKEN] /= best
    return float(np.log(best))
