"""Speed perturbation (Ko et al., Audio augmentation for speech recognition, Interspeech 2015)."""

from collections.abc import Sequence

import numpy as np
import soxr
from numpy.typing import NDArray

from asr.augment.base import Augment, Samples, Scene


class Speed(Augment):
    """Plays each utterance faster or slower, pitch and all, by a factor drawn from a list.

    Args:
        factors: speeds, equally likely; 1.1 is faster and shorter.

    Raises:
        ValueError: there are no factors, or one lies outside 0.25 to 4.
    """

    def __init__(self, *, factors: Sequence[float]) -> None:
        if not factors or not all(0.25 <= f <= 4 for f in factors):
            raise ValueError(f"augment.speed.factors={list(factors)} must be from 0.25 to 4")
        self.factors = tuple(factors)

    def stretch(self, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """The inverse of each utterance's speed."""
        return 1 / rng.choice(np.array(self.factors, dtype=np.float64), count)

    def __call__(self, waveform: Samples, rng: np.random.Generator, scene: Scene) -> Samples:
        """(N,) samples to N * stretch of them; a stretch of 1 changes nothing."""
        if scene.stretch == 1:
            return waveform
        faster: Samples = soxr.resample(waveform, 1 / scene.stretch, 1.0, quality="HQ")
        return faster
