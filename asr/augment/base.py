"""The contract of an augmentation: it changes a training waveform by an explicit generator."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]  # (N,), full scale is 1; nothing is clipped on the way


class Scene(NamedTuple):
    """What an augmentation knows beside the waveform and its generator.

    sample_rate: samples per second.
    stretch: what `stretch` drew for this utterance in this epoch.
    others: (N, rng) to 1 to N samples of another utterance of the training set, from a random
        place, as they were recorded; never of the utterance at hand.
    """

    sample_rate: int
    stretch: float
    others: Callable[[int, np.random.Generator], Samples]


class Augment(ABC):
    """A random change of the waveform, on the training split only."""

    def stretch(self, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """How much longer each of `count` utterances will become, drawn before batches are planned.

        Returns:
            (count,) factors on the duration; ones unless the augmentation changes durations.
        """
        return np.ones(count)

    @abstractmethod
    def __call__(self, waveform: Samples, rng: np.random.Generator, scene: Scene) -> Samples:
        """Change one waveform; what it holds stays where it is in time, but for a stretch.

        Args:
            waveform: (N,) samples.
            rng: the utterance's own generator, in this epoch and for this augmentation.
            scene: whatever else there is to know.

        Returns:
            (N',) samples, N' within one sample of N * scene.stretch.
        """
