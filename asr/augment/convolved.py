"""Augmentations that put the speaker into a room."""

from abc import abstractmethod

import numpy as np
from scipy import fft

from asr.augment.base import Augment, Samples, Scene
from asr.augment.options import check_probability, rms


class Convolved(Augment):
    """Convolves some utterances with a room's impulse response; a subclass says which.

    Neither length nor energy changes, and the direct path is not delayed: words stay where they
    are. What would sound on after the end is cut off.

    name: as in `augment=[name]`. probability: of an utterance to be put into a room.

    Raises:
        ValueError: an option is out of range.
    """

    def __init__(self, name: str, probability: float) -> None:
        check_probability(name, probability)
        self.probability = probability

    @abstractmethod
    def response(self, rng: np.random.Generator, sample_rate: int) -> tuple[Samples, int]:
        """(N,) samples, and which of them is the direct path."""

    def __call__(self, waveform: Samples, rng: np.random.Generator, scene: Scene) -> Samples:
        """(N,) samples to as many."""
        if len(waveform) == 0 or rng.random() >= self.probability:
            return waveform
        response, direct = self.response(rng, scene.sample_rate)
        wet = convolved(waveform, response)[direct : direct + len(waveform)]
        level = rms(wet)
        return wet * np.float32(rms(waveform) / level) if level else waveform


def convolved(one: Samples, other: Samples) -> Samples:
    """(N,) and (M,) samples to N + M - 1."""
    count = len(one) + len(other) - 1
    size = fft.next_fast_len(count, real=True)
    product: Samples = fft.irfft(fft.rfft(one, size) * fft.rfft(other, size), size)
    return product[:count]
