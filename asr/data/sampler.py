"""Which utterances make up each update of an epoch: a pure function of durations, seed and epoch.

The first epochs go from short to long (SortaGrad: Deep Speech 2, arXiv:1512.02595); later ones
take batches of like length in random order, whose composition differs from epoch to epoch.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Batch = NDArray[np.int64]

# How far, in log duration, utterances stray from their place: at least the first, which costs
# about as much padding and mixes tens of batches of a large corpus; up to the second where lengths
# are rare, so that the same few utterances do not meet in every epoch.
_MIN_JITTER = 0.01
_MAX_JITTER = 0.1
# Of [seed, epoch, stream]; far beyond any utterance's index, because numpy takes
# [seed, epoch, index] and [seed, epoch, index, 0] for the same seed.
_STREAM = 0xBA7C4E50


def epoch_batches(
    durations: NDArray[np.float64],
    *,
    batch_seconds: float,
    max_utterances: int,
    epoch: int,
    seed: int,
    sortagrad_epochs: int,
) -> list[Batch]:
    """Plan the batches of an epoch, one for each update, over all ranks and micro-batches.

    Every utterance occurs exactly once. Padded to its longest utterance, no batch exceeds
    `batch_seconds`; only an utterance that is longer by itself stands alone.

    Args:
        durations: (utterances,) seconds, as they will be after speed perturbation.
        batch_seconds: bound of (number of utterances) x (longest) in a batch.
        max_utterances: bound of the number of utterances in a batch.
        epoch: counts from 0.
        seed: of the run.
        sortagrad_epochs: how many epochs go ascending by duration (ties by index).

    Returns:
        Indices into `durations`, an array for each batch.

    Raises:
        ValueError: no durations, one that is not positive and finite, or an option out of range.
    """
    durations = np.asarray(durations, dtype=np.float64)
    _check(durations, batch_seconds, max_utterances, epoch, seed, sortagrad_epochs)
    if epoch < sortagrad_epochs:
        order = np.argsort(durations, kind="stable")
        return _cut(order, durations[order], batch_seconds, max_utterances)
    rng = np.random.default_rng([seed, epoch, _STREAM])
    logs = np.log(durations)
    jitter = _jitter(logs, np.maximum(durations / batch_seconds, 1 / max_utterances))
    order = np.argsort(logs + jitter * rng.uniform(-1, 1, len(logs)), kind="stable")
    batches = _cut(order, durations[order], batch_seconds, max_utterances)
    return [batches[i] for i in rng.permutation(len(batches))]


def shard(batch: Batch, rank: int, world_size: int, accumulate: int) -> list[Batch]:
    """Cut a batch into the micro-batches of one rank.

    Strides, so that each gets like lengths. Micro-batch i of all ranks together is the same
    whatever their number, because batch normalisation sees it as one; where it has fewer
    utterances than there are ranks, some get none of it.

    Returns:
        Arrays of indices, of every rank as many: `accumulate`, or an utterance each if the batch
        has fewer.

    Raises:
        ValueError: a number is out of range.
    """
    if accumulate < 1:
        raise ValueError(f"data.accumulate={accumulate} must be at least 1 micro-batch")
    if not 0 <= rank < world_size:
        raise ValueError(f"rank {rank} is not among the ranks 0..{world_size - 1}")
    parts = min(accumulate, len(batch))
    return [batch[i::parts][rank::world_size] for i in range(parts)]


def _jitter(logs: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """How wide, in log duration, one batch is around each utterance, which is `shares` of one."""
    bins = ((logs - logs.min()) / _MIN_JITTER).astype(np.int64)
    batches = np.bincount(bins, weights=shares)
    widths: NDArray[np.float64] = _MIN_JITTER / batches[bins]
    return widths.clip(_MIN_JITTER, _MAX_JITTER)


def _cut(
    order: Batch, durations: NDArray[np.float64], batch_seconds: float, max_utterances: int
) -> list[Batch]:
    """Fill one batch after the other with consecutive utterances."""
    starts = [0]
    sizes = np.arange(1, min(max_utterances, len(order)) + 1)
    while (start := starts[-1]) < len(order):
        # The first utterance alone bounds how many can fit, so that no window is longer.
        fit = int(min(max_utterances, batch_seconds / durations[start] + 1))
        longest = np.maximum.accumulate(durations[start : start + fit])
        padded_seconds = longest * sizes[: len(longest)]
        starts.append(start + max(1, int(padded_seconds.searchsorted(batch_seconds, "right"))))
    return [order[i:j] for i, j in pairwise(starts)]


def _check(
    durations: NDArray[np.float64],
    batch_seconds: float,
    max_utterances: int,
    epoch: int,
    seed: int,
    sortagrad_epochs: int,
) -> None:
    if durations.ndim != 1 or len(durations) == 0:
        raise ValueError("there are no utterances to make batches of; is the manifest empty?")
    wrong = ~(np.isfinite(durations) & (durations > 0))
    if wrong.any():
        index = int(wrong.argmax())
        raise ValueError(
            f"utterance {index} lasts {durations[index]} seconds; a duration must be finite and "
            "positive: mend it in the manifest"
        )
    if not batch_seconds > 0:
        raise ValueError(f"data.batch_seconds={batch_seconds} must be positive")
    if max_utterances < 1:
        raise ValueError(f"data.max_utterances={max_utterances} must be at least 1")
    if sortagrad_epochs < 0:
        raise ValueError(f"data.sortagrad_epochs={sortagrad_epochs} must be 0 or more")
    if seed < 0 or epoch < 0:
        raise ValueError(f"seed={seed} and epoch={epoch} must be 0 or more")
