"""How sure an error rate is: the bootstrap of Bisani & Ney (2004, ICASSP)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from asr.scoring.error_rate import ErrorCounts

_DRAWS_PER_CHUNK = 1 << 21  # bounds the memory at some tens of megabytes


def bootstrap_interval(
    counts: Sequence[ErrorCounts],
    groups: Sequence[str | None] | None = None,
    *,
    samples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile interval of the pooled rate when speakers (else utterances) are drawn again.

    Utterances of one speaker err alike, so that whole speakers are drawn where they are known.
    With a single speaker its utterances are drawn, and the interval speaks of that voice only.
    With a single utterance both ends are its rate: one utterance says nothing of the spread.

    Args:
        counts: of each utterance.
        groups: the speaker of each utterance; one whose speaker is None is its own group.
        samples: how many times to draw.
        seed: the same seed gives the same interval.
        level: the probability that the interval covers, in (0, 1).

    Returns:
        The two ends, as rates (not per cent).

    Raises:
        ValueError: no utterances, groups of another number, or an option out of range.
    """
    if not counts:
        raise ValueError("an interval needs at least one utterance; there are none")
    if groups is not None and len(groups) != len(counts):
        raise ValueError(f"{len(groups)} groups for {len(counts)} utterances: give one for each")
    if samples < 1 or not 0 < level < 1:
        raise ValueError(f"samples={samples} must be at least 1, and level={level} between 0 and 1")
    pooled = _pool(counts, groups)  # (groups, 2)
    size = len(pooled)
    rng = np.random.default_rng([seed])
    chunk = max(1, _DRAWS_PER_CHUNK // size)
    totals = np.concatenate(
        [
            pooled[rng.integers(size, size=(min(chunk, samples - done), size))].sum(axis=1)
            for done in range(0, samples, chunk)
        ]
    )  # (samples, 2)
    errors, lengths = totals[:, 0], totals[:, 1]
    rates = np.where(errors > 0, np.inf, 0.0)  # `ErrorCounts.rate` of references without words
    np.divide(errors, lengths, out=rates, where=lengths > 0)
    tail = (1 - level) / 2
    low, high = np.quantile(rates, (tail, 1 - tail), method="inverted_cdf")
    return float(low), float(high)


def _pool(counts: Sequence[ErrorCounts], groups: Sequence[str | None] | None) -> NDArray[np.int64]:
    """(groups, 2) errors and lengths."""
    table = np.array([(c.errors, c.length) for c in counts], dtype=np.int64)
    if groups is None or len(set(groups)) == 1:
        return table
    keys = [index if group is None else group for index, group in enumerate(groups)]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    pooled = np.zeros((len(numbers), 2), dtype=np.int64)
    np.add.at(pooled, [numbers[key] for key in keys], table)
    return pooled
