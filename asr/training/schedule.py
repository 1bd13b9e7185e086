"""Learning rate schedules: factors on the optimizer's rate, functions of where one stands."""

import math
from abc import ABC, abstractmethod


class Schedule(ABC):
    """Linear warm-up over `warmup_steps` updates, then whatever `decay` says."""

    def __init__(self, *, warmup_steps: int) -> None:
        if warmup_steps < 0:
            raise ValueError(f"schedule.warmup_steps={warmup_steps} must be >= 0")
        self.warmup_steps = warmup_steps

    def __call__(self, step: int, epoch: float, epochs: int) -> float:
        """The factor for the update after `step` updates and `epoch` (fractional) of `epochs`."""
        warmup = min(1.0, (step + 1) / (self.warmup_steps + 1))
        return warmup * self.decay(epoch, epochs)

    @abstractmethod
    def decay(self, epoch: float, epochs: int) -> float:
        """The factor without warm-up."""


class Cosine(Schedule):
    """Half a cosine from 1 down to `floor` at the last epoch (arXiv:1608.03983)."""

    def __init__(self, *, warmup_steps: int, floor: float) -> None:
        super().__init__(warmup_steps=warmup_steps)
        if not 0 <= floor <= 1:
            raise ValueError(f"schedule.floor={floor} must lie between 0 and 1")
        self.floor = floor

    def decay(self, epoch: float, epochs: int) -> float:
        progress = min(1.0, epoch / epochs)
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * progress)) / 2


class Exponential(Schedule):
    """Divided by `anneal` each epoch, continuously (Deep Speech 2 anneals by 1.2)."""

    def __init__(self, *, warmup_steps: int, anneal: float) -> None:
        super().__init__(warmup_steps=warmup_steps)
        if anneal < 1:
            raise ValueError(f"schedule.anneal={anneal} must be >= 1")
        self.anneal = anneal

    def decay(self, epoch: float, epochs: int) -> float:
        return float(self.anneal**-epoch)
