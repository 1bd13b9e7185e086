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
    pooled = _pool(_table(counts), groups)  # (groups, 2)
    return _ends(_rates(_resampled(pooled, samples, seed)), level)


def paired_interval(
    counts: Sequence[ErrorCounts],
    others: Sequence[ErrorCounts],
    groups: Sequence[str | None] | None = None,
    *,
    samples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile interval of the gain: the pooled rate of `others` less that of `counts`.

    Both are drawn together, utterance by utterance or speaker by speaker as in
    `bootstrap_interval`: what is hard for one system is mostly hard for the other too, so that
    their difference is far surer than either rate. Above 0 the gain is hardly chance.

    Args:
        counts: of each utterance, by the system of interest.
        others: of the same utterances, by the system it is held against.
        groups, samples, seed, level: as in `bootstrap_interval`.

    Returns:
        The two ends, as rates (not per cent).

    Raises:
        ValueError: as `bootstrap_interval`; counts of other references; no words in them.
    """
    if not counts or [c.length for c in counts] != [c.length for c in others]:
        raise ValueError(
            f"{len(counts)} and {len(others)} counts, which must be of the same references, one "
            "at least: score both systems on the same manifest"
        )
    if not any(c.length for c in counts):
        raise ValueError("a gain needs references with words in them; here all are empty")
    pooled = _pool(np.concatenate([_table(counts), _table(others)], axis=1), groups)  # (groups, 4)
    # A draw of empty references only has no rate, and says nothing of a gain.
    totals = _resampled(pooled, samples, seed)
    totals = totals[totals[:, 1] > 0]
    return _ends(_rates(totals[:, 2:]) - _rates(totals[:, :2]), level)


def _resampled(pooled: NDArray[np.int64], samples: int, seed: int) -> NDArray[np.int64]:
    """(samples, columns) sums over as many groups as there are, drawn with replacement."""
    if samples < 1:
        raise ValueError(f"samples={samples} must be at least 1")
    size = len(pooled)
    rng = np.random.default_rng([seed])
    chunk = max(1, _DRAWS_PER_CHUNK // size)
    return np.concatenate(
        [
            pooled[rng.integers(size, size=(min(chunk, samples - done), size))].sum(axis=1)
            for done in range(0, samples, chunk)
        ]
    )


def _rates(totals: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of (samples, 2) errors and lengths."""
    errors, lengths = totals[:, 0], totals[:, 1]
    rates = np.where(errors > 0, np.inf, 0.0)  # `ErrorCounts.rate` of references without words
    return np.divide(errors, lengths, out=rates, where=lengths > 0)


def _ends(values: NDArray[np.float64], level: float) -> tuple[float, float]:
    if not 0 < level < 1:
        raise ValueError(f"level={level} must be between 0 and 1")
    tail = (1 - level) / 2
    low, high = np.quantile(values, (tail, 1 - tail), method="inverted_cdf")
    return float(low), float(high)


def _table(counts: Sequence[ErrorCounts]) -> NDArray[np.int64]:
    """(utterances, 2) errors and lengths."""
    return np.array([(c.errors, c.length) for c in counts], dtype=np.int64)


def _pool(table: NDArray[np.int64], groups: Sequence[str | None] | None) -> NDArray[np.int64]:
    """(groups, columns): the rows of each group added up."""
    if groups is not None and len(groups) != len(table):
        raise ValueError(f"{len(groups)} groups for {len(table)} utterances: give one for each")
    if groups is None or len(set(groups)) == 1:
        return table
    keys = [index if group is None else group for index, group in enumerate(groups)]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    pooled = np.zeros((len(numbers), table.shape[1]), dtype=np.int64)
    np.add.at(pooled, [numbers[key] for key in keys], table)
    return pooled
