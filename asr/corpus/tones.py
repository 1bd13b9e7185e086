"""Tones: a language of pitches, synthesised in a moment. The tests' corpus.

Each letter is one pitch for about 100 ms, a space is a short silence. Nothing about it is speech,
but everything in the program works on it, and a small model learns it in seconds.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from asr.corpus.base import Corpus
from asr.corpus.manifest import Utterance

LETTERS = "abcdefgh"
SAMPLE_RATE = 16000
SPLITS = ("train", "dev", "test")
_SPEAKERS = {"low": 1.0, "high": 1.15}


class Tones(Corpus):
    """Words of tones, spoken by two speakers who differ in pitch.

    Args:
        num_train, num_dev, num_test: utterances of each split, about a second each.
        seed: of words, lengths and noise.
    """

    def __init__(self, *, num_train: int, num_dev: int, num_test: int, seed: int) -> None:
        super().__init__()
        self.counts = dict(zip(SPLITS, (num_train, num_dev, num_test), strict=True))
        for split, count in self.counts.items():
            if count < 1:
                raise ValueError(f"corpus.num_{split}={count} must be at least 1")
        self.seed = seed

    @property
    def splits(self) -> tuple[str, ...]:
        """train, dev and test."""
        return SPLITS

    def utterances(self, split: str, folder: Path) -> Iterator[Utterance]:
        """Synthesise a split."""
        audio = folder / "audio"
        audio.mkdir(parents=True, exist_ok=True)
        for i in range(self.counts[split]):
            rng = np.random.default_rng([self.seed, SPLITS.index(split), i])
            speaker = list(_SPEAKERS)[i % 2]
            words = ("".join(rng.choice(list(LETTERS), rng.integers(2, 5))) for _ in range(3))
            text = " ".join(list(words)[: rng.integers(1, 4)])
            path = audio / f"{split}-{i:03}.wav"
            soundfile.write(path, sing(text, _SPEAKERS[speaker], rng), SAMPLE_RATE)
            yield Utterance(path.stem, str(path), 0.0, text, speaker)


def sing(text: str, pitch: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """(N,) samples of a text, every letter half an octave above the one before it."""
    sounds = [np.zeros(800)]
    for letter in text:
        seconds = np.arange(int(rng.uniform(0.08, 0.12) * SAMPLE_RATE)) / SAMPLE_RATE
        if letter == " ":
            sounds.append(np.zeros_like(seconds))
            continue
        hertz = 300 * pitch * 2 ** (LETTERS.index(letter) / 2)
        sounds.append(np.hanning(len(seconds)) * np.sin(2 * np.pi * hertz * seconds))
    samples = np.concatenate([*sounds, np.zeros(800)]) * 0.3
    return samples + rng.normal(0, 0.003, len(samples))
