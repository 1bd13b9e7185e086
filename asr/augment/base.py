"""The contract of an augmentation: it changes a training waveform by an explicit generator."""

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray


class Augment(ABC):
    """A random change of the waveform, on the training split only."""

    def stretch(self, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """How much longer each of `count` utterances will become, drawn before batches are planned.

        Returns:
            (count,) factors on the duration; ones unless the augmentation changes durations.
        """
        return np.ones(count)

    @abstractmethod
    def __call__(
        self,
        waveform: NDArray[np.float32],
        sample_rate: int,
        rng: np.random.Generator,
        stretch: float,
    ) -> NDArray[np.float32]:
        """Change one waveform.

        Args:
            waveform: (N,) samples in [-1, 1].
            sample_rate: samples per second.
            rng: the utterance's own generator.
            stretch: what `stretch` drew for this utterance in this epoch.

        Returns:
            (N',) samples, N' within one sample of N * stretch.
        """
