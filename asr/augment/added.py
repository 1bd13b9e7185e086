"""Augmentations that lay another sound under the utterance."""

from abc import abstractmethod

import numpy as np

from asr.augment.base import Augment, Samples, Scene
from asr.augment.options import check_probability, check_range, rms


class Added(Augment):
    """Adds a sound to some utterances; a subclass says which.

    name: as in `augment=[name]`.
    probability: of an utterance to get it.
    snr_low_db, snr_high_db: range of the ratio of speech to added sound, drawn uniformly in
        decibels of mean power over the whole utterance.

    Raises:
        ValueError: an option is out of range.
    """

    def __init__(
        self, name: str, probability: float, snr_low_db: float, snr_high_db: float
    ) -> None:
        check_probability(name, probability)
        check_range(name, ("snr_low_db", snr_low_db), ("snr_high_db", snr_high_db))
        self.probability = probability
        self.snr_low_db, self.snr_high_db = snr_low_db, snr_high_db

    @abstractmethod
    def sound(self, count: int, rng: np.random.Generator, scene: Scene) -> Samples:
        """(count,) samples, at any level."""

    def __call__(self, waveform: Samples, rng: np.random.Generator, scene: Scene) -> Samples:
        """(N,) samples to as many."""
        if len(waveform) == 0 or rng.random() >= self.probability:
            return waveform
        sound = self.sound(len(waveform), rng, scene)
        snr_db, level = rng.uniform(self.snr_low_db, self.snr_high_db), rms(sound)
        if level == 0:  # the recording is silent here: no gain makes a noise of it
            return waveform
        return waveform + sound * np.float32(rms(waveform) / level / 10 ** (snr_db / 20))


def filled(piece: Samples, count: int, rng: np.random.Generator) -> Samples:
    """(count,) samples of a recording; a shorter one begins anywhere and is repeated."""
    if len(piece) < count:
        piece = np.resize(np.roll(piece, rng.integers(len(piece))), count)
    return piece[:count]
