"""Where a run stands: with weights, optimizer and averages, all that a resume needs."""

import math
from dataclasses import dataclass, field


@dataclass
class TrainState:
    """A place at the boundary of an update.

    epoch, batch: the next update. step: updates done. validated: the step of the last validation.
    best: the lowest validation WERs so far and the updates they were reached at, the best first.
    stale: validations since then. plateaus: how often these were many, as the schedule counts.
    skipped: updates in a row that were not made because a loss or gradient was not finite.
    unreadable: utterances that could not be read so far, counted by reason.
    lost_in_epoch: an epoch, and how many of them are of it.
    out_of_memory: batches that had to be done in parts.
    diagnosed: whether the user was told that the model is stuck.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    validated: int = 0
    best: list[tuple[float, int]] = field(default_factory=list)
    stale: int = 0
    plateaus: int = 0
    skipped: int = 0
    unreadable: dict[str, int] = field(default_factory=dict)
    lost_in_epoch: tuple[int, int] = (0, 0)
    out_of_memory: int = 0
    diagnosed: bool = False

    @property
    def best_wer(self) -> float:
        """The lowest validation WER; infinite before the first."""
        return self.best[0][0] if self.best else math.inf
