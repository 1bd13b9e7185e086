"""Tones: seeded, quick, and each letter a pitch of its own."""

from pathlib import Path

import numpy as np
import pytest

from asr.core.audio import load_waveform
from asr.corpus.tones import LETTERS, Tones, sing


def test_the_same_seed_gives_the_same_corpus(tmp_path: Path) -> None:
    def made(name: str, seed: int) -> list[tuple[str, str | None, bytes]]:
        corpus = Tones(num_train=6, num_dev=2, num_test=2, seed=seed)
        found = [u for s in corpus.splits for u in corpus.utterances(s, tmp_path / name)]
        return [(u.text, u.speaker, Path(u.audio).read_bytes()) for u in found]

    assert made("a", 1) == made("b", 1)
    assert made("a", 1) != made("c", 2)
    assert len({speaker for _, speaker, _ in made("a", 1)}) == 2
    assert all(1 <= len(text.split()) <= 3 for text, _, _ in made("a", 1))


@pytest.mark.parametrize("pitch", [1.0, 1.15])
def test_a_letter_is_a_pitch(pitch: float) -> None:
    peaks = []
    for letter in LETTERS:
        samples = sing(letter, pitch, np.random.default_rng([1]))
        peaks.append(np.argmax(np.abs(np.fft.rfft(samples, 16000))))
    assert peaks == pytest.approx([300 * pitch * 2 ** (i / 2) for i in range(8)], rel=0.02)


def test_a_space_is_silence_and_letters_have_length(tmp_path: Path) -> None:
    rng = np.random.default_rng([1])
    with_space, without = sing("a b", 1.0, rng), sing("ab", 1.0, rng)
    assert 0.05 < (len(with_space) - len(without)) / 16000 < 0.2
    corpus = Tones(num_train=1, num_dev=1, num_test=1, seed=1)
    utterance = next(corpus.utterances("dev", tmp_path))
    assert 0.2 < len(load_waveform(utterance.audio, 16000)) / 16000 < 2


def test_mistakes() -> None:
    with pytest.raises(ValueError, match="num_test=0 must be at least 1"):
        Tones(num_train=1, num_dev=1, num_test=0, seed=1)
