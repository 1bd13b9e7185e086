"""Which utterances make up each update of an epoch: a pure function of durations, seed and epoch.

The first epochs go from short to long (SortaGrad: Deep Speech 2, arXiv:1512.02595); later ones
take batches of like length in random order, whose composition differs from epoch to epoch.
"""

from collections.abc import Sequence
from typing import overload

import numba
import numpy as np
from numpy.typing import NDArray

Batch = NDArray[np.int64]

# How far, in log duration, utterances stray from their place: at least the first, which costs
# about as much padding and mixes tens of batches of a large corpus; up to the second where lengths
# are rare, over two batches, so that the same few utterances do not meet in every epoch.
_BATCHES = 2
_MIN_JITTER = 0.01
_MAX_JITTER = 0.1
# Of [seed, epoch, stream]; far beyond any utterance's index, because numpy takes
# [seed, epoch, index] and [seed, epoch, index, 0] for the same seed.
_STREAM = 0xBA7C4E50


class Batches(Sequence[Batch]):
    """The batches of an epoch, as three arrays.

    order: (utterances,) indices of utterances, those of a batch side by side. starts: where in it
    each batch begins, and the last ends. turns: (batches,) which of them comes when.
    """

    def __init__(self, order: Batch, starts: Batch, turns: Batch) -> None:
        self.order, self.starts, self.turns = order, starts, turns

    def __len__(self) -> int:
        return len(self.turns)

    @overload
    def __getitem__(self, index: int) -> Batch: ...
    @overload
    def __getitem__(self, index: slice) -> "Batches": ...
    def __getitem__(self, index: int | slice) -> "Batch | Batches":
        if isinstance(index, slice):
            return Batches(self.order, self.starts, self.turns[index])
        turn = self.turns[index]
        return self.order[self.starts[turn] : self.starts[turn + 1]]

    @property
    def sizes(self) -> NDArray[np.int64]:
        """(batches,) numbers of utterances."""
        sizes: NDArray[np.int64] = np.diff(self.starts)[self.turns]
        return sizes


def epoch_batches(
    durations: NDArray[np.float64],
    *,
    batch_seconds: float,
    max_utterances: int,
    epoch: int,
    seed: int,
    sortagrad_epochs: int,
) -> Batches:
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
        Indices into `durations`, an array for each batch; made when it is asked for.

    Raises:
        ValueError: no durations, one that is not positive and finite, or an option out of range.
    """
    durations = np.asarray(durations, dtype=np.float64)
    _check(durations, batch_seconds, max_utterances, epoch, seed, sortagrad_epochs)
    rng = np.random.default_rng([seed, epoch, _STREAM])
    ascending = epoch < sortagrad_epochs
    lengths = durations if ascending else _strayed(durations, batch_seconds, max_utterances, rng)
    order = _ascending(lengths)
    starts = _cut(durations[order], float(batch_seconds), max_utterances)
    count = len(starts) - 1
    return Batches(order, starts, np.arange(count) if ascending else rng.permutation(count))


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


def _strayed(
    durations: NDArray[np.float64],
    batch_seconds: float,
    max_utterances: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Log durations, each moved at random by up to about two batches' width."""
    logs = np.log(durations)
    bins = ((logs - logs.min()) / _MIN_JITTER).astype(np.int64)
    shares = np.maximum(durations / batch_seconds, 1 / max_utterances)  # of a batch
    widths: NDArray[np.float64] = np.bincount(bins, weights=shares)[bins]  # batches in a bin
    np.divide(_BATCHES * _MIN_JITTER, widths, out=widths)
    widths.clip(_MIN_JITTER, _MAX_JITTER, out=widths)
    widths *= rng.uniform(-1, 1, len(logs))
    return np.add(logs, widths, out=widths)


def _ascending(values: NDArray[np.float64]) -> Batch:
    """As a stable sort has it, ties by index, which numpy's takes several times as long for."""
    order = np.argsort(values)
    ordered = values[order]
    rises = ordered[1:] > ordered[:-1]
    if rises.all():
        return order
    keys = np.zeros(len(values), dtype=np.int64)
    np.cumsum(rises, out=keys[1:])
    keys *= len(values)
    keys += order
    keys.sort()
    keys %= len(values)
    return keys


@numba.njit(nogil=True, cache=True)
def _cut(
    durations: NDArray[np.float64], batch_seconds: float, max_utterances: int
) -> NDArray[np.int64]:
    """Where batches start, and the last ends, that consecutive utterances fill one by one."""
    starts = np.empty(len(durations) + 1, dtype=np.int64)
    starts[0] = count = start = 0
    longest = 0.0
    for i in range(len(durations)):
        longest = max(longest, durations[i])
        size = i + 1 - start
        if size > 1 and (size > max_utterances or longest * size > batch_seconds):
            count += 1
            starts[count] = start = i
            longest = durations[i]
    starts[count + 1] = len(durations)
    return starts[: count + 2].copy()


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
