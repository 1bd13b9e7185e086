"""Learning rate schedules: factors on the optimizer's rate, functions of where one stands."""

import math
from abc import ABC, abstractmethod


class Schedule(ABC):
    """Linear warm-up over `warmup_steps` updates, then whatever `decay` says.

    patience: validations without a better WER that count as a plateau; 0: none ever does.
    """

    patience = 0

    def __init__(self, *, warmup_steps: int) -> None:
        if warmup_steps < 0:
            raise ValueError(f"schedule.warmup_steps={warmup_steps} must be >= 0")
        self.warmup_steps = warmup_steps

    def __call__(self, step: int, epoch: float, epochs: int, plateaus: int = 0) -> float:
        """The factor for the update after `step` updates and `epoch` (fractional) of `epochs`.

        plateaus: how many there were.
        """
        warmup = min(1.0, (step + 1) / (self.warmup_steps + 1))
        return warmup * self.decay(step, epoch / epochs, epoch, plateaus)

    @abstractmethod
    def decay(self, step: int, progress: float, epoch: float, plateaus: int) -> float:
        """The factor without warm-up; progress: share of the epochs that are done."""


class Cosine(Schedule):
    """Half a cosine from 1 down to `floor` at the last epoch (arXiv:1608.03983)."""

    def __init__(self, *, warmup_steps: int, floor: float) -> None:
        super().__init__(warmup_steps=warmup_steps)
        if not 0 <= floor <= 1:
            raise ValueError(f"schedule.floor={floor} must lie between 0 and 1")
        self.floor = floor

    def decay(self, step: int, progress: float, epoch: float, plateaus: int) -> float:
        done = min(1.0, progress)
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * done)) / 2


class Exponential(Schedule):
    """Divided by `anneal` each epoch, continuously (Deep Speech 2 anneals by 1.2)."""

    def __init__(self, *, warmup_steps: int, anneal: float) -> None:
        super().__init__(warmup_steps=warmup_steps)
        if anneal < 1:
            raise ValueError(f"schedule.anneal={anneal} must be >= 1")
        self.anneal = anneal

    def decay(self, step: int, progress: float, epoch: float, plateaus: int) -> float:
        return float(self.anneal**-epoch)


class Noam(Schedule):
    """Falls with the square root of the updates, from 1 where warm-up ends (arXiv:1706.03762)."""

    def decay(self, step: int, progress: float, epoch: float, plateaus: int) -> float:
        return math.sqrt((self.warmup_steps + 1) / max(step + 1, self.warmup_steps + 1))


class Plateau(Schedule):
    """Multiplied by `factor` after each `patience` validations without a better WER."""

    def __init__(self, *, warmup_steps: int, factor: float, patience: int) -> None:
        super().__init__(warmup_steps=warmup_steps)
        if not 0 < factor < 1 or patience < 1:
            raise ValueError(
                f"schedule.factor={factor} must lie between 0 and 1, and "
                f"schedule.patience={patience} be at least 1"
            )
        self.factor, self.patience = factor, patience

    def decay(self, step: int, progress: float, epoch: float, plateaus: int) -> float:
        return float(self.factor**plateaus)
