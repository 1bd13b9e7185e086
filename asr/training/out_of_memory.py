"""A batch that is too large for the machine is done in parts."""

from collections.abc import Sequence

import torch

from asr.core.distributed import world_size
from asr.data.batch import Batch

ADVICE = (
    "this run can go on with more processes, each of which gets less, or with more memory; or "
    "begin another run=, with the weights of this one by init_from= and a smaller "
    "data.batch_seconds, more micro-batches in an update (data.accumulate=auto), or without long "
    "utterances (data.max_seconds)"
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory was refused; torch has a class for it on GPUs only."""
    signs = (
        "can't allocate memory",
        "bad_alloc",
        "not enough memory",
        "out of memory",
        "ALLOC_FAILED",
        "could not create a primitive",
    )
    known = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return known or (isinstance(error, RuntimeError) and any(s in str(error) for s in signs))


def cut(update: Sequence[Batch], place: int) -> list[Batch]:
    """The micro-batches of an update with the one that was too large in halves.

    Raises:
        ValueError: it is a single utterance, or several ranks train: half a batch on one of them
            would leave the others waiting.
    """
    batch = update[place]
    about = f"out of memory on a batch of {len(batch.ids)} utterances, {_size(batch)}"
    if world_size() > 1:
        raise ValueError(f"{about}; the run stops, and goes on from its last checkpoint: {ADVICE}")
    if len(batch.ids) < 2:
        raise ValueError(f"{about} ({''.join(batch.ids)}): {ADVICE}")
    return [*update[:place], *batch.halves(), *update[place + 1 :]]


def _size(batch: Batch) -> str:
    count, samples = batch.waveforms.values.shape
    return f"{count} x {samples} samples"
