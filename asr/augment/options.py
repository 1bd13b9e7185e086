"""What several augmentations check of their options, and how they measure loudness."""

import numpy as np

from asr.augment.base import Samples


def check_probability(name: str, probability: float) -> None:
    """Refuse what is no probability.

    name: of the augmentation, as in `augment=[name]`.

    Raises:
        ValueError: it lies outside 0 to 1.
    """
    if not 0 <= probability <= 1:
        raise ValueError(f"augment.{name}.probability={probability} must be from 0 to 1")


def check_range(name: str, low: tuple[str, float], high: tuple[str, float]) -> None:
    """Refuse an empty range; each end is given as its option's name and value.

    Raises:
        ValueError: the lower end lies above the higher, or one is no number.
    """
    if not low[1] <= high[1]:
        raise ValueError(
            f"augment.{name}.{low[0]}={low[1]} must be <= augment.{name}.{high[0]}={high[1]}"
        )


def rms(sound: Samples) -> float:
    """Root of the mean power of one sample or more."""
    return float(np.sqrt(np.mean(np.square(sound, dtype=np.float64))))
