"""Who speaks implausibly fast or slowly has, more often than not, a wrong transcript.

The rate is characters for each second in which something sounds, so that pauses before and after
do not count. It is compared, as a logarithm, with the corpus's own median and spread.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_MIN_SPREAD = 0.15  # of the logarithm: readers of one rhythm may still hurry
_MIN_UTTERANCES = 30  # fewer say nothing about what is usual
_TO_SIGMA = 1.4826  # from the median absolute deviation to a normal distribution's sigma


@dataclass(frozen=True)
class Rates:
    """How fast everybody speaks, in characters a second.

    index: (k,) places of the implausible ones, the worst first. rates: (n,), NaN where nothing
    is said. usual: the median. lowest, highest: what is plausible.
    """

    index: NDArray[np.int64]
    rates: NDArray[np.float64]
    usual: float
    lowest: float
    highest: float


def speaking_rates(
    characters: NDArray[np.int32],
    sounding: NDArray[np.float32],
    usable: NDArray[np.bool_],
    kept: NDArray[np.bool_],
    *,
    slowest: float,
    fastest: float,
    deviations: float,
    removes: bool,
) -> Rates:
    """Find implausible rates.

    Args:
        characters: (n,) of each transcript. sounding: (n,) seconds.
        usable: (n,) whether there is both; others have no rate.
        kept: (n,) whether an utterance tells what is usual: it has no other fault.
        slowest, fastest: characters a second that are plausible in any corpus.
        deviations: how many standard deviations of the logarithm are plausible in this one.
        removes: whether what is found will be left out. Then the usual is estimated again without
            it, until nothing more is found: what stays is found plausible when checked again.
    """
    rates = np.full(len(characters), np.nan)
    rates[usable] = characters[usable] / sounding[usable].astype(np.float64)
    found = np.zeros(len(characters), bool)
    while True:
        usual, lowest, highest = _plausible(rates[kept], slowest, fastest, deviations)
        more = usable & ((rates < lowest) | (rates > highest)) & ~found
        found |= more
        if not (removes and (more & kept).any()):
            break
        kept = kept & ~found
    index = np.flatnonzero(found)
    index = index[np.argsort(-np.abs(np.log(rates[index] / usual)), kind="stable")]
    return Rates(index, rates, usual, lowest, highest)


def _plausible(
    rates: NDArray[np.float64], slowest: float, fastest: float, deviations: float
) -> tuple[float, float, float]:
    """The median, the lowest and the highest plausible rate."""
    if len(rates) < _MIN_UTTERANCES:
        usual = float(np.median(rates)) if len(rates) else float(np.sqrt(slowest * fastest))
        return usual, slowest, fastest
    logs = np.log(rates)
    median = float(np.median(logs))
    spread = max(_MIN_SPREAD, _TO_SIGMA * float(np.median(np.abs(logs - median))))
    lowest, highest = np.exp([median - deviations * spread, median + deviations * spread])
    return float(np.exp(median)), max(slowest, float(lowest)), min(fastest, float(highest))
