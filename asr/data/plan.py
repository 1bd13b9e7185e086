"""Which draws make up each batch, as arrays; the draws are made when a batch is asked for."""

from collections.abc import Sequence
from typing import overload

import numpy as np

from asr.data.dataset import Draw, Draws
from asr.data.sampler import Batch, Batches, shard

Update = list[list[Draw]]  # the micro-batches of one update, as far as they are this rank's


class Planned(Sequence[list[Draw]]):
    """Draws in batches. batches: of slots."""

    def __init__(self, draws: Draws, batches: Sequence[Batch]) -> None:
        self.draws, self.batches = draws, batches

    def __len__(self) -> int:
        return len(self.batches)

    @overload
    def __getitem__(self, index: int) -> list[Draw]: ...
    @overload
    def __getitem__(self, index: slice) -> "Planned": ...
    def __getitem__(self, index: int | slice) -> "list[Draw] | Planned":
        if isinstance(index, slice):
            return Planned(self.draws, self.batches[index])
        return [self.draws[slot] for slot in self.batches[index].tolist()]


class Plan(Sequence[Update]):
    """The updates of an epoch, or some of them, cut over the ranks and into micro-batches."""

    def __init__(
        self, draws: Draws, batches: Batches, rank: int, world_size: int, accumulate: int
    ) -> None:
        self.draws, self.batches, self.accumulate = draws, batches, accumulate
        self.rank, self.world_size = rank, world_size

    def __len__(self) -> int:
        return len(self.batches)

    @overload
    def __getitem__(self, index: int) -> Update: ...
    @overload
    def __getitem__(self, index: slice) -> "Plan": ...
    def __getitem__(self, index: int | slice) -> "Update | Plan":
        if isinstance(index, slice):
            part = self.batches[index]
            return Plan(self.draws, part, self.rank, self.world_size, self.accumulate)
        return list(Planned(self.draws, self.cut(index)))

    def cut(self, index: int) -> list[Batch]:
        """The slots of an update's micro-batches."""
        return shard(self.batches[index], self.rank, self.world_size, self.accumulate)

    def micro_batches(self) -> Planned:
        """Those of all updates, one after the other."""
        return Planned(self.draws, _MicroBatches(self))


class _MicroBatches(Sequence[Batch]):
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.ends = np.cumsum(np.minimum(plan.batches.sizes, plan.accumulate))

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    @overload
    def __getitem__(self, index: int) -> Batch: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Batch]: ...
    def __getitem__(self, index: int | slice) -> Batch | Sequence[Batch]:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        update = int(self.ends.searchsorted(index, "right"))
        return self.plan.cut(update)[index - int(self.ends[update])]  # from its end
