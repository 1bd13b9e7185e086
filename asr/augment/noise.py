"""Generated background noise, white or pink."""

import numpy as np
from numpy.typing import NDArray

from asr.augment.base import Augment


class Noise(Augment):
    """Adds noise to some utterances: white (equal power per Hz) or pink (per octave), as likely.

    Args:
        probability: of an utterance to get noise.
        snr_low_db, snr_high_db: range of the ratio of speech to noise, drawn uniformly in decibels
            of mean power over the whole utterance.

    Raises:
        ValueError: an option is out of range.
    """

    def __init__(self, *, probability: float, snr_low_db: float, snr_high_db: float) -> None:
        if not 0 <= probability <= 1:
            raise ValueError(f"augment.noise.probability={probability} must be from 0 to 1")
        if not snr_low_db <= snr_high_db:
            raise ValueError(
                f"augment.noise.snr_low_db={snr_low_db} must be <= "
                f"augment.noise.snr_high_db={snr_high_db}"
            )
        self.probability = probability
        self.snr_low_db = snr_low_db
        self.snr_high_db = snr_high_db

    def __call__(
        self,
        waveform: NDArray[np.float32],
        sample_rate: int,
        rng: np.random.Generator,
        stretch: float,
    ) -> NDArray[np.float32]:
        """(N,) samples to as many."""
        if len(waveform) == 0 or rng.random() >= self.probability:
            return waveform
        noise = rng.standard_normal(len(waveform), dtype=np.float32)
        if rng.random() < 0.5:
            noise = _pink(noise)
        snr_db = rng.uniform(self.snr_low_db, self.snr_high_db)
        scale = _rms(waveform) / _rms(noise) / 10 ** (snr_db / 20)
        return waveform + noise * np.float32(scale)


def _pink(white: NDArray[np.float32]) -> NDArray[np.float32]:
    spectrum = np.fft.rfft(white)
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1))
    return np.fft.irfft(spectrum, len(white)).astype(np.float32)


def _rms(signal: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean(np.square(signal, dtype=np.float64))))
