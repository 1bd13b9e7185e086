"""Where a run stands: with weights, optimizer and averages, all that a resume needs."""

import math
from dataclasses import dataclass


@dataclass
class TrainState:
    """A place at the boundary of an update.

    epoch, batch: the next update. step: updates done. validated: the step of the last validation.
    best_wer: lowest validation WER so far. stale: validations since then.
    skipped: updates in a row that were not made because a loss or gradient was not finite.
    diagnosed: whether the user was told that the model is stuck.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    validated: int = 0
    best_wer: float = math.inf
    stale: int = 0
    skipped: int = 0
    diagnosed: bool = False
