"""Interpolated modified Kneser-Ney smoothing: counts -> an n-gram model.

S. F. Chen and J. Goodman, "An Empirical Study of Smoothing Techniques for Language Modeling",
TR-10-98, Harvard, 1998; as KenLM's lmplz does it: K. Heafield et al., "Scalable Modified
Kneser-Ney Language Model Estimation", ACL 2013.

The highest order, and n-grams that start with <s>, have their counts; the others the number of
different words that they follow ("adjusted" counts a). With discounts D and the history h' that
lacks h's first word,

    p(w | h) = (a(h w) - D(a(h w))) / a(h .) + backoff(h) p(w | h')
    backoff(h) = sum over w of D(a(h w)) / a(h .)

down to the uniform distribution over all words but <s>. An n-gram that a cut-off removes gives
all of its count to the back-off.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asr.language_model.base import Arpa, Grams
from asr.language_model.count_table import START_ID, Counted
from asr.language_model.counts import Counts
from asr.language_model.prune import Level, keep, prune_by_entropy


class Discounts(NamedTuple):
    """What n-grams of an order lose that have an adjusted count of 1, 2, and 3 or more.

    counts_of_counts: how many have an adjusted count of 1, 2, 3, 4. fallback: whether these could
        not give discounts, so that others were taken.
    """

    one: float
    two: float
    more: float
    counts_of_counts: tuple[int, int, int, int]
    fallback: bool


class Estimate(NamedTuple):
    """A model and how it came about: by order, discounts and n-grams found, left and pruned."""

    arpa: Arpa
    discounts: list[Discounts]
    found: list[int]
    after_cutoffs: list[int]
    kept: list[int]


def estimate(
    counts: Counts,
    *,
    prune: Sequence[int] = (),
    entropy_threshold: float = 0.0,
    discount_fallback: Sequence[float] | None = None,
) -> Estimate:
    """Estimate a model.

    Args:
        counts: what the text holds.
        prune: by order, n-grams that occur so often or less are left out; the last number holds
            for higher orders too. They ascend, and start with 0 (`min_count` limits words).
        entropy_threshold: n-grams without which the model's perplexity rises by a smaller part
            are left out; 0 keeps all. 1e-8 to 1e-7 are usual.
        discount_fallback: discounts where a small text's counts of counts give none: for counts
            of 1, 2, and 3 or more.

    Raises:
        ValueError: an option makes no sense, or there are no discounts.
    """
    orders = len(counts.orders)
    cutoffs = _cutoffs(prune, orders)
    if not 0 <= entropy_threshold < 1:
        raise ValueError(f"entropy_threshold={entropy_threshold} must be 0 or a small part of 1")
    adjusted = adjusted_counts(counts.orders)
    discounts = [
        _discounts(order, a, discount_fallback) for order, a in enumerate(adjusted, start=1)
    ]
    levels: list[Level] = []
    lower = np.full(1, 1 / (len(counts.vocabulary) - 1))  # of any word but <s>
    for counted, a, d, cutoff in zip(counts.orders, adjusted, discounts, cutoffs, strict=True):
        probs, backoffs = _interpolate(counted, a, d, cutoff, lower)
        if levels:
            levels[-1] = levels[-1]._replace(backoffs=backoffs)
        else:
            probs[START_ID] = 1  # is never predicted; lmplz writes it so
        levels.append(Level(*counted[:3], probs, np.ones(len(probs))))
        lower = probs
    found = [len(level.words) for level in levels]
    if any(cutoffs):
        pairs = zip(counts.orders, cutoffs, strict=True)
        levels = keep(levels, [c.counts > cutoff if cutoff else None for c, cutoff in pairs])
    after_cutoffs = [len(level.words) for level in levels]
    if entropy_threshold > 0:
        levels = prune_by_entropy(levels, entropy_threshold)
    arpa = Arpa(counts.vocabulary, _listed(levels))
    return Estimate(arpa, discounts, found, after_cutoffs, [len(level.words) for level in levels])


def adjusted_counts(orders: Sequence[Counted]) -> list[NDArray[np.int64]]:
    """Adjusted counts (M,) of each order's n-grams."""
    adjusted = []
    starts = orders[0].words == START_ID
    for order, counted in enumerate(orders, start=1):
        a = counted.counts
        if order < len(orders):
            a = np.bincount(orders[order].ends, minlength=len(counted.words))
            a = np.where(starts, counted.counts, a)
            starts = starts[orders[order].histories]
        if order == 1:
            a = np.where(counted.words == START_ID, 0, a)
        adjusted.append(a)
    return adjusted


def _cutoffs(prune: Sequence[int], orders: int) -> list[int]:
    if len(prune) > orders:
        raise ValueError(f"prune={list(prune)} has more numbers than the {orders} orders")
    cutoffs = [*prune, *[prune[-1] if prune else 0] * (orders - len(prune))]
    if cutoffs[0] != 0 or cutoffs != sorted(cutoffs):
        raise ValueError(
            f"prune={list(prune)}: the numbers start with 0 for words (min_count limits these) and "
            "do not fall, such as [0,0,1]"
        )
    return cutoffs


def _discounts(
    order: int, adjusted: NDArray[np.int64], fallback: Sequence[float] | None
) -> Discounts:
    """Chen and Goodman's equation 26."""
    n1, n2, n3, n4 = (int(np.count_nonzero(adjusted == k)) for k in (1, 2, 3, 4))
    if n1 and n2 and n3:
        y = n1 / (n1 + 2 * n2)
        found = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
        if all(0 < d <= k for k, d in enumerate(found, start=1)):
            return Discounts(*found, (n1, n2, n3, n4), fallback=False)
    if fallback is None:
        raise ValueError(
            f"the {order}-grams give no discounts: {n1}, {n2}, {n3} and {n4} of them have an "
            "adjusted count of 1, 2, 3 and 4. The text is small or artificial: take more of it, a "
            "lower order, or set discount_fallback=[0.5,1,1.5]"
        )
    if len(fallback) != 3 or not all(0 < d <= k for k, d in enumerate(fallback, start=1)):
        raise ValueError(
            f"discount_fallback={list(fallback)} must be three numbers above 0, the first at most "
            "1, the second 2, the third 3"
        )
    one, two, more = fallback
    return Discounts(one, two, more, (n1, n2, n3, n4), fallback=True)


def _interpolate(
    counted: Counted,
    adjusted: NDArray[np.int64],
    discounts: Discounts,
    cutoff: int,
    lower: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Probabilities (M,) of an order, and the back-off weights of the lower order's n-grams."""
    remaining = np.where(counted.counts > cutoff, adjusted, 0)
    lost = np.array([0, *discounts[:3]])[np.minimum(remaining, 3)]
    size = len(lower)
    totals = np.bincount(counted.histories, adjusted, minlength=size)
    freed = np.bincount(counted.histories, adjusted - remaining + lost, minlength=size)
    backoffs = np.divide(freed, totals, out=np.ones(size), where=totals > 0)
    probs = (remaining - lost) / totals[counted.histories]
    probs += backoffs[counted.histories] * lower[counted.ends]
    return probs, backoffs


def _listed(levels: Sequence[Level]) -> list[Grams]:
    """N-grams as ARPA files list them."""
    orders: list[Grams] = []
    for level in levels:
        words = level.words[:, None]
        if orders:
            words = np.concatenate([orders[-1].words[level.histories], words], axis=1)
        with np.errstate(divide="ignore"):
            logs = (np.log10(x).astype(np.float32) for x in (level.probs, level.backoffs))
            orders.append(Grams(np.ascontiguousarray(words), *logs))
    return orders
