"""Other people talking: babble mixed from the training set itself."""

import numpy as np

from asr.augment.added import Added, filled
from asr.augment.base import Samples, Scene
from asr.augment.options import check_range, rms


class Babble(Added):
    """Adds several other utterances of the training set at once to some utterances.

    Args:
        probability: of an utterance to get babble.
        talkers_low, talkers_high: range of the number of other utterances, drawn uniformly.
        level_range_db: within which each talker's own level is drawn, uniformly in decibels.
        snr_low_db, snr_high_db: range of the ratio of speech to all babble, drawn uniformly in
            decibels of mean power over the whole utterance.

    Raises:
        ValueError: an option is out of range.
    """

    def __init__(
        self,
        *,
        probability: float,
        talkers_low: int,
        talkers_high: int,
        level_range_db: float,
        snr_low_db: float,
        snr_high_db: float,
    ) -> None:
        super().__init__("babble", probability, snr_low_db, snr_high_db)
        check_range("babble", ("talkers_low", talkers_low), ("talkers_high", talkers_high))
        if talkers_low < 1:
            raise ValueError(f"augment.babble.talkers_low={talkers_low} must be at least 1")
        if level_range_db < 0:
            raise ValueError(f"augment.babble.level_range_db={level_range_db} must be >= 0")
        self.talkers_low, self.talkers_high = talkers_low, talkers_high
        self.level_range_db = level_range_db

    def sound(self, count: int, rng: np.random.Generator, scene: Scene) -> Samples:
        """(count,) samples of all talkers together."""
        babble = np.zeros(count, np.float32)
        for _ in range(rng.integers(self.talkers_low, self.talkers_high, endpoint=True)):
            talker = filled(scene.others(count, rng), count, rng)
            gain = 10 ** (rng.uniform(0, self.level_range_db) / 20)
            if level := rms(talker):
                babble += talker * np.float32(gain / level)
        return babble
