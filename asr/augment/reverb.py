"""Simulated rooms: what a room's image sources add up to, without finding each of them."""

import math

import numpy as np

from asr.augment.base import Samples
from asr.augment.convolved import Convolved
from asr.augment.options import check_range

_SOUND = 343.0  # metres per second
_VOLUME = 60.0  # cubic metres, a living room: says how soon single echoes become a tail


class Reverb(Convolved):
    """Puts some utterances into a simulated room.

    Args:
        probability: of an utterance to be put into a room.
        rt60_low, rt60_high: range of the reverberation time, in which the energy that sounds on
            falls by 60 dB; drawn uniformly, seconds.
        drr_low_db, drr_high_db: range of the ratio of the direct path's energy to that of all
            reflections, drawn uniformly in decibels. Near speakers have a high one.

    Raises:
        ValueError: an option is out of range.
    """

    def __init__(
        self,
        *,
        probability: float,
        rt60_low: float,
        rt60_high: float,
        drr_low_db: float,
        drr_high_db: float,
    ) -> None:
        super().__init__("reverb", probability)
        check_range("reverb", ("rt60_low", rt60_low), ("rt60_high", rt60_high))
        check_range("reverb", ("drr_low_db", drr_low_db), ("drr_high_db", drr_high_db))
        if not 0.05 <= rt60_low <= rt60_high <= 10:
            raise ValueError(
                f"augment.reverb.rt60_low={rt60_low}, augment.reverb.rt60_high={rt60_high}: both "
                "must be from 0.05 to 10 seconds"
            )
        self.rt60_low, self.rt60_high = rt60_low, rt60_high
        self.drr_low_db, self.drr_high_db = drr_low_db, drr_high_db

    def response(self, rng: np.random.Generator, sample_rate: int) -> tuple[Samples, int]:
        """A room's response; the direct path comes first."""
        rt60 = rng.uniform(self.rt60_low, self.rt60_high)
        drr_db = rng.uniform(self.drr_low_db, self.drr_high_db)
        return room_response(rt60, drr_db, sample_rate, rng), 0


def room_response(
    rt60: float, drr_db: float, sample_rate: int, rng: np.random.Generator
) -> Samples:
    """The direct path, 1, and behind it reflections until they are 60 dB down.

    Image sources (Allen & Berkley, J. Acoust. Soc. Am. 65, 1979) lie evenly in space, so that
    4 pi c^3 t^2 / V reflections a second arrive t seconds after the direct path (Kuttruff, Room
    Acoustics): few and apart first, then ever denser. How many fall on a sample is drawn from a
    Poisson distribution, what they add up to from a normal one of their energy, which decays
    exponentially (Polack's model, as in Lehmann & Johansson, J. Acoust. Soc. Am. 124, 2008).

    Args:
        rt60: seconds.
        drr_db: direct to reflected energy, kept exactly.

    Returns:
        (1 + rt60 * sample_rate,) samples.
    """
    seconds = np.arange(1, math.ceil(rt60 * sample_rate) + 1) / sample_rate
    expected = 4 * math.pi * _SOUND**3 / _VOLUME * seconds**2 / sample_rate
    tail = rng.standard_normal(len(seconds)) * np.sqrt(rng.poisson(expected) / expected)
    tail *= 10 ** (-3 * seconds / rt60)
    tail *= 10 ** (-drr_db / 20) / np.sqrt(np.sum(tail**2))
    return np.concatenate([[1.0], tail]).astype(np.float32)
