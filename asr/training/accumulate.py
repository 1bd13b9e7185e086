"""`data.accumulate=auto`: how many micro-batches an update needs on this device, found by trying.

Once, when a run begins; its checkpoints hold the number, so that it goes on with it anywhere. The
cut changes no gradient, but batch norm sees a micro-batch at a time.
"""

import pickle
import resource
import sys
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from asr.core.distributed import alone, exchange, world_size
from asr.data.batch import Batch
from asr.data.dataset import Draw
from asr.data.loader import TrainingData, load_batches
from asr.objective.base import Objective
from asr.recognizer.recognizer import Recognizer
from asr.training.gradients import Gradients
from asr.training.out_of_memory import is_out_of_memory

AUTO = "auto"
_SPARE = 0.1  # of all memory, which other epochs' shapes and fragments of free memory may take
_TOO_LARGE = 77  # an exit code


def chosen(wanted: object, begun: int | None) -> int | str:
    """The number of micro-batches, or `auto` if it is yet to be found.

    wanted: what the user says. begun: what the run began with, if it did.

    Raises:
        ValueError: it is neither a number nor `auto`.
    """
    if wanted == AUTO:
        return AUTO if begun is None else begun
    if type(wanted) is int and wanted >= 1:
        return wanted
    raise ValueError(f"data.accumulate={wanted}: a number of micro-batches, 1 or more, or auto")


class _Trial(NamedTuple):
    recognizer: Recognizer
    objective: Objective
    precision: str
    batches: Sequence[Batch]
    aside: int  # bytes


def settle(data: TrainingData, recognizer: Recognizer, objective: Objective, precision: str) -> int:
    """Find the number, the same on all ranks, and let the data be cut by it.

    Tried are forward and backward of the micro-batches that need most, with memory put aside for
    what an update takes besides. Nothing of it stays: no gradient, no statistics, no random draw.

    Raises:
        ValueError: memory does not suffice for an utterance at a time.
    """
    device = next(recognizer.parameters()).device
    weights = sum(p.numel() * p.element_size() for p in recognizer.parameters())
    # Two moments of the optimizer and an average of the weights; among ranks, gradients to send.
    aside = (3 + (world_size() > 1)) * weights + int(_SPARE * _all_memory(device))
    attempt = _fits_apart if device.type == "cpu" else _fits_here
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        while True:
            trial = _Trial(recognizer, objective, precision, _hardest(data), aside)
            if all(exchange(attempt(trial))):
                return data.accumulate
            if max(exchange(max((len(b.ids) for b in trial.batches), default=0))) <= 1:
                raise ValueError(
                    "data.accumulate=auto: out of memory with an utterance at a time; take a "
                    "smaller model, shorter utterances (data.max_seconds), or more memory"
                )
            data.accumulate *= 2


def _hardest(data: TrainingData) -> list[Batch]:
    """This rank's micro-batches with most padded seconds, longest and most utterances."""
    found: list[list[tuple[float, int, list[Draw]]]] = []  # of an epoch: need, place, draws
    for epoch in sorted({0, data.sortagrad_epochs}):  # ascending, and mixed
        parts = data.plan(epoch).micro_batches()
        seconds = data.dataset.durations(parts.draws)
        sizes = np.array([len(slots) for slots in parts.batches])
        longest = np.array([seconds[slots].max(initial=0) for slots in parts.batches])
        needs = longest * sizes, longest, sizes
        places = [int(need.argmax()) for need in needs]
        found.append([(n[i], i, parts[i]) for n, i in zip(needs, places, strict=True)])
    hardest = [max(of_epochs, key=lambda f: f[0]) for of_epochs in zip(*found, strict=True)]
    batches = list(
        {(place, draws[0].epoch): draws for _, place, draws in hardest if draws}.values()
    )
    return list(load_batches(data.dataset, batches, workers=0, strict=False))


def _fits(trial: _Trial) -> bool:
    """Whether its batches can be learnt from, one by one, with so much memory put aside."""
    recognizer = trial.recognizer.train()
    gradients = Gradients(recognizer, trial.objective, trial.precision, seed=0)
    try:
        kept = torch.empty(trial.aside, dtype=torch.uint8, device=gradients.device)
        for batch in trial.batches:
            gradients.backward(batch, 0, last=True)
            recognizer.zero_grad(set_to_none=True)
        del kept
        return True
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return False


def _fits_here(trial: _Trial) -> bool:
    """On a GPU, which says so when its memory ends, on one rank perhaps and not on others."""
    buffers = list(trial.recognizer.buffers())
    before = [b.clone() for b in buffers]
    with alone():
        fits = _fits(trial)
    trial.recognizer.zero_grad(set_to_none=True)
    for buffer, saved in zip(buffers, before, strict=True):
        buffer.copy_(saved)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return fits


def _fits_apart(trial: _Trial) -> bool:
    """On a CPU, where libraries crash when memory ends, and systems kill: in another process."""
    content = pickle.dumps((trial, torch.get_num_threads(), _address_space()))
    process = get_context("spawn").Process(target=_attempt, args=(content,), daemon=True)
    process.start()
    process.join()
    code = process.exitcode or 0
    if code > 0 and code != _TOO_LARGE:
        raise RuntimeError("data.accumulate=auto: trying an update failed, as is told above")
    return code == 0


def _attempt(content: bytes) -> None:
    trial, threads, parents = pickle.loads(content)
    torch.set_num_threads(threads)
    more = max(0, parents - _address_space())  # that the process which is to train has in use
    sys.exit(0 if _fits(trial._replace(aside=trial.aside + more)) else _TOO_LARGE)


def _all_memory(device: torch.device) -> int:
    """Bytes of a GPU, or those that the system refuses to go beyond; 0 where it refuses nothing."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[1])
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return 0 if limit == resource.RLIM_INFINITY else limit


def _address_space() -> int:
    """Bytes that count against a limit of this process; 0 where there is none, or nobody knows."""
    statm = Path("/proc/self/statm")
    if resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY or not statm.exists():
        return 0
    return int(statm.read_text().split()[0]) * resource.getpagesize()
