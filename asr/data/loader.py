"""Loaders: the plan of an epoch, and its batches from wherever one stands in it."""

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from asr.core.distributed import rank, world_size
from asr.data.batch import Batch, Example, collate
from asr.data.dataset import Draw, SpeechDataset
from asr.data.plan import Plan, Planned
from asr.data.sampler import epoch_batches

_POLL_SECONDS = 2  # between looks at whether the workers live
_TRIES = 3
_DIED = "a loader process died (killed, or out of memory)"

_log = logging.getLogger(__name__)


class TrainingData:
    """The updates of every epoch, each a pure function of (seed, epoch), cut over the ranks.

    weights: (len(dataset),) how often an utterance stands in an epoch; None: once.
    batch_seconds, max_utterances: bounds of the batch of one update, padding included.
    sortagrad_epochs: first epochs in ascending order of duration.
    accumulate: micro-batches that an update is cut into.
    workers: loader processes; 0 reads in the process that trains.
    worker_timeout: seconds without a batch after which they are replaced.
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
        worker_timeout: float,
        pin_memory: bool = False,
    ) -> None:
        if worker_timeout <= 0:
            raise ValueError(f"data.worker_timeout={worker_timeout} must be > 0 seconds")
        self.dataset = dataset
        self.weights = weights
        self.batch_seconds = batch_seconds
        self.max_utterances = max_utterances
        self.sortagrad_epochs = sortagrad_epochs
        self.accumulate = accumulate
        self.workers = workers
        self.worker_timeout = worker_timeout
        self.pin_memory = pin_memory

    def plan(self, epoch: int) -> Plan:
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
        return Plan(draws, batches, rank(), world_size(), self.accumulate)

    def updates(
        self,
        plan: Plan,
        start: int = 0,
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[list[Batch]]:
        """The micro-batches of each update of a plan, from update `start` on: O(1) to get there.

        Utterances that cannot be read are left out, and named in their batch.

        stop: asked while loader processes give nothing; if it says so, there are no more updates.

        Raises:
            ValueError: workers failed several times, as in `load_batches`.
        """
        rest = plan[start:]
        batches = load_batches(
            self.dataset,
            rest.micro_batches(),
            self.workers,
            self.pin_memory,
            self.worker_timeout,
            strict=False,
            stop=stop,
        )
        for i in range(len(rest)):
            count = len(rest.cut(i))
            parts = list(islice(batches, count))
            if len(parts) < count:
                return
            yield parts


def evaluation_plan(dataset: SpeechDataset, batch_seconds: float, max_utterances: int) -> Planned:
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
    return Planned(draws, batches)


def load_batches(
    dataset: SpeechDataset,
    plan: Sequence[list[Draw]],
    workers: int,
    pin_memory: bool = False,
    worker_timeout: float = 300.0,
    strict: bool = True,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Batch]:
    """Read planned batches in their order, ahead of time if there are workers.

    A worker that dies, or gives nothing for `worker_timeout` seconds, is replaced with all others
    and its batch read again.

    stop: asked while workers give nothing; if it says so, there are no more batches.
    strict: else utterances that cannot be read are left out, and named in the batch.

    Raises:
        ValueError: an utterance cannot be read, or workers failed on the same batch several times;
            names the culprits.
    """
    done, failures = 0, 0
    while done < len(plan):
        batches = iter(_loader(dataset, _from(plan, done), workers, pin_memory))
        # Torch's own handler raises wherever the program just is, in mid-update too.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        try:
            while done < len(plan):
                batch = _next(batches, worker_timeout if workers else None, stop)
                if batch is None:
                    return
                if strict and batch.unreadable:
                    raise ValueError(batch.unreadable[0][1])
                yield batch
                done, failures = done + 1, 0
        except _WorkerError as error:
            failures += 1
            names = ", ".join(dataset.manifest[d.index].id for d in plan[done])
            if failures == _TRIES:
                raise LoaderError(
                    f"{error}, {failures} times at the same batch ({names}). Look at these files "
                    "and the disk they are on, at memory (dmesg), or set data.workers=0"
                ) from None
            _log.warning("%s; starting others at the batch of %s", error, names)
        finally:
            _kill_workers(batches)


class LoaderError(ValueError):
    """Loader processes failed on the same batch again and again."""


class _WorkerError(Exception):
    """A loader process died or hangs."""


def _from(plan: Sequence[list[Draw]], start: int) -> Iterator[list[Draw]]:
    """Made one by one, as they are sent to the workers."""
    return (plan[i] for i in range(start, len(plan)))


def _loader(
    dataset: SpeechDataset, plan: Iterator[list[Draw]], workers: int, pin_memory: bool
) -> DataLoader[Example | ValueError]:
    return DataLoader(
        dataset,
        batch_sampler=plan,
        num_workers=workers,
        collate_fn=collate,
        worker_init_fn=_start_worker,
        pin_memory=pin_memory,
        timeout=_POLL_SECONDS if workers else 0,
    )


def _next(batches: Iterator[Batch], limit: float | None, stop: Callable[[], bool]) -> Batch | None:
    """The next batch; torch looks after its workers only as often as it runs out of patience.

    limit: seconds; None: there are no workers.
    """
    began = time.monotonic()
    while True:
        try:
            return next(batches)
        except (OSError, EOFError):  # on the way from a process that is no more
            if limit is None:
                raise
            raise _WorkerError(_DIED) from None
        except RuntimeError as error:
            message = str(error)
            if message.startswith("DataLoader worker") or "shared memory" in message:
                raise _WorkerError(_DIED) from None
            if limit is None or not message.startswith("DataLoader timed out"):
                raise
            if stop():
                return None
            if time.monotonic() - began > limit:
                raise _WorkerError(
                    f"a loader process gave nothing for data.worker_timeout={limit:g} seconds"
                ) from None


def _kill_workers(batches: Iterator[Batch]) -> None:
    """At once: those that hang would not listen, and the program would wait for them at its end."""
    for worker in getattr(batches, "_workers", []):
        worker.kill()
        worker.join(_POLL_SECONDS)  # one that waits for a dead disk does not even die


def _start_worker(_: int) -> None:
    # Terminals and clusters signal workers as well; when to stop is the main process's to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # By name, not over a socket to the worker, whose answer one would await for ever if it hangs.
    torch.multiprocessing.set_sharing_strategy("file_system")  # type: ignore[no-untyped-call]
