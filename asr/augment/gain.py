"""Random loudness."""

import numpy as np

from asr.augment.base import Augment, Samples, Scene
from asr.augment.options import check_range


class Gain(Augment):
    """Makes each utterance louder or softer; nothing is clipped.

    Args:
        low_db, high_db: range of the gain, drawn uniformly in decibels.

    Raises:
        ValueError: the range is empty.
    """

    def __init__(self, *, low_db: float, high_db: float) -> None:
        check_range("gain", ("low_db", low_db), ("high_db", high_db))
        self.low_db = low_db
        self.high_db = high_db

    def __call__(self, waveform: Samples, rng: np.random.Generator, scene: Scene) -> Samples:
        """(N,) samples to as many, scaled."""
        return waveform * np.float32(10 ** (rng.uniform(self.low_db, self.high_db) / 20))
