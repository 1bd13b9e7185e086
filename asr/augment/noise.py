"""Generated background noise, white or pink."""

import numpy as np
from scipy import fft

from asr.augment.added import Added
from asr.augment.base import Samples, Scene


class Noise(Added):
    """Adds noise to some utterances: white (equal power per Hz) or pink (per octave), as likely.

    Args:
        probability: of an utterance to get noise.
        snr_low_db, snr_high_db: range of the ratio of speech to noise, drawn uniformly in decibels
            of mean power over the whole utterance.

    Raises:
        ValueError: an option is out of range.
    """

    def __init__(self, *, probability: float, snr_low_db: float, snr_high_db: float) -> None:
        super().__init__("noise", probability, snr_low_db, snr_high_db)

    def sound(self, count: int, rng: np.random.Generator, scene: Scene) -> Samples:
        """(count,) samples of one colour."""
        # FFTs of a large prime length take twenty times as long as of a length near by.
        white = rng.standard_normal(fft.next_fast_len(count, real=True), dtype=np.float32)
        return (_pink(white) if rng.random() < 0.5 else white)[:count]


def _pink(white: Samples) -> Samples:
    spectrum = fft.rfft(white)
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum), dtype=np.float32), 1))
    pink: Samples = fft.irfft(spectrum, len(white))
    return pink
