"""Loaders: the plan of an epoch, and its batches from wherever one stands in it."""

import signal
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from asr.data.batch import Batch, Example, collate
from asr.data.dataset import Draw, SpeechDataset
from asr.data.sampler import epoch_batches, shard

Update = list[list[Draw]]  # the micro-batches of one update


class TrainingData:
    """The updates of every epoch, each a pure function of (seed, epoch).

    weights: (len(dataset),) how often an utterance stands in an epoch; None: once.
    batch_seconds, max_utterances: bounds of the batch of one update, padding included.
    sortagrad_epochs: first epochs in ascending order of duration.
    accumulate: micro-batches that an update is cut into.
    workers: loader processes; 0 reads in the process that trains.
    """

    def __init__(
        self,
        dataset: SpeechDataset,
        weights: NDArray[np.float64] | None,
        *,
        batch_seconds: float,
        max_utterances: int,
        sortagrad_epochs: int,
        accumulate: int,
        workers: int,
        pin_memory: bool = False,
    ) -> None:
        self.dataset = dataset
        self.weights = weights
        self.batch_seconds = batch_seconds
        self.max_utterances = max_utterances
        self.sortagrad_epochs = sortagrad_epochs
        self.accumulate = accumulate
        self.workers = workers
        self.pin_memory = pin_memory

    def plan(self, epoch: int) -> list[Update]:
        """The updates of an epoch, nothing read yet."""
        draws = self.dataset.draws(epoch, self.weights)
        batches = epoch_batches(
            self.dataset.durations(draws),
            batch_seconds=self.batch_seconds,
            max_utterances=self.max_utterances,
            epoch=epoch,
            seed=self.dataset.seed,
            sortagrad_epochs=self.sortagrad_epochs,
        )
        return [
            [[draws[i] for i in part] for part in shard(batch, 0, 1, self.accumulate) if len(part)]
            for batch in batches
        ]

    def updates(self, plan: Sequence[Update], start: int = 0) -> Iterator[list[Batch]]:
        """The micro-batches of each update of a plan, from update `start` on: O(1) to get there.

        Raises:
            ValueError: an utterance could not be read; names it.
        """
        rest = plan[start:]
        batches = load_batches(
            self.dataset, [m for update in rest for m in update], self.workers, self.pin_memory
        )
        for update in rest:
            yield list(islice(batches, len(update)))


def evaluation_plan(
    dataset: SpeechDataset, batch_seconds: float, max_utterances: int
) -> list[list[Draw]]:
    """Each utterance once, short ones first."""
    draws = dataset.draws(epoch=0)
    batches = epoch_batches(
        dataset.durations(draws),
        batch_seconds=batch_seconds,
        max_utterances=max_utterances,
        epoch=0,
        seed=0,
        sortagrad_epochs=1,
    )
    return [[draws[i] for i in batch] for batch in batches]


def load_batches(
    dataset: SpeechDataset, plan: list[list[Draw]], workers: int, pin_memory: bool = False
) -> Iterator[Batch]:
    """Read planned batches in their order, ahead of time if there are workers.

    Raises:
        ValueError: an utterance could not be read; names it.
    """
    loader: DataLoader[Example | ValueError] = DataLoader(
        dataset,
        batch_sampler=plan,
        num_workers=workers,
        collate_fn=_collate_or_error,
        worker_init_fn=_ignore_signals,
        pin_memory=pin_memory,
    )
    for batch in loader:
        if isinstance(batch, ValueError):
            raise batch
        yield batch


def _ignore_signals(_: int) -> None:
    """Terminals and clusters signal workers as well; when to stop is the main process's to say."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _collate_or_error(examples: Sequence[Example | ValueError]) -> Batch | ValueError:
    """An error crosses from a worker as a value: raised there, it would drag a traceback along."""
    good = [e for e in examples if not isinstance(e, ValueError)]
    if len(good) < len(examples):
        return next(e for e in examples if isinstance(e, ValueError))
    return collate(good)
