"""The gradients of one update, over its micro-batches and this rank's part of the others' work."""

import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from asr.core.distributed import rank, world_size
from asr.data.batch import Batch
from asr.objective.base import Objective, Outcome
from asr.recognizer.recognizer import Recognizer
from asr.training.out_of_memory import cut, is_out_of_memory


class Gradients:
    """Adds up the gradients of what the objective sums over the micro-batches of an update.

    They are not yet divided, for the count is known after the last micro-batch only; where several
    ranks train, they are the mean of all ranks' sums.

    precision: "float32", "bfloat16" (autocast) or "float64". seed: of dropout.
    """

    def __init__(
        self, recognizer: Recognizer, objective: Objective, precision: str, seed: int
    ) -> None:
        if precision not in ("float32", "bfloat16", "float64"):
            raise ValueError(
                f"trainer.precision={precision!r}: choose float32, bfloat16 or float64"
            )
        self.recognizer, self.objective, self.seed = recognizer, objective, seed
        self.device = next(recognizer.parameters()).device
        self.low = precision == "bfloat16"
        self.copies: torch.cuda.Stream | None = None
        if self.device.type == "cuda":
            self.copies = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        self.replica: DistributedDataParallel | None = None
        if world_size() > 1:
            # A kernel for one channel has strides that mean nothing, and cost nothing.
            warnings.filterwarnings("ignore", message="Grad strides do not match bucket view")
            # Batch norm sums its statistics over ranks, so that buffers need no broadcast.
            self.replica = DistributedDataParallel(recognizer, broadcast_buffers=False)

    def __call__(
        self,
        update: Sequence[Batch],
        buffers: Sequence[Tensor],
        step: int,
        tell: Callable[[int, Sequence[int]], None],
    ) -> tuple[Sequence[Batch], list[Outcome]]:
        """Run forward and backward; there are no gradients before.

        buffers: copies of the recogniser's, as they were before. step: number of the update, from
        0. tell: takes the size of a micro-batch that did not fit into memory, and of those that it
        is cut into.

        Returns:
            The micro-batches as they were done in the end, and what the objective says of each.

        Raises:
            ValueError: memory does not suffice, and there is nothing to cut.
        """
        while True:
            outcomes: list[Outcome] = []
            try:
                for number, batch in enumerate(update):
                    seed = _dropout_seed(self.seed, step, number, rank())
                    outcomes.append(self.backward(batch, seed, number == len(update) - 1))
                return update, outcomes
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                failed = len(outcomes)
            # Out here the error is gone, and with it what its traceback kept alive.
            del outcomes
            smaller = cut(update, failed)
            tell(len(update[failed].ids), [len(b.ids) for b in smaller[failed : failed + 2]])
            update = smaller
            for parameter in self.recognizer.parameters():
                parameter.grad = None
            for buffer, saved in zip(self.recognizer.buffers(), buffers, strict=True):
                buffer.copy_(saved)  # batch norm has seen what is now done again
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    def backward(self, batch: Batch, seed: int, last: bool) -> Outcome:
        """Add the gradients of a micro-batch, the last of its update or not."""
        torch.manual_seed(seed)
        network = self.recognizer if self.replica is None else self.replica
        # Ranks exchange gradients once in an update, with its last micro-batch.
        waiting = nullcontext() if self.replica is None or last else self.replica.no_sync()
        with waiting:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.low):
                outcome = self.objective(cast(Recognizer, network), self._moved(batch))
            outcome.nats.backward()  # type: ignore[no-untyped-call]
        return outcome

    def _moved(self, batch: Batch) -> Batch:
        """The batch on the device; a GPU copies it while it still works at the update before."""
        if self.copies is None:
            return batch.to(self.device)
        now = torch.cuda.current_stream(self.device)
        with torch.cuda.stream(self.copies):
            moved = batch.to(self.device)
        now.wait_stream(self.copies)
        for tensor in (*moved.waveforms, *moved.tokens):
            tensor.record_stream(now)  # else its memory could be given away too early
        return moved


def _dropout_seed(*place: int) -> int:
    return int(np.random.SeedSequence(place).generate_state(1, np.uint64)[0] >> np.uint64(1))
