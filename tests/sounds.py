"""Signals that augmentations are tried on, and what they are told of them."""

import numpy as np
from numpy.typing import NDArray

from asr.augment.base import Scene

RATE = 16000


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def tone(hertz: float, samples: int = 2 * RATE) -> NDArray[np.float32]:
    return np.sin(2 * np.pi * hertz * np.arange(samples) / RATE).astype(np.float32)


def talk(samples: int = 2 * RATE, seed: int = 0) -> NDArray[np.float32]:
    """Noise of the band of speech that comes and goes in syllables."""
    noise = rng(seed).standard_normal(samples)
    smooth = np.convolve(noise, np.hanning(9) / 4)[:samples]
    return (0.1 * smooth * (1 + tone(4, samples))).astype(np.float32)


def scene(stretch: float = 1.0, rate: int = RATE) -> Scene:
    return Scene(rate, stretch, lambda count, rng: talk(count, seed=int(rng.integers(1 << 30))))


def decibels(power: float, reference: float = 1.0) -> float:
    return float(10 * np.log10(power / reference))


def power(sound: NDArray[np.float32]) -> float:
    return float(np.mean(np.square(sound, dtype=np.float64)))


def delay(changed: NDArray[np.float32], original: NDArray[np.float32]) -> int:
    """Samples by which a sound lags behind another, where they are most alike."""
    size = len(changed) + len(original)
    product = np.fft.rfft(changed, size) * np.fft.rfft(original, size).conj()
    place = int(np.argmax(np.abs(np.fft.irfft(product, size))))
    return place if place < len(changed) else place - size
