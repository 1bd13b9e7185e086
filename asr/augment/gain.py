"""Random loudness."""

import numpy as np
from numpy.typing import NDArray

from asr.augment.base import Augment


class Gain(Augment):
    """Makes each utterance louder or softer; nothing is clipped.

    Args:
        low_db, high_db: range of the gain, drawn uniformly in decibels.

    Raises:
        ValueError: the range is empty.
    """

    def __init__(self, *, low_db: float, high_db: float) -> None:
        if not low_db <= high_db:
            raise ValueError(
                f"augment.gain.low_db={low_db} must be <= augment.gain.high_db={high_db}"
            )
        self.low_db = low_db
        self.high_db = high_db

    def __call__(
        self,
        waveform: NDArray[np.float32],
        sample_rate: int,
        rng: np.random.Generator,
        stretch: float,
    ) -> NDArray[np.float32]:
        """(N,) samples to as many, scaled."""
        return waveform * np.float32(10 ** (rng.uniform(self.low_db, self.high_db) / 20))
